"""`namespaces`: our own launcher does it all. The default."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from burnish.sandbox.backends import backends
from burnish.sandbox.backends.backend import Backend
from burnish.sandbox.job import NOT_ENFORCED, Job
from burnish.sandbox.launch import Report
from burnish.sandbox.probe import Machine
from burnish.sandbox.spec import (
    Record,
    bind_records,
    environment,
    file_records,
    limit_records,
    option,
    texts,
)


@backends.register("namespaces")
@dataclass(frozen=True, kw_only=True)
class Namespaces(Backend):
    """User, process, mount, network, IPC and host name of its own; filtered system calls.

    `groups` off leaves memory to the keeper: that spares a job the waiting of the kernel that
    moving a process into a control group costs on a busy machine. With `strict` the launcher
    ends before the program starts where a mechanism fails.
    Source: ours. Oracle: tests/sandbox/test_escapes.py::test_no_attack_succeeds
    """

    strict: bool = False
    groups: bool = True

    def seen(self, machine: Machine) -> Machine:
        """The machine's mechanisms, without control groups if `groups` is off."""
        return machine if self.groups else dataclasses.replace(machine, groups=())

    def trouble(self, machine: Machine) -> str:
        """Why the trial run failed; empty if it did not."""
        return machine.trouble

    def records(self, job: Job, machine: Machine, folder: Path | None) -> list[Record]:
        """The job as the launcher reads it; the launcher isolates it itself."""
        options = {
            "namespaces": "1",
            "report": str(int(job.report)),
            "data": str(int(job.data_limit)),
        }
        if self.strict:
            options["strict"] = "1"
        if job.keep is not None:
            options["keep"] = str(job.keep)
        return [
            *texts("A", job.argv),
            *texts("E", environment(job, "/work")),
            *limit_records(job.limits),
            *(option(name, value) for name, value in options.items()),
            *(option("group", parent) for parent in machine.groups),
            *bind_records(job),
            *file_records(job),
        ]

    def isolated_by(self, job: Job, machine: Machine, report: Report) -> Mapping[str, str]:
        """The mechanisms that the launcher reported for this job."""
        abi = int(report.number("landlock"))
        landlock = f", Landlock ABI {abi}" if abi else ""
        filtered = "seccomp filter" if report.number("seccomp") else NOT_ENFORCED
        dropped = "no_new_privs, no capabilities" if report.number("capabilities") else NOT_ENFORCED
        return {
            "disk_bytes": "size of the tmpfs",
            "files": "mount namespace, read-only root" + landlock,
            "network": "open, as asked" if job.limits.network else "network namespace" + landlock,
            "system_calls": filtered,
            "privileges": dropped + ", user namespace" * bool(report.number("user_ns")),
            "left_behind": "process namespace",
        }

    @property
    def needs_folder(self) -> bool:
        """False: the work folder is a tmpfs that only the job sees."""
        return False
