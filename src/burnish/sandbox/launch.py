"""One call of the launcher: the job goes in through a sealed memory file, the report comes out."""

import fcntl
import os
import signal
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from burnish.sandbox.launcher import launcher_command
from burnish.sandbox.waiting import WAITING, WaitingLauncher

HIGH = 32  # descriptors move up here, so that none of them is overwritten by another
STREAMS = ("stdout", "stderr", "report")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the launcher reports: named values, and the output of each pipe."""

    values: dict[str, str]
    streams: dict[str, bytes] = field(default_factory=dict)
    truncated: dict[str, bool] = field(default_factory=dict)

    def number(self, name: str) -> float:
        """A value as a number; 0 if it was not reported."""
        return float(self.values.get(name, "0"))

    @property
    def failure(self) -> str:
        """Why the job did not run to its end; empty if it did."""
        said = self.values.get("failure", "")
        return said or ("" if self.number("done") or self.number("limit") else "the launcher died")


def launch(
    records: Iterable[tuple[str, bytes]], stdin: bytes, *, groups: tuple[str, ...] | None = None
) -> Report:
    """Run a job given as records, and wait for its report.

    With `groups` a launcher that waits is taken, in these control groups; otherwise one is started.
    """
    spec = b"".join(_encode(kind, data) for kind, data in records)
    opened: list[int] = []
    try:
        fds = [_memory_file("stdin", stdin, opened), _memory_file("job", spec, opened)]
        reading, writing = os.pipe2(os.O_CLOEXEC)
        opened.append(reading)
        fds.append(_raise(writing, opened))
        launcher = _hand_over(fds, groups)
        os.close(fds[2])
        opened.remove(fds[2])
        return _collect(launcher, reading, groups)
    finally:
        for fd in opened:
            os.close(fd)


def _hand_over(fds: list[int], groups: tuple[str, ...] | None) -> WaitingLauncher | int:
    """The launcher that works on the job: one that waited, or the process of a new one."""
    if groups is not None:
        launcher = WAITING.take(groups)
        try:
            launcher.start(fds)
            return launcher
        except OSError:  # somebody ended it while it waited; a new one says what is wrong
            WAITING.leave(launcher)
    command = launcher_command()
    actions: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_DUP2, fd, target) for fd, target in zip(fds, (0, 3, 4), strict=True)
    ]
    actions += [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_WRONLY, 0) for n in (1, 2)]
    return os.posix_spawn(command[0], command, {}, file_actions=actions)


def _collect(
    launcher: WaitingLauncher | int | None, reading: int, groups: tuple[str, ...] | None
) -> Report:
    try:
        if groups is not None:
            WAITING.refill(groups)
        report = _read_report(reading)
        if groups is not None and isinstance(launcher, WaitingLauncher) and report.values:
            WAITING.give_back(launcher, groups)
            launcher = None
        return report
    except BaseException:  # Ctrl-C: the job ends with its launcher
        if isinstance(launcher, int):
            os.kill(launcher, signal.SIGKILL)
        raise
    finally:
        if isinstance(launcher, int):
            os.waitpid(launcher, 0)
        elif launcher is not None:
            WAITING.leave(launcher)


def _read_report(reading: int) -> Report:
    data = bytearray()
    while b"\n\n" not in data:
        block = os.read(reading, 1 << 16)
        if not block:
            return Report(values={})
        data += block
    header, _, rest = bytes(data).partition(b"\n\n")
    values = dict(line.split("=", 1) for line in header.decode().splitlines())
    sizes = {n: values.get(n, "0,0").split(",") for n in STREAMS}
    body, total = bytearray(rest), sum(int(size) for size, _ in sizes.values())
    while len(body) < total and (block := os.read(reading, 1 << 20)):
        body += block
    streams, at = {}, 0
    for name, (size, _) in sizes.items():
        streams[name] = bytes(body[at : at + int(size)])
        at += int(size)
    return Report(
        values=values, streams=streams, truncated={n: x == "1" for n, (_, x) in sizes.items()}
    )


def _encode(kind: str, data: bytes) -> bytes:
    return struct.pack("=cI", kind.encode(), len(data) + 1) + data + b"\0"


def _memory_file(name: str, content: bytes, opened: list[int]) -> int:
    fd = _raise(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), opened)
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def _raise(fd: int, opened: list[int]) -> int:
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH)
    finally:
        os.close(fd)
    opened.append(high)
    return high
