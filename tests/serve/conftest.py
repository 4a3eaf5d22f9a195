"""A tiny model served in this process, asked without sockets."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from burnish.serve.app import make_app
from burnish.serve.settings import ServeSettings
from burnish.serve.start import ModelSettings, SandboxSettings, make_parts

URL = "http://127.0.0.1"


class Asked:
    """An application, and requests to it from code that is not asynchronous."""

    def __init__(self, parts: Any) -> None:
        self.parts, self.app = parts, make_app(parts)
        self.served = parts.served

    def client(self, **settings: Any) -> httpx.AsyncClient:
        """A client of the application; a failure of a route is a response with status 500."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=URL, **settings)

    def send(self, method: str, path: str, **settings: Any) -> httpx.Response:
        """One request."""

        async def send() -> httpx.Response:
            async with self.client() as client:
                return await client.request(method, path, **settings)

        return asyncio.run(send())

    def get(self, path: str, **settings: Any) -> httpx.Response:
        """A GET."""
        return self.send("GET", path, **settings)

    def post(self, path: str, body: Any, **settings: Any) -> httpx.Response:
        """A POST of JSON."""
        return self.send("POST", path, json=body, **settings)


@contextmanager
def serving(folder: Path, *, sandbox: int = 0, **settings: Any) -> Iterator[Asked]:
    """A model of this folder, served while the block lasts."""
    bounds = {name: settings.pop(name) for name in ("num_workers", "max_waiting", "deadline_s")
              if name in settings}  # fmt: skip
    wanted = ModelSettings(
        model=str(folder),
        precision=settings.pop("precision", "fp32"),
        device="cpu",
        listen=ServeSettings(**bounds),
        sandbox=SandboxSettings(num_workers=sandbox),
        **{"context_tokens": 1024, **settings},
    )
    asked = Asked(make_parts(wanted))
    try:
        yield asked
    finally:
        asked.served.worker.stop()


@pytest.fixture(scope="session")
def asked(tiny_folder: Callable[[str], Path]) -> Iterator[Asked]:
    """The llama-like tiny model, 32 slots."""
    with serving(tiny_folder("llama"), num_workers=32, max_waiting=64) as one:
        yield one
