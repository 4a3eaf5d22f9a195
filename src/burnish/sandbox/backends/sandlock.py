"""`sandlock`: the package of that name isolates with Landlock and seccomp; our launcher watches."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from burnish.sandbox.backends import backends
from burnish.sandbox.backends.backend import Backend
from burnish.sandbox.backends.none import command_outside, plain_records
from burnish.sandbox.job import Job
from burnish.sandbox.launch import Report
from burnish.sandbox.probe import Machine
from burnish.sandbox.spec import Record

READABLE = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/alternatives", "/etc/ld.so.cache",
            "/dev/null", "/dev/zero", "/dev/urandom", "/proc")  # fmt: skip
DRIVER = """
import json, os, sys
from sandlock import Sandbox
fields = json.loads(sys.argv[1])
sys.exit(Sandbox(**fields, env=dict(os.environ)).run_interactive(sys.argv[2:]))
"""


@backends.register("sandlock")
@dataclass(frozen=True, kw_only=True)
class Sandlock(Backend):
    """Landlock and seccomp without namespaces: other processes stay visible, the disk uncapped.

    Source: https://github.com/multikernel/sandlock, version 0.9.
    Oracle: tests/sandbox/test_backends.py::test_backends_agree
    """

    def trouble(self, machine: Machine) -> str:
        """Whether the package is installed, and the kernel new enough."""
        if not machine.sandlock:
            return "sandlock is not installed (pip install sandlock)"
        return "" if machine.landlock >= 6 else f"Landlock ABI 6 is needed, not {machine.landlock}"

    def records(self, job: Job, machine: Machine, folder: Path | None) -> list[Record]:
        """The command behind a driver that calls the package."""
        visible = [*(p for p in READABLE if Path(p).exists()), *map(str, job.read_only)]
        visible += [str(path) for path in job.mounts.values()]
        fields = {"fs_readable": visible, "fs_writable": [str(folder), "/dev/null"]}
        command = (sys.executable, "-I", "-c", DRIVER, json.dumps(fields), *command_outside(job))
        return plain_records(job, machine, folder, command)

    def isolated_by(self, job: Job, machine: Machine, report: Report) -> Mapping[str, str]:
        """What sandlock denies by default."""
        return {
            "files": "Landlock (sandlock)",
            "network": "Landlock and seccomp (sandlock)",
            "system_calls": "seccomp filter (sandlock)",
            "privileges": "no_new_privs (sandlock)",
        }
