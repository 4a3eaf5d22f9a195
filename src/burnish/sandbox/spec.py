"""A job as the launcher reads it: records of a letter and bytes."""

import os
from collections.abc import Iterable
from pathlib import Path

from burnish.sandbox.job import Job, Limits

Record = tuple[str, bytes]
SYSTEM = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TMPDIR": "/tmp"}


def option(name: str, value: str) -> Record:
    """One setting of the launcher."""
    return ("O", f"{name}\0{value}".encode())


def texts(kind: str, values: Iterable[str]) -> list[Record]:
    """Several texts of one kind: arguments (A) or environment (E)."""
    return [(kind, os.fsencode(value)) for value in values]


def limit_records(limits: Limits) -> list[Record]:
    """The limits as launcher settings; counts are whole numbers."""
    rows = vars(limits).items()
    return [
        option(name, f"{value:.6f}" if name.endswith("_s") else str(int(value)))
        for name, value in rows
    ]


def environment(job: Job, home: str) -> list[str]:
    """The program's whole environment; nothing is inherited from ours."""
    merged = SYSTEM | {"HOME": home} | dict(job.env)
    return [f"{name}={value}" for name, value in sorted(merged.items())]


def file_records(job: Job) -> list[Record]:
    """The files that the program finds in its work folder."""
    return [
        ("X" if name in job.executable else "F", os.fsencode(name) + b"\0" + content)
        for name, content in job.files.items()
    ]


def bind_records(job: Job) -> list[Record]:
    """The folders of this machine that the program sees read-only."""
    pairs = [(path, str(path)) for path in job.read_only]
    pairs += [(folder, inside) for inside, folder in job.mounts.items()]
    return [("B", os.fsencode(Path(a).resolve()) + b"\0" + os.fsencode(b)) for a, b in pairs]
