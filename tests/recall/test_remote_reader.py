"""A server with prompt log-probabilities, planted: both dialects, and none."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fixtures.recalling import SEPARATOR, random_material, rows_of, suffix_rule

from burnish.base.errors import ModelError, RemoteError
from burnish.models.remote import Remote
from burnish.recall.points import make_curve
from burnish.recall.readers import open_reader
from burnish.recall.settings import RecallSettings

WINDOW = 20
Answer = Callable[[list[int]], dict[str, Any]]


def guesses(prompt: list[int]) -> list[int]:
    """The server's model: a suffix matcher over the last 20 tokens; place 0 has no guess."""
    return [-9, *suffix_rule(WINDOW)(prompt, len(prompt) - 1)]


def ranked(prompt: list[int]) -> dict[str, Any]:
    """As vLLM answers: the token's own entry, and the likeliest one's."""
    rows: list[Any] = [None]
    for token, guess in list(zip(prompt, guesses(prompt), strict=True))[1:]:
        row = {str(guess): {"logprob": -0.1, "rank": 1}}
        row.setdefault(str(token), {"logprob": -3.0, "rank": 7})
        rows.append(row)
    return {"prompt_logprobs": rows, "text": "x"}


def echoed(prompt: list[int]) -> dict[str, Any]:
    """As OpenAI's completions answer `echo`; one more token was generated."""
    own: list[Any] = [None]
    top: list[Any] = [None]
    for token, guess in list(zip(prompt, guesses(prompt), strict=True))[1:]:
        own.append(-0.1 if token == guess else -3.0)
        top.append({"best": -0.1})
    return {"logprobs": {"token_logprobs": [*own, -1.0], "top_logprobs": [*top, {"z": -1.0}]}}


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Remote]]:
    """Start a server that answers prompts so."""
    servers = []

    def start(answer: Answer) -> Remote:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if len(body["prompt"]) > 75:
                    self.send_error(400, "too long")
                    return
                reply = json.dumps({"choices": [answer(body["prompt"])]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return Remote(url=f"http://127.0.0.1:{server.server_port}/v1", name="m", timeout_s=10)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def curve_of(remote: Remote, lengths: str = "8,18,19,20,30") -> dict[str, Any]:
    settings = RecallSettings(
        lengths=lengths, trials=3, mode="paper", least_tokens=8, model="openai:x"
    )
    rows = rows_of(open_reader(remote), random_material(60, 3), settings)
    return make_curve(rows, settings)


def test_ranks_and_echo_agree(serve: Any) -> None:
    """Both dialects find the server's window."""
    found = [curve_of(serve(answer)) for answer in (ranked, echoed)]
    assert found[0] == found[1]
    assert (found[0]["fine_tokens"], found[0]["coarse_tokens"]) == (19, 19)


def test_planted_rows_one_place_late(serve: Any) -> None:
    def late(prompt: list[int]) -> dict[str, Any]:
        rows = ranked(prompt)["prompt_logprobs"]
        shifted = [None, *rows[2:], rows[1]]
        for token, row in list(zip(prompt, shifted, strict=True))[1:]:
            row.setdefault(str(token), {"logprob": -3.0, "rank": 7})
        return {"prompt_logprobs": shifted}

    assert curve_of(serve(late))["fine_tokens"] == 0


def test_a_prompt_that_is_too_long_fails_at_its_length(serve: Any) -> None:
    curve = curve_of(serve(ranked), "8,19,60")
    assert [point["state"] for point in curve["points"]] == ["fine", "fine", "failed"]
    assert "400" in curve["points"][2]["error"]


def test_a_server_without_them_is_named(serve: Any) -> None:
    with pytest.raises(ModelError, match="returns no log-probabilities of the prompt"):
        curve_of(serve(lambda prompt: {"text": "x", "logprobs": None}))


def test_no_server() -> None:
    reader = open_reader(Remote(url="http://127.0.0.1:1/v1", name="m", timeout_s=2))
    with pytest.raises(RemoteError, match="must answer"):
        reader.predict([SEPARATOR, 1, 2], 1)
