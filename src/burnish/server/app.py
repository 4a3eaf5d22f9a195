"""The application: routes of a model and of the sandbox behind one token, queue and schema."""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

import burnish
from burnish.server.chats import chat_routes
from burnish.server.completions import completion_routes
from burnish.server.embeddings import model_routes
from burnish.server.errors import error_body, install_errors
from burnish.server.gate import Gate
from burnish.server.metrics import Metrics
from burnish.server.page import page_routes
from burnish.server.sandbox import sandbox_routes
from burnish.server.served import ServedModel
from burnish.server.settings import MAX_BODY_BYTES, is_loopback

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
OPEN = {"/health", "/v1/ping", "/"}  # no token, nor for /assets/: they tell nothing secret


@dataclass(kw_only=True)
class Parts:
    """What an application is made of; `gates` are its queues by name."""

    token: str = ""
    gates: dict[str, Gate] = field(default_factory=dict)
    metrics: Metrics | None = None
    served: ServedModel | None = None
    num_sandbox_workers: int = 0  # 0: no sandbox
    isolation: str = "auto"


def make_app(parts: Parts) -> FastAPI:
    """The ASGI application. Its worker must have been started."""
    app = FastAPI(
        title="burnish",
        version=burnish.__version__,
        docs_url=None,
        redoc_url=None,
        strict_content_type=False,
    )
    metrics = parts.metrics or Metrics(parts.gates)
    install_errors(app)
    app.include_router(_state_routes(parts, metrics))
    if parts.served is not None:
        for made in (model_routes, completion_routes, chat_routes, page_routes):
            app.include_router(made(parts.served))
    if parts.num_sandbox_workers:
        gate, num = parts.gates["sandbox"], parts.num_sandbox_workers
        app.include_router(sandbox_routes(gate, num_workers=num, isolation=parts.isolation))
    paths = frozenset(app.openapi()["paths"])
    app.add_middleware(Border, token=parts.token, metrics=metrics, paths=paths)
    return app


def _state_routes(parts: Parts, metrics: Metrics) -> Any:
    from fastapi import APIRouter

    router = APIRouter()

    @router.get("/health")
    async def health() -> Response:
        """200 while requests are taken in, 503 once the server stops."""
        stopping = any(gate.is_draining for gate in parts.gates.values())
        return JSONResponse({"status": "stopping" if stopping else "ok"}, 503 if stopping else 200)

    @router.get("/v1/ping")
    async def ping() -> str:
        """SandboxFusion's sign of life."""
        return "pong"

    @router.get("/metrics")
    async def read_metrics() -> Response:
        """Counters in Prometheus' text format."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    return router


class Border:
    """Asks for the token, bounds bodies and counts answers; streams pass through untouched."""

    def __init__(self, app: Any, *, token: str, metrics: Metrics, paths: frozenset[str]) -> None:
        self._app, self._token, self._metrics, self._paths = app, token, metrics, paths

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        known = path if path in self._paths else "other"

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requests.labels(known, str(message["status"])).inc()
            await send(message)

        headers = {name.lower(): value for name, value in scope["headers"]}
        if message := self._foreign(headers):
            foreign = JSONResponse(error_body(path, 403, message), 403)
            await foreign(scope, receive, count)
            return
        if not _is_open(path) and not self._is_allowed(headers.get(b"authorization", b"")):
            refused = JSONResponse(error_body(path, 401, "a bearer token is needed"), 401)
            await refused(scope, receive, count)
            return
        size = headers.get(b"content-length", b"0")
        if not size.isdigit() or int(size) > MAX_BODY_BYTES:
            message = f"a body has at most {MAX_BODY_BYTES} bytes"
            too_large = JSONResponse(error_body(path, 413, message), 413)
            await too_large(scope, receive, count)
            return
        await self._app(_as_json(scope), _Bounded(receive), count)

    def _foreign(self, headers: dict[bytes, bytes]) -> str:
        """Why a request comes from a page of another site; empty where it does not.

        Browsers send one to this machine for any page that is open in them.
        """
        host, origin = headers.get(b"host", b"").decode("latin-1"), headers.get(b"origin")
        if not self._token and not is_loopback(_host_name(host)):
            return "without a token, only addresses of this machine are answered"
        if origin is not None and origin.decode("latin-1").partition("://")[2] != host:
            return "pages of other sites are not answered"
        return ""

    def _is_allowed(self, shown: bytes) -> bool:
        if not self._token:
            return True
        shown = shown.removeprefix(b"Bearer ").strip()
        return hmac.compare_digest(shown, self._token.encode())


class _Bounded:
    """A body without a length that grows too large ends as if the client had left."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._num_bytes = receive, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._num_bytes += len(message.get("body", b""))
        return {"type": "http.disconnect"} if self._num_bytes > MAX_BODY_BYTES else message


def _as_json(scope: Message) -> Message:
    """Every body is read as JSON, whatever a client such as `curl -d` calls it."""
    others = [header for header in scope["headers"] if header[0].lower() != b"content-type"]
    return {**scope, "headers": [*others, (b"content-type", b"application/json")]}


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith("/assets/")


def _host_name(host: str) -> str:
    """The name or address without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
