"""Listen until a signal: what was taken in is finished first."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import uvicorn

from burnish.base.errors import IncompleteError, SettingError
from burnish.base.progress import say
from burnish.server.gate import Gate
from burnish.server.settings import ServeSettings


def listen(app: Any, settings: ServeSettings, gates: Sequence[Gate]) -> None:
    """Answer until SIGINT or SIGTERM. A second signal ends what is not finished.

    Raises SettingError for an address that cannot be opened, IncompleteError where requests were
    broken off.
    """
    Server(app, settings, gates).run()
    left = sum(gate.num_running + gate.num_waiting for gate in gates)
    if left:
        raise IncompleteError(
            "server", left, "was stopped before its requests were finished",
            remedy="Their clients received no complete answer",
        )  # fmt: skip


def open_socket(host: str, port: int) -> socket.socket:
    """A bound socket. Raises SettingError."""
    try:
        kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(kind, socket.SOCK_STREAM)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
        except OSError:
            opened.close()
            raise
    except OSError as error:
        remedy = "Name another with --port, or 0 for a free one"
        rule = f"could not be opened ({error.strerror or error})"
        raise SettingError("port", port, rule, remedy=remedy) from error
    return opened


class Server(uvicorn.Server):
    """Tells where it listens; the first signal drains, the second ends.

    Raises SettingError for an address that cannot be opened. `port` is the one it listens on.
    """

    def __init__(self, app: Any, settings: ServeSettings, gates: Sequence[Gate]) -> None:
        drain_s = max(int(settings.drain_s), 1)
        quiet = {"log_level": "warning", "access_log": False, "lifespan": "off"}
        super().__init__(uvicorn.Config(app, timeout_graceful_shutdown=drain_s, **quiet))
        self._gates, self._opened = gates, open_socket(settings.host, settings.port)
        self.port, host = int(self._opened.getsockname()[1]), settings.host
        self._address = f"{f'[{host}]' if ':' in host else host}:{self.port}"

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer until a signal."""
        with self._opened:
            asyncio.run(self.serve(sockets=[self._opened]))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets=sockets)
        say(f"listening on http://{self._address}")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while it runs; another thread than the first gets none."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """The first signal refuses what is new, the second ends what is left."""
        if self.should_exit:
            self.force_exit = True
            return
        self.should_exit = True
        for gate in self._gates:
            gate.drain()
        say("stopping: finishing what was taken in; a second signal ends it at once")
