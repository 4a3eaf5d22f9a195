"""The HTTP service: bounded, with deadlines, metrics and a token. Standard library only."""

import hmac
import ipaddress
import json
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from burnish.base.errors import BurnishError, IncompleteError, SettingError
from burnish.base.files import existing_file
from burnish.base.progress import say
from burnish.sandbox import service_api

MAX_BODY_BYTES = 64 << 20
ENDPOINTS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "/run_code": service_api.run_code,
    "/judge": service_api.judge_code,
    "/analyze": service_api.analyze_code,
    "/detect": service_api.detect_code,
}
RETRIED = {"/run_code": 504}  # all that verl's client tries again; else its test has failed


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """`max_waiting` requests may wait for one of `num_workers` slots; more get 429.

    A request that has not begun after `deadline_s` gets 503, and so does one whose job the deadline
    ends before a limit of its own: no verdict depends on how long others took. `/run_code` says 504
    in all these cases, which is what verl's client tries again. `token_file` holds
    the bearer token that every request must show.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    num_workers: int = 2
    max_waiting: int = 64
    deadline_s: float = 120.0
    token_file: str = ""
    isolation: str = "auto"

    def __post_init__(self) -> None:
        if not self.token_file and not _is_loopback(self.host):
            remedy = "Give --token-file FILE, or listen on 127.0.0.1"
            rule = "needs a token for addresses that others can reach"
            raise SettingError("host", self.host, rule, remedy=remedy)
        if not 0 <= self.port < 1 << 16:
            remedy = "Name another, or 0 for a free one"
            raise SettingError("port", self.port, "must be below 65536", remedy=remedy)
        if not 0 < self.deadline_s < float("inf"):
            rule, remedy = "must be positive", "Name some seconds"
            raise SettingError("deadline_s", self.deadline_s, rule, remedy=remedy)


class Refused(Exception):
    """A request that is not begun; `status` is the HTTP status that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Gate:
    """The slots that requests run in, and the counters of what happened."""

    settings: ServiceSettings
    waiting: int = 0
    running: int = 0
    draining: bool = False
    seconds: float = 0.0
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def slot(self, deadline: float):
        """Hold a slot for the block. Raises: Refused with 429 (full) or 503 (late, draining)."""
        self._enter(deadline)
        started = time.monotonic()
        try:
            yield
        finally:
            with self.changed:
                self.running -= 1
                self.seconds += time.monotonic() - started
                self.changed.notify_all()

    def _enter(self, deadline: float) -> None:
        with self.changed:
            if self.draining:
                raise Refused(503, "the service is stopping")
            free = self.running < self.settings.num_workers and not self.waiting
            if not free and self.waiting >= self.settings.max_waiting:
                raise Refused(429, f"{self.waiting} requests are waiting already")
            self.waiting += 1
            try:
                if not self.changed.wait_for(self._is_free, deadline - time.monotonic()):
                    raise Refused(503, "no slot was free before the deadline")
            finally:
                self.waiting -= 1
            self.running += 1

    def _is_free(self) -> bool:
        return self.running < self.settings.num_workers

    def drain(self) -> None:
        """Refuse what is new, and return when all that was taken in is answered."""
        with self.changed:
            self.draining = True
            self.changed.wait_for(lambda: not self.running and not self.waiting)

    def metrics(self) -> str:
        """The counters, as Prometheus reads them."""
        with self.changed:
            rows = [
                f'burnish_sandbox_requests_total{{path="{path}",status="{status}"}} {count}'
                for (path, status), count in sorted(self.answers.items())
            ]
            rows += [
                f"burnish_sandbox_running {self.running}",
                f"burnish_sandbox_waiting {self.waiting}",
                f"burnish_sandbox_busy_seconds_total {self.seconds:.6f}",
            ]
        return "\n".join(rows) + "\n"


