"""What this machine can do, found out by trying it once."""

import functools
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from burnish.sandbox.cgroups import group_parents, sweep
from burnish.sandbox.job import Limits
from burnish.sandbox.launch import Report, launch
from burnish.sandbox.launcher import launcher_command
from burnish.sandbox.spec import SYSTEM, limit_records, option, texts


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The mechanisms at hand. `trouble` says why namespaces do not work (empty: they do)."""

    compiled: bool
    namespaces: bool
    trouble: str
    groups: tuple[str, ...]
    seccomp: bool
    landlock: int
    user_ns: bool
    bubblewrap: Path | None
    sandlock: bool
    root: bool
    kernel: str


@functools.cache
def probe() -> Machine:
    """Try the mechanisms with the program `true`; some milliseconds, once per process."""
    sweep()
    groups = group_parents()
    report = _try(groups)
    if groups and report.failure.startswith("control group"):
        groups = ()
        report = _try(groups)
    worked = not report.failure and report.number("status") == 0 and not report.number("exec_error")
    bubblewrap = shutil.which("bwrap")
    return Machine(
        compiled=len(launcher_command()) == 1,
        namespaces=worked,
        trouble="" if worked else report.failure or "the program `true` failed inside",
        groups=groups,
        seccomp=bool(report.number("seccomp")),
        landlock=int(report.number("landlock")),
        user_ns=bool(report.number("user_ns")),
        bubblewrap=Path(bubblewrap) if bubblewrap else None,
        sandlock=importlib.util.find_spec("sandlock") is not None,
        root=os.geteuid() == 0,
        kernel=platform.release(),
    )


def true_program() -> str:
    """The path of `true`."""
    return shutil.which("true", path=SYSTEM["PATH"]) or "/bin/true"


def _try(groups: tuple[str, ...]) -> Report:
    limits = Limits(cpu_s=5, wall_s=10)
    records = [*texts("A", [true_program()]), *limit_records(limits), option("namespaces", "1")]
    return launch([*records, *(option("group", parent) for parent in groups)], b"")
