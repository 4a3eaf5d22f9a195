"""`none`: no isolation, only the supervision. For code that you would run yourself."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from burnish.sandbox.backends import backends
from burnish.sandbox.backends.backend import Backend
from burnish.sandbox.job import Job
from burnish.sandbox.launch import Report
from burnish.sandbox.probe import Machine
from burnish.sandbox.spec import Record, environment, limit_records, option, texts

MOVED = ("/tmp", "/work")  # folders of a job that has a root of its own; here all is one folder


@backends.register("none")
@dataclass(frozen=True, kw_only=True)
class Nothing(Backend):
    """The caller's own rights, an empty environment, and the launcher's limits.

    Source: ours. Oracle: tests/sandbox/test_backends.py::test_backends_agree
    """

    def trouble(self, machine: Machine) -> str:
        """Empty: this always works."""
        return ""

    def placed(self, job: Job, folder: Path) -> Job:
        """The job with the environment's paths translated to this machine."""
        return placed_outside(job, folder)

    def records(self, job: Job, machine: Machine, folder: Path | None) -> list[Record]:
        """The job as the launcher reads it; mounts such as /program are folders of this machine."""
        return plain_records(job, machine, folder, command_outside(job))

    def isolated_by(self, job: Job, machine: Machine, report: Report) -> Mapping[str, str]:
        """No mechanism at all."""
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


def placed_outside(job: Job, folder: Path) -> Job:
    """The job with mounted folders in its environment and `.pth` files named as outside."""
    env = {"TMPDIR": str(folder), **job.env}
    places = [*job.mounts.items(), *((place, folder) for place in MOVED)]
    files = dict(job.files)
    for name in [name for name in files if name.endswith(".pth")]:
        for inside, outside in job.mounts.items():
            files[name] = files[name].replace(inside.encode(), str(outside).encode())
    moved = {name: _moved(value, places) for name, value in env.items()}
    return dataclasses.replace(job, env=moved, files=files)


def _moved(value: str, places: list[tuple[str, Path]]) -> str:
    moved = []
    for part in value.split(":"):
        found = ((i, o) for i, o in places if part == i or part.startswith(f"{i}/"))
        inside, outside = next(found, ("", Path()))
        moved.append(str(outside) + part[len(inside) :] if inside else part)
    return ":".join(moved)


def command_outside(job: Job) -> tuple[str, ...]:
    """The command with mounted folders named as they are outside the sandbox."""
    command = []
    for word in job.argv:
        for inside, folder in job.mounts.items():
            if word == inside or word.startswith(inside + "/"):
                word = str(folder) + word[len(inside) :]
        command.append(word)
    return tuple(command)
