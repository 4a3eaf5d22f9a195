"""What this machine can do, found out by trying it once."""

import functools
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from burnish.sandbox.cgroups import group_parents, sweep
from burnish.sandbox.job import Limits
from burnish.sandbox.launch import Report, launch
from burnish.sandbox.spec import SYSTEM, limit_records, option, texts


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The mechanisms available.

    `trouble` says why namespaces do not work, `landlock_trouble` why Landlock and the filter do
    not without them (empty: they do).
    """

    namespaces: bool
    trouble: str
    landlock_trouble: str
    groups: tuple[str, ...]
    seccomp: bool
    landlock: int
    user_ns: bool
    bubblewrap: Path | None
    root: bool
    kernel: str


@functools.cache
def probe() -> Machine:
    """Try each mechanism on the program `true`: a few milliseconds, once per process."""
    sweep()
    groups = group_parents()
    report = _try(groups, "namespaces")
    if groups and report.failure.startswith("control group"):
        groups = ()
        report = _try(groups, "namespaces")
    trouble = _trouble(report)
    with tempfile.TemporaryDirectory(prefix="burnish-probe-") as folder:
        confined = _try(groups, "confine", folder)
    layers = confined if trouble else report
    bubblewrap = shutil.which("bwrap")
    return Machine(
        namespaces=not trouble,
        trouble=trouble,
        landlock_trouble=_trouble(confined),
        groups=groups,
        seccomp=bool(layers.number("seccomp")),
        landlock=int(layers.number("landlock")),
        user_ns=bool(report.number("user_ns")),
        bubblewrap=Path(bubblewrap) if bubblewrap else None,
        root=os.geteuid() == 0,
        kernel=platform.release(),
    )


def true_program() -> str:
    """The path of `true`."""
    return shutil.which("true", path=SYSTEM["PATH"]) or "/bin/true"


def _trouble(report: Report) -> str:
    worked = not report.failure and report.number("status") == 0 and not report.number("exec_error")
    return "" if worked else report.failure or "the program `true` failed inside"


def _try(groups: tuple[str, ...], way: str, folder: str = "/") -> Report:
    limits = Limits(cpu_s=5, wall_s=10)
    records = [*texts("A", [true_program()]), *limit_records(limits), option(way, "1")]
    records += [option("folder", folder), *(option("group", parent) for parent in groups)]
    return launch(records, b"")
