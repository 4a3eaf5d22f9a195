"""Real sockets: clients that leave or read slowly, and a stop that loses nothing."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fixtures.served import Listening, serving, until

from burnish.server.writing import Writing

NAME = "llama"
LONG = {"model": NAME, "prompt": [5, 6, 7], "max_tokens": 200, "temperature": 1, "seed": 3}


@pytest.fixture
def listening(tiny_folder: Any) -> Iterator[Listening]:
    with serving(tiny_folder("llama"), num_workers=2) as asked:
        one = Listening(asked)
        yield one
        one.stop()


def check_leaving(one: Listening, *, stream: bool) -> None:
    """A client that leaves frees its place long before its text would have ended."""
    served = one.asked.served
    wanted, counter = {**LONG, "n": 2}, served.metrics.tokens.labels("generated")
    with one.client() as client:
        client.post("/v1/completions", json=wanted)
    whole, body = counter._value.get(), json.dumps({**wanted, "stream": stream}).encode()
    with socket.create_connection(("127.0.0.1", one.server.port)) as left:
        head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}"
        left.sendall(head.encode() + b"\r\n\r\n" + body)
        until(lambda: served.worker.num_active == 2)
        if stream:
            assert left.recv(100)
    until(lambda: served.worker.num_active == 0 and served.gate.num_running == 0, seconds=20)
    assert whole > 50 and counter._value.get() < 2 * whole


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_place(listening: Listening, stream: bool) -> None:
    check_leaving(listening, stream=stream)


def test_planted_request_that_is_not_cancelled(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def keep(self: Any, *_: Any) -> None:
        self._slot.leave()

    monkeypatch.setattr(Writing, "__aexit__", keep)
    with pytest.raises(AssertionError):
        check_leaving(listening, stream=True)


def test_a_slow_reader_gets_all_and_keeps_no_place(listening: Listening) -> None:
    gate, body = listening.asked.served.gate, {**LONG, "stream": True, "max_tokens": 60}
    with listening.client() as client:
        whole = client.post("/v1/completions", json={**body, "stream": False}).json()
        with client.stream("POST", "/v1/completions", json=body) as reply:
            until(lambda: gate.num_running == 0)  # decoded, though nothing was read
            events = "".join(part for part in reply.iter_text(64)).strip().split("\n\n")
    texts = [json.loads(event[6:])["choices"][0]["text"] for event in events[:-1]]
    assert "".join(texts) == whole["choices"][0]["text"] and events[-1] == "data: [DONE]"


def test_stopping_finishes_what_was_taken_in(listening: Listening) -> None:
    replies: list[httpx.Response] = []

    def ask() -> None:
        with listening.client() as client:
            replies.append(client.post("/v1/completions", json={**LONG, "max_tokens": 120}))

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: listening.asked.served.worker.num_active == 1)
    listening.server.handle_exit(15, None)
    asking.join()
    listening.thread.join(60)
    assert not listening.thread.is_alive()
    assert replies[0].json()["usage"]["completion_tokens"] > 0
    with pytest.raises(httpx.ConnectError), listening.client() as client:
        client.get("/health")
