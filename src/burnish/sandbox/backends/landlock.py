"""`landlock`: our launcher where namespaces are forbidden, as in many containers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from burnish.sandbox.backends import backends
from burnish.sandbox.backends.backend import Backend
from burnish.sandbox.backends.none import command_outside, placed_outside, plain_records
from burnish.sandbox.job import NOT_ENFORCED, Job
from burnish.sandbox.launch import Report
from burnish.sandbox.probe import Machine
from burnish.sandbox.spec import Record, bind_records, option


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
        """Why the trial run failed; empty if it did not."""
        return machine.landlock_trouble

    def placed(self, job: Job, folder: Path) -> Job:
        """The job with the environment's paths translated to this machine."""
        return placed_outside(job, folder)

    def records(self, job: Job, machine: Machine, folder: Path | None) -> list[Record]:
        """The job as the launcher reads it: the command outside a sandbox, and what it may read."""
        return [
            *plain_records(job, machine, folder, command_outside(job)),
            option("confine", "1"),
            option("network", str(int(job.limits.network))),
            *bind_records(job),
        ]

    def isolated_by(self, job: Job, machine: Machine, report: Report) -> Mapping[str, str]:
        """The mechanisms that the launcher reported for this job."""
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
