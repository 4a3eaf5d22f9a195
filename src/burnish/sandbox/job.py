"""What is run, under which limits, and the result."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from burnish.base.errors import SettingError

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a job may use; all of it counts for the whole process tree.

    `cpu_s` is the budget that decides: processor time of all processes together. `wall_s` is the
    backstop for what sleeps: elapsed time less the time in which the job waited for a processor,
    so that neither depends on the load of the machine. `output_bytes` bounds stdout and stderr
    together, `disk_bytes` all files that the job writes, `file_bytes` one of them. `num_processes`
    counts threads too. `num_files` is the number of open files of one process.
    Source: ours; the paper names time, memory and processes without values.
    """

    cpu_s: float = 10.0
    wall_s: float = 20.0
    memory_bytes: int = 512 * MIB
    num_processes: int = 64
    output_bytes: int = 8 * MIB
    file_bytes: int = 64 * MIB
    num_files: int = 256
    disk_bytes: int = 128 * MIB
    network: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "network" and not 0 < value < float("inf"):
                remedy = "Name a positive, finite number"
                raise SettingError(f"limits.{name}", value, "must be positive", remedy=remedy)


class Limit(enum.StrEnum):
    """The limit that ended a job."""

    CPU = "cpu_s"
    WALL = "wall_s"
    MEMORY = "memory_bytes"
    OUTPUT = "output_bytes"
    FILE = "file_bytes"
    DISK = "disk_bytes"
    PROCESSES = "num_processes"
    FORBIDDEN = "forbidden"  # a system call that nothing honest asks for


@dataclass(frozen=True, kw_only=True)
class Job:
    """One program to run in an empty work folder, which is also its home.

    `argv[0]` is an absolute path. `files` maps names inside the work folder to their content;
    `executable` names those of them with the x-bit. `env` is the whole environment but for
    PATH, HOME, TMPDIR and LANG, which it may replace; nothing is inherited. `read_only` are paths
    of this machine that stay visible under their own names, besides /usr; `mounts` maps further
    paths inside (such as /program) to folders of this machine, read-only too. With `report` the
    program finds an open descriptor 3 whose bytes come back apart from its output. `keep` is a
    folder of this machine into which the files of the work folder are copied when the job ends.
    `data_limit` is off for runtimes that reserve far more memory than they use.
    """

    argv: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    executable: frozenset[str] = frozenset()
    stdin: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    read_only: tuple[Path, ...] = ()
    mounts: Mapping[str, Path] = field(default_factory=dict)
    report: bool = False
    keep: Path | None = None
    data_limit: bool = True

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0].startswith("/"):
            rule, remedy = "must begin with an absolute path", "Name the program in full"
            raise SettingError("job.argv", self.argv, rule, remedy=remedy)
        for name in self.files:
            parts = name.split("/")
            if not name or name.startswith("/") or {"", ".", ".."} & set(parts) or "\0" in name:
                rule, remedy = "must stay inside the work folder", "Use a relative path"
                raise SettingError("job.files", name, rule, remedy=remedy)


NOT_ENFORCED = "not enforced"


@dataclass(frozen=True, kw_only=True)
class Attestation:
    """Which mechanism of this machine enforced each limit of one job, or `not enforced`.

    Source: ours; no peer reports it.
    Oracle: tests/sandbox/test_attestation.py::test_what_is_attested_is_enforced
    """

    backend: str
    mechanisms: Mapping[str, str]

    @property
    def missing(self) -> tuple[str, ...]:
        """The limits that no mechanism enforced."""
        return tuple(k for k, how in self.mechanisms.items() if how == NOT_ENFORCED)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for results and reports."""
        return {"backend": self.backend, **self.mechanisms}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended. Either `exit_code` or `signal` is set; both are None if it never started.

    `failure` says why the machine, not the program, failed (empty: it did not). `cpu_s` and
    `memory_bytes` (peak) count the whole process tree.
    """

    exit_code: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    cpu_s: float
    wall_s: float
    memory_bytes: int
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    limit: Limit | None = None
    report: bytes = b""
    failure: str = ""
    attestation: Attestation = Attestation(backend="none", mechanisms=MappingProxyType({}))

    @property
    def ok(self) -> bool:
        """Whether the program ended by itself with exit code 0, within all limits."""
        return self.exit_code == 0 and self.limit is None and not self.failure
