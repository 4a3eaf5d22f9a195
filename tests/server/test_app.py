"""The application as a whole: its schema under random requests, its border, its page."""

import asyncio
import json
from typing import Any

import pytest
import schemathesis
from fixtures.served import Asked, serving
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from burnish.server import chats
from burnish.server.app import Border
from burnish.server.errors import ApiError

NAME = "llama"
EXAMPLES = 5  # a path and kind; a server that is looked at closely deserves thousands


def affordable(body: Any) -> Any:
    """The same request to the model that is there, with little to write."""
    if not isinstance(body, dict):
        return body
    least = {"n": 2, "max_tokens": 3, "max_completion_tokens": 3}
    few = {k: min(v, least[k]) for k, v in body.items() if k in least and isinstance(v, int)}
    named = {"model": NAME} if "model" in body else {}
    bounded = {"max_tokens": 3} if "messages" in body else {}
    return {**body, **bounded, **few, **named}


def check_schema(asked: Asked, num_examples: int) -> None:
    """No request that the schema allows, or nearly allows, gets a status of 500 or more."""
    schema = schemathesis.openapi.from_dict(asked.get("/openapi.json").json())
    seen: set[int] = set()

    def check(path: str, mode: GenerationMode, operation: Any) -> None:
        @settings(
            max_examples=num_examples,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            content = json.dumps(affordable(case.body), default=str).encode()
            found = asked.send("POST", path, content=content)
            seen.add(found.status_code)
            assert found.status_code < 500, (path, content, found.text)

        send()

    for operation in (found.ok() for found in schema.get_all_operations()):
        if operation.method.upper() == "POST":
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                check(operation.path, mode, operation)
    assert {200, 400} <= seen


def test_no_request_breaks_the_server(asked: Asked) -> None:
    check_schema(asked, EXAMPLES)


def test_planted_endpoint_that_fails(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(chats, "offers_tools", fail)
    monkeypatch.setattr(type(asked.served), "conversation", fail)
    with pytest.raises(AssertionError, match="the server failed"):
        check_schema(asked, EXAMPLES)


@settings(max_examples=40)
@given(content=st.binary(max_size=60), path=st.sampled_from(["completions", "embeddings"]))
def test_bytes_that_are_no_request(asked: Asked, content: bytes, path: str) -> None:
    assert asked.send("POST", f"/v1/{path}", content=content).status_code == 400


@pytest.mark.parametrize(
    "content",
    [b"[" * 200_000, b'{"model": "llama", "prompt": ' + b"9" * 9999 + b"}", b"\xff\xfe", b"null",
     b'{"model": "llama", "prompt": "x", "seed": 1e999}', b'{"a": NaN}', b""],
)  # fmt: skip
def test_bodies_made_to_hurt(asked: Asked, content: bytes) -> None:
    found = asked.send("POST", "/v1/completions", content=content)
    assert found.status_code == 400 and "message" in found.json()["error"]


def test_a_huge_body_is_refused(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("burnish.server.app.MAX_BODY_BYTES", 1000)
    body = {"model": NAME, "prompt": "a" * 2000}
    found = asked.post("/v1/completions", body)
    assert found.status_code == 413 and "at most 1000 bytes" in found.json()["error"]["message"]

    async def pieces() -> Any:
        for _ in range(30):
            yield b"a" * 100

    found = asked.send("POST", "/v1/completions", content=pieces())
    assert found.status_code in (400, 413)


def test_pages_of_other_sites_are_refused(asked: Asked) -> None:
    body = {"model": NAME, "prompt": "x", "max_tokens": 1}
    for headers, status in (
        ({"Origin": "http://evil.example"}, 403),
        ({"Host": "evil.example:8080", "Origin": "http://evil.example:8080"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "[::1]:80", "Origin": "http://[::1]:80"}, 200),
        ({"Host": "127.0.0.1:80", "Origin": "http://127.0.0.1:80"}, 200),
    ):
        assert asked.post("/v1/completions", body, headers=headers).status_code == status


def test_planted_border_that_lets_all_in(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Border, "_foreign", lambda self, headers: "")
    with pytest.raises(AssertionError):
        test_pages_of_other_sites_are_refused(asked)


def test_the_page_and_its_assets(asked: Asked) -> None:
    page = asked.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for part in ('data-model="llama"', 'max="1024"', "/assets/chat.js"):
        assert part in page.text
    kinds = {n: asked.get(f"/assets/{n}").headers["content-type"].partition(";")[0]
             for n in ("report.css", "report.js", "chat.css", "chat.js")}  # fmt: skip
    assert set(kinds.values()) == {"text/css", "text/javascript"}
    assert asked.get("/assets/../app.py").status_code == 404


def test_metrics_tell_of_requests_and_tokens(asked: Asked) -> None:
    def value(name: str) -> float:
        lines = asked.get("/metrics").text.splitlines()
        return float(next((x.split()[-1] for x in lines if x.startswith(name + " ")), 0))

    names = [
        'burnish_tokens_total{kind="generated"}',
        'burnish_requests_total{path="/v1/completions",status="200"}',
        "burnish_first_token_seconds_count",
    ]
    before = [value(name) for name in names]
    body = {"model": NAME, "prompt": [5, 6], "max_tokens": 4, "temperature": 0}
    written = asked.post("/v1/completions", body).json()["usage"]["completion_tokens"]
    assert [value(n) - b for n, b in zip(names, before, strict=True)] == [written, 1, 1]
    assert value('burnish_running{queue="model"}') == 0


def test_a_full_queue_says_when_to_come_again(tiny_folder: Any) -> None:
    with serving(tiny_folder("llama"), num_workers=1, max_waiting=1) as one:
        body = {"model": NAME, "prompt": [5], "max_tokens": 3}

        async def ask() -> Any:
            gate = one.served.gate
            async with one.client() as client:
                async with gate.slot():
                    waiting = asyncio.ensure_future(client.post("/v1/completions", json=body))
                    while not gate.num_waiting:
                        await asyncio.sleep(0)
                    full = await client.post("/v1/completions", json=body)
                return full, await waiting

        full, waited = asyncio.run(ask())
        assert full.status_code == 429 and full.headers["retry-after"] == "1"
        assert full.json()["error"]["code"] == "rate_limit_exceeded"
        assert waited.status_code == 200


def test_an_error_within_a_stream_is_its_last_event(asked: Asked, monkeypatch: Any) -> None:
    async def fail(self: Any) -> Any:
        raise ApiError("planted", status=503)
        yield

    monkeypatch.setattr("burnish.server.writing.Writing.events", fail)
    body = {"model": NAME, "prompt": [5], "max_tokens": 3, "stream": True}
    events = asked.post("/v1/completions", body).text.strip().split("\n\n")
    assert json.loads(events[-1][6:])["error"]["message"] == "planted"
    assert asked.served.gate.num_running == 0
