"""Talking to a server that speaks the OpenAI protocol; the server here is a stub."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from burnish.base.errors import RemoteError, SettingError
from burnish.contracts.generation import Sampling
from burnish.models.remote import Remote

PLAIN = {"max_tokens": 5, "temperature": 0.0, "top_p": 1.0, "seed": 0}


class Server:
    """What it was asked, and what it answers: a status and a body."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], str | None]] = []
        self.status, self.body = 200, b""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((self.path, json.loads(text), self.headers["Authorization"]))
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: Any) -> None:
                """Stay silent."""

        self.http = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.spec = f"openai:http://127.0.0.1:{self.http.server_port}/v1/#some/model"

    def say(self, choice: dict[str, Any], num_tokens: int | None = 3) -> None:
        """Answer every request with this choice."""
        usage = {} if num_tokens is None else {"usage": {"completion_tokens": num_tokens}}
        self.body = json.dumps({"id": "r1", "choices": [choice], **usage}).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    stub = Server()
    thread = threading.Thread(target=stub.http.serve_forever, args=(0.01,))
    thread.start()
    yield stub
    stub.http.shutdown()
    thread.join()
    stub.http.server_close()


def test_complete(server: Server) -> None:
    server.say({"text": " Paris.", "finish_reason": "length"})
    done = Remote.parse(server.spec).complete("The capital", Sampling(max_new_tokens=5))
    assert (done.text, len(done.tokens), done.num_passes, done.finish) == (
        " Paris.",
        3,
        3,
        "length",
    )
    path, body, key = server.asked[0]
    assert path == "/v1/completions" and key is None
    assert body == {"prompt": "The capital", "model": "some/model", **PLAIN}


def test_chat(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "abc")
    server.say({"message": {"content": "Hi"}, "finish_reason": "stop"}, None)
    messages = [{"role": "user", "content": "hello"}]
    done = Remote.parse(server.spec).chat(messages, Sampling(max_new_tokens=5))
    assert (done.text, done.tokens, done.finish) == ("Hi", (), "eos")
    path, body, key = server.asked[0]
    assert path == "/v1/chat/completions" and key == "Bearer abc"
    assert body == {"messages": messages, "model": "some/model", **PLAIN}


@pytest.mark.parametrize(
    ("reason", "stop", "finish"),
    [
        ("stop", (), "eos"),
        ("stop", ("\n",), "stop"),  # the server does not tell which of the two
        ("length", (), "length"),
        ("content_filter", (), "stop"),
        (None, (), "stop"),
    ],
)
def test_how_a_text_ended(reason: Any, stop: Any, finish: str, server: Server) -> None:
    server.say({"text": "a", "finish_reason": reason})
    assert Remote.parse(server.spec).complete("x", Sampling(stop=stop)).finish == finish


def test_no_content_is_an_empty_text(server: Server) -> None:
    server.say({"message": {"content": None}, "finish_reason": "tool_calls"}, 0)
    assert Remote.parse(server.spec).chat([], Sampling()).text == ""


def test_extensions_are_sent_only_when_used(server: Server) -> None:
    server.say({"text": ""})
    sampling = Sampling(
        max_new_tokens=5, temperature=0.5, top_k=9, min_p=0.1, repetition_penalty=1.2, stop=("\n",)
    )
    Remote.parse(server.spec).complete("x", sampling)
    extra = {"top_k": 9, "min_p": 0.1, "repetition_penalty": 1.2, "stop": ["\n"]}
    body = server.asked[0][1]
    assert body == {"prompt": "x", "model": "some/model", **PLAIN, "temperature": 0.5, **extra}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"out of memory"),
        (404, b'{"error": "no such model"}'),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b'{"choices": []}'),
        (200, b"[]"),
        (200, b'{"choices": [{"finish_reason": "stop"}]}'),
        (200, b'{"choices": [{"text": "a"}], "usage": {"completion_tokens": "many"}}'),
        (200, b'{"choices": ["a"]}'),
    ],
)
def test_server_errors(status: int, body: bytes, server: Server) -> None:
    server.status, server.body = status, body
    with pytest.raises(RemoteError, match=r"must (answer|follow OpenAI's interface)") as caught:
        Remote.parse(server.spec).complete("x", Sampling())
    assert caught.value.exit_code == 2
    assert isinstance(caught.value, ConnectionError)


def test_nobody_listens(server: Server) -> None:
    spec = server.spec
    server.http.server_close()  # the port is free again
    with pytest.raises(RemoteError):
        Remote.parse(spec).complete("x", Sampling())


@pytest.mark.parametrize(
    "spec", ["openai:", "openai:localhost#m", "openai:http://h/v1", "openai:http://h/v1#"]
)
def test_wrong_addresses(spec: str) -> None:
    with pytest.raises(SettingError, match="openai:URL#name"):
        Remote.parse(spec)


def test_generate_and_chat_through_the_commands(
    server: Server, burnish: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    server.say({"text": " Paris", "finish_reason": "stop"})
    done = burnish("generate", server.spec, "The capital", "--json")
    assert done.status == 0 and (done.json["text"], done.json["tokens"]) == (" Paris", 3)
    server.say({"message": {"content": "Hi"}})
    monkeypatch.setattr(sys, "stdin", io.StringIO("hello\nagain\n"))
    done = burnish("chat", server.spec)
    assert (done.status, done.out) == (0, "Hi\nHi\n")
    assert [m["content"] for m in server.asked[-1][1]["messages"]] == ["hello", "Hi", "again"]
    server.status = 503
    done = burnish("generate", server.spec, "The capital")
    assert done.status == 2 and done.out == ""
    assert done.err.splitlines()[-1].startswith("error: server ")
