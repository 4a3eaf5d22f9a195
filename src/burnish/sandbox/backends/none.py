"""`none`: no isolation, only the supervision. For code that you would run yourself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from burnish.sandbox.backends import backends
from burnish.sandbox.backends.backend import Backend
from burnish.sandbox.job import Job
from burnish.sandbox.launch import Report
from burnish.sandbox.probe import Machine
from burnish.sandbox.spec import Record, environment, limit_records, option, texts


@backends.register("none")
@dataclass(frozen=True, kw_only=True)
class Nothing(Backend):
    """The caller's own rights, an empty environment, and the launcher's limits.

    Source: ours. Oracle: tests/sandbox/test_backends.py::test_backends_agree
    """

    def trouble(self, machine: Machine) -> str:
        """It always works."""
        return ""

    def records(self, job: Job, machine: Machine, folder: Path | None) -> list[Record]:
        """The command as it is; /program and its like become folders of this machine."""
        return plain_records(job, machine, folder, command_outside(job))

    def isolated_by(self, job: Job, machine: Machine, report: Report) -> Mapping[str, str]:
        """Nothing."""
        return {}


def plain_records(
    job: Job, machine: Machine, folder: Path | None, command: tuple[str, ...]
) -> list[Record]:
    """A job that the launcher only supervises: `command` works in `folder`."""
    return [
        *texts("A", command),
        *texts("E", environment(job, str(folder))),
        *limit_records(job.limits),
        option("folder", str(folder)),
        option("report", str(int(job.report))),
        option("data", str(int(job.data_limit))),
        *(option("group", parent) for parent in machine.groups),
    ]


def command_outside(job: Job) -> tuple[str, ...]:
    """The command with the names that mounted folders have outside the sandbox."""
    command = []
    for word in job.argv:
        for inside, folder in job.mounts.items():
            if word == inside or word.startswith(inside + "/"):
                word = str(folder) + word[len(inside) :]
        command.append(word)
    return tuple(command)
