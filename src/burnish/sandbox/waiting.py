"""Launchers that wait: what takes longest is done before a job comes.

New namespaces and the move into a control group make the kernel wait, milliseconds on a busy
machine. A launcher that waits has both behind it. It serves one job after another, and prepares
anew for each: namespaces, keeper and disk go with their job, and nothing of it meets the next.
"""

import atexit
import os
import socket
import threading
from dataclasses import dataclass

from burnish.sandbox.launcher import launcher_command

MAX_WAITING = 16
CONTROL_FD = 3


@dataclass(frozen=True, kw_only=True)
class WaitingLauncher:
    """A process that waits for a job at the other end of `line`."""

    pid: int
    line: socket.socket

    def start(self, fds: list[int]) -> None:
        """Hand over input, description and the pipe for the report. Raises: OSError."""
        socket.send_fds(self.line, [b"j"], fds)

    def ended(self, *, wait: bool) -> bool:
        """Whether the process has ended and was reaped; with `wait`, wait for that."""
        try:
            return os.waitpid(self.pid, 0 if wait else os.WNOHANG)[0] != 0
        except ChildProcessError:
            return True


class Waiting:
    """The launchers that wait, for each set of control groups; one more than jobs ran at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ready: dict[tuple[str, ...], list[WaitingLauncher]] = {}
        self._leaving: list[WaitingLauncher] = []
        self._owner = 0

    def take(self, groups: tuple[str, ...]) -> WaitingLauncher:
        """Take the launcher that has waited longest, or start one."""
        with self._lock:
            if self._owner != os.getpid():  # after a fork they are our parent's
                for one in (x for rows in self._ready.values() for x in rows):
                    one.line.close()  # only our copy: the parent's stays open
                self._ready, self._leaving, self._owner = {}, [], os.getpid()
                atexit.register(self.dismiss)
            ready = self._ready.setdefault(groups, [])
            taken = ready.pop(0) if ready else None
        return taken or _start(groups)

    def refill(self, groups: tuple[str, ...]) -> None:
        """Start a launcher for the next job while this one runs."""
        if not self._ready.get(groups):
            self.give_back(_start(groups), groups)

    def give_back(self, launcher: WaitingLauncher, groups: tuple[str, ...]) -> None:
        """Let a launcher whose job has ended prepare for another."""
        with self._lock:
            ready = self._ready.setdefault(groups, [])
            enough = len(ready) >= MAX_WAITING
            if not enough:
                ready.append(launcher)
        if enough:
            self.leave(launcher)

    def leave(self, launcher: WaitingLauncher) -> None:
        """Close the line, which ends a job that still runs; the process cleans up after itself."""
        launcher.line.close()
        with self._lock:
            self._leaving.append(launcher)
            self._leaving = [x for x in self._leaving if not x.ended(wait=False)]

    def settle(self) -> None:
        """Wait until all launchers that were let go have ended."""
        with self._lock:
            leaving, self._leaving = self._leaving, []
        for one in leaving:
            one.ended(wait=True)

    def dismiss(self) -> None:
        """End the waiting launchers, too."""
        if self._owner != os.getpid():
            return
        with self._lock:
            gone, self._ready = [x for rows in self._ready.values() for x in rows], {}
        for one in gone:
            self.leave(one)
        self.settle()


WAITING = Waiting()


def _start(groups: tuple[str, ...]) -> WaitingLauncher:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = (*launcher_command(), "wait", *groups)
    with theirs:
        actions = [
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), CONTROL_FD),
            *((os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in (0, 1, 2)),
        ]
        pid = os.posix_spawn(command[0], command, {}, file_actions=actions)
    return WaitingLauncher(pid=pid, line=ours)
