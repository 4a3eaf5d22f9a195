"""`landlock`: our launcher where namespaces are forbidden, as in many containers."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from burnish.sandbox.backends import backends
from burnish.sandbox.backends.backend import Backend
from burnish.sandbox.backends.none import command_outside, plain_records
from burnish.sandbox.job import NOT_ENFORCED, Job
from burnish.sandbox.launch import Report
from burnish.sandbox.probe import Machine
from burnish.sandbox.spec import Record, bind_records, option

MOVED = ("/tmp", "/work")  # folders of a job that has a root of its own; here all is one folder


@backends.register("landlock")
@dataclass(frozen=True, kw_only=True)
class Landlocked(Backend):
    """Files by Landlock, system calls by the filter, limits by the keeper; no namespaces.

    There are no sockets, and nothing but the work folder can be written. Names of processes and
    files outside can be asked for, their content cannot; there is no
    shared memory (/dev/shm).
    Source: ours; https://docs.kernel.org/userspace-api/landlock.html
    Oracle: tests/sandbox/test_landlock.py::test_no_attack_succeeds_without_namespaces
    """

    def trouble(self, machine: Machine) -> str:
        """What the trial said."""
        return machine.landlock_trouble

    def records(self, job: Job, machine: Machine, folder: Path | None) -> list[Record]:
        """The command as it is outside, and what it may read."""
        env = {"TMPDIR": str(folder), **job.env}
        moved = {name: _moved(value, job, str(folder)) for name, value in env.items()}
        job = dataclasses.replace(job, env=moved)
        return [
            *plain_records(job, machine, folder, command_outside(job)),
            option("confine", "1"),
            option("network", str(int(job.limits.network))),
            *bind_records(job),
        ]

    def isolated_by(self, job: Job, machine: Machine, report: Report) -> Mapping[str, str]:
        """As the launcher reported it for this very job."""
        abi = int(report.number("landlock"))
        signals = "signals stay inside" if abi >= 6 else "signals to the user's processes do not"
        user = ", user of its own" if report.number("own_user") else f"; {signals}"
        dropped = "no_new_privs, no capabilities" + user
        return {
            "disk_bytes": "keeper (the work folder)",
            "files": f"Landlock ABI {abi}",
            "network": "open, as asked" if job.limits.network else "seccomp filter: no sockets",
            "system_calls": "seccomp filter" if report.number("seccomp") else NOT_ENFORCED,
            "privileges": dropped if report.number("capabilities") else NOT_ENFORCED,
        }


def _moved(value: str, job: Job, folder: str) -> str:
    """A path of the environment, or several, as they are outside."""
    moved = []
    for part in value.split(":"):
        for inside, outside in (*job.mounts.items(), *((place, folder) for place in MOVED)):
            if part == inside or part.startswith(f"{inside}/"):
                part = str(outside) + part[len(inside) :]
                break
        moved.append(part)
    return ":".join(moved)
