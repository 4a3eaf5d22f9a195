"""The contract of a back end: how a job is isolated, and which limits that enforces."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from burnish.sandbox.cgroups import is_unified
from burnish.sandbox.job import NOT_ENFORCED, Job
from burnish.sandbox.launch import Report
from burnish.sandbox.probe import Machine
from burnish.sandbox.spec import Record

GUARDS = ("files", "network", "system_calls", "privileges", "left_behind")


@dataclass(frozen=True, kw_only=True)
class Backend(abc.ABC):
    """One way to isolate. The launcher supervises all of them: output, time, memory, the end."""

    @abc.abstractmethod
    def trouble(self, machine: Machine) -> str:
        """Why this machine cannot isolate this way; empty if it can."""

    @abc.abstractmethod
    def records(self, job: Job, machine: Machine, folder: Path | None) -> list[Record]:
        """The job as the launcher reads it; `folder` is the work folder if `needs_folder`."""

    @abc.abstractmethod
    def isolated_by(self, job: Job, machine: Machine, report: Report) -> Mapping[str, str]:
        """The mechanism of each of `GUARDS` (and of limits) that differs from `watched_by`."""

    def placed(self, job: Job, folder: Path) -> Job:
        """The job with its paths translated to a work folder on this machine."""
        return job

    def seen(self, machine: Machine) -> Machine:
        """The machine's mechanisms that these settings use."""
        return machine

    @property
    def needs_folder(self) -> bool:
        """Whether the job needs a work folder made on this machine's disk."""
        return True


def watched_by(job: Job, machine: Machine, report: Report) -> dict[str, str]:
    """What the launcher enforces under every back end."""
    group, unified = bool(machine.groups), is_unified(machine.groups)
    processes = "control group pids" if unified else "keeper (all processes)"
    if report.number("limited_processes"):
        processes = "RLIMIT_NPROC in its own user namespace" + (", " + processes) * unified
    return {
        "cpu_s": "control group and keeper" if unified else "keeper (all processes)",
        "wall_s": "keeper",
        "memory_bytes": "control group memory" if group else "keeper (all processes)",
        "num_processes": processes,
        "output_bytes": "supervisor",
        "file_bytes": "RLIMIT_FSIZE",
        "num_files": "RLIMIT_NOFILE",
        "disk_bytes": NOT_ENFORCED,
        **dict.fromkeys(GUARDS, NOT_ENFORCED),
        "left_behind": "keeper kills its descendants",
    }