class Service:
    """A running service; `port` is the one it listens on."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings, self.gate = settings, Gate(settings=settings)
        self.token = ""
        if settings.token_file:
            self.token = existing_file(settings.token_file).read_text().strip()
            if not self.token:
                remedy = f"Write one into {Path(settings.token_file).name}"
                raise SettingError("token", "", "must not be empty", remedy=remedy)
        handler = type("BoundHandler", (_Handler,), {"service": self})
        try:
            self._server = _Server((settings.host, settings.port), handler)
        except OSError as error:
            remedy = "Name another with --port, or 0 for a free one"
            rule = f"could not be opened ({error.strerror or error})"
            raise SettingError("port", settings.port, rule, remedy=remedy) from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self) -> None:
        """Begin to answer, in threads of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Refuse new requests, finish those that were taken in, and close the port."""
        self.gate.drain()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the service says to one request. Raises: Refused; BurnishError, for its content."""
        deadline = time.monotonic() + self.settings.deadline_s
        with self.gate.slot(deadline):
            left = max(deadline - time.monotonic(), 0.001)
            return ENDPOINTS[path](body, deadline_s=left, isolation=self.settings.isolation)


def serve_forever(settings: ServiceSettings) -> None:
    """Answer until SIGINT or SIGTERM; what was taken in is finished first, or ends with a second.

    Raises: SettingError, for the address or the token; IncompleteError, by a second signal.
    """
    service, signals = Service(settings), threading.Semaphore(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: signals.release())
    service.start()
    say(f"listening on http://{settings.host}:{service.port} {', '.join(ENDPOINTS)}")
    signals.acquire()
    say("stopping: finishing what was taken in; a second time ends it at once")
    stopping = threading.Thread(target=service.stop, daemon=True)
    stopping.start()
    while stopping.is_alive():
        if signals.acquire(timeout=0.1):
            raise IncompleteError(
                "service", service.gate.running, "was stopped before its jobs had ended",
                remedy="Their clients have no answer",
            )  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Service

    def do_GET(self) -> None:
        """Health and metrics."""
        if self.path in {"/health", "/v1/ping"}:
            self._send(200, b'"pong"' if self.path == "/v1/ping" else b'{"status": "ok"}')
        elif self.path == "/metrics":
            if self._is_allowed():
                self._send(200, self.service.gate.metrics().encode(), kind="text/plain")
        else:
            self._fail(404, f"there is no {self.path}")

    def do_POST(self) -> None:
        """One request to one of the endpoints."""
        path = self.path.partition("?")[0]
        body = self._body()
        if body is None or not self._is_allowed():
            return
        if path not in ENDPOINTS:
            self._fail(404, f"there is no {path}; there are {', '.join(ENDPOINTS)}")
            return
        try:
            answer = self.service.answer(path, body)
        except Refused as error:
            status = RETRIED.get(path, error.status)
            self._fail(status, str(error), retry=True)
        except service_api.DeadlinePassed as error:
            self._fail(RETRIED.get(path, 503), str(error), retry=True)
        except BurnishError as error:
            self._fail(422, str(error))
        except Exception as error:  # ours to mend: the log has all of it, the client hears of it
            say(traceback.format_exc())
            self._fail(500, f"the service failed: {type(error).__name__}")
        else:
            self._send(200, json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace"))

    def _body(self) -> dict[str, Any] | None:
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal():
            self.close_connection = True
            return self._fail(411, "Content-Length is needed")
        if int(size) > MAX_BODY_BYTES:
            self.close_connection = True
            return self._fail(413, f"a body has at most {MAX_BODY_BYTES} bytes")
        try:
            body = json.loads(self.rfile.read(int(size)))
        except ValueError as error:
            return self._fail(400, f"the body must be JSON: {error}")
        return body if isinstance(body, dict) else self._fail(400, "the body must be an object")

    def _is_allowed(self) -> bool:
        wanted = self.service.token
        if not wanted:
            return True
        shown = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if hmac.compare_digest(shown.encode(), wanted.encode()):
            return True
        self._fail(401, "a bearer token is needed")
        return False

    def _fail(self, status: int, reason: str, *, retry: bool = False) -> None:
        self._send(status, json.dumps({"detail": reason}).encode(), retry=retry)

    def _send(
        self, status: int, body: bytes, *, kind: str = "application/json", retry: bool = False
    ) -> None:
        with self.service.gate.changed:
            path = self.path.partition("?")[0]
            self.service.gate.answers[path if path in ENDPOINTS else "other", status] += 1
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if retry:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client left before its answer came

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing per request: metrics count them."""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name: it may stand for any address
