"""`bubblewrap`: Debian's bwrap isolates, our launcher supervises."""

import functools
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from burnish.sandbox.backends import backends
from burnish.sandbox.backends.backend import Backend
from burnish.sandbox.backends.none import plain_records
from burnish.sandbox.job import Job
from burnish.sandbox.launch import Report
from burnish.sandbox.probe import Machine, true_program
from burnish.sandbox.spec import SYSTEM, Record

SHOWN = ("/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc/alternatives", "/etc/ld.so.cache")
TRIAL_S = 10


@backends.register("bubblewrap")
@dataclass(frozen=True, kw_only=True)
class Bubblewrap(Backend):
    """Namespaces by bwrap: no filter of system calls, no cap on the disk.

    Source: https://github.com/containers/bubblewrap, version 0.8.
    Oracle: tests/sandbox/test_backends.py::test_backends_agree
    """

    def trouble(self, machine: Machine) -> str:
        """Why bwrap cannot be used here, by a trial run; empty if it can."""
        if machine.bubblewrap is None:
            return "bwrap is not installed (apt-get install bubblewrap)"
        return _trial(machine.bubblewrap)

    def records(self, job: Job, machine: Machine, folder: Path | None) -> list[Record]:
        """The job as the launcher reads it, its command wrapped in bwrap."""
        return plain_records(job, machine, folder, command_inside(job, machine.bubblewrap, folder))

    def isolated_by(self, job: Job, machine: Machine, report: Report) -> Mapping[str, str]:
        """The mechanisms that bwrap is asked for."""
        return {
            "files": "mount namespace (bubblewrap)",
            "network": "open, as asked" if job.limits.network else "network namespace (bubblewrap)",
            "privileges": "no_new_privs, no capabilities, user namespace (bubblewrap)",
            "left_behind": "process namespace (bubblewrap)",
        }


def command_inside(job: Job, bubblewrap: Path | None, folder: Path | None) -> tuple[str, ...]:
    """The job's command, wrapped in bwrap."""
    words = [str(bubblewrap), "--unshare-all", "--die-with-parent", "--new-session"]
    words += ["--share-net"] if job.limits.network else []
    words += ["--uid", "1000", "--gid", "1000", "--cap-drop", "ALL", "--clearenv"]
    words += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
    words += ["--tmpfs", "/tmp"]
    for path in SHOWN:
        words += _show_system(Path(path))
    for path in job.read_only:
        words += ["--ro-bind", str(path), str(path)]
    for inside, outside in job.mounts.items():
        words += ["--ro-bind", str(outside), inside]
    words += ["--bind", str(folder), "/work", "--chdir", "/work"]
    for name, value in (SYSTEM | {"HOME": "/work"} | dict(job.env)).items():
        words += ["--setenv", name, value]
    return (*words, "--", *job.argv)


@functools.cache
def _trial(bubblewrap: Path) -> str:
    """Why bwrap does not start a program here, as in a container that forbids namespaces."""
    with tempfile.TemporaryDirectory(prefix="burnish-probe-") as folder:
        words = command_inside(Job(argv=(true_program(),)), bubblewrap, Path(folder))
        try:
            done = subprocess.run(words, capture_output=True, timeout=TRIAL_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bwrap failed: {type(error).__name__}"
    said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
    return "" if done.returncode == 0 else said[:120] or f"bwrap ended with {done.returncode}"


def _show_system(path: Path) -> list[str]:
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind", str(path), str(path)] if path.exists() else []
