"""Chats about a document: the official client, against `stream ask` on the same index."""

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest
from fixtures.served import Asked, serving
from fixtures.tiny import texts

from burnish.base.errors import InputError, ModelError, SettingError
from burnish.contracts.generation import Request, Sampling
from burnish.engine.generate import generate
from burnish.stream import asking
from burnish.stream.asking import Index

DOCUMENT, MODEL = "notes", "llama"
TURN = {"question": "What left?", "answer": "Boats."}
GIVEN = {"max_tokens": 6, "temperature": 0}


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


CHATS: list[tuple[list[Any], list[dict[str, str]], str]] = [
    ([user("What rose?")], [], "What rose?"),
    ([user(TURN["question"]), {"role": "assistant", "content": TURN["answer"]}, user("When?")],
     [TURN], "When?"),
    ([{"role": "system", "content": "Be brief."}, user([{"type": "text", "text": "Who slept?"}])],
     [], "Be brief.\n\nWho slept?"),
    ([user("One."), {"role": "developer", "content": "Be kind."}, user("Two?")],
     [], "Be kind.\n\nOne.\n\nTwo?"),
]  # fmt: skip


async def check_chats(reading: Asked) -> None:
    """Whole and streamed, all at once, with a chat of the plain model between them."""
    index: Index = reading.served.indexes[DOCUMENT]
    wanted = [index.ask(asked, turns=turns, max_new_tokens=6) for _, turns, asked in CHATS]

    async def one(client: openai.AsyncOpenAI, number: int) -> None:
        given: Any = {"model": DOCUMENT, "messages": CHATS[number][0], **GIVEN}
        whole = await client.chat.completions.create(**given)
        usage = {"include_usage": True}
        parts = await client.chat.completions.create(stream=True, stream_options=usage, **given)
        *pieces, last, counted = [part async for part in parts]
        told = wanted[number]
        assert whole.choices[0].message.content == told["text"]
        assert "".join(p.choices[0].delta.content or "" for p in (*pieces, last)) == told["text"]
        assert whole.choices[0].spans == last.choices[0].spans == told["spans"] != []
        assert not any("spans" in piece.choices[0].model_extra for piece in pieces)
        num = index.manifest.total_tokens
        assert whole.usage == counted.usage and whole.model == DOCUMENT
        assert whole.usage.prompt_tokens == num + told["question_tokens"]
        assert whole.usage.prompt_tokens_details.cached_tokens == num

    async with reading.openai() as client:
        (prompt,) = texts([30])
        plain = client.completions.create(model=MODEL, prompt=prompt, **GIVEN)
        alone, *_ = await asyncio.gather(plain, *(one(client, i) for i in range(len(CHATS))))
    request = Request(id="0", prompt=tuple(prompt), sampling=Sampling(max_new_tokens=6))
    assert alone.choices[0].text == generate(reading.served.model, [request])[0].text
    assert "spans" not in alone.choices[0].model_extra


def test_chats_are_those_of_ask(reading: Asked) -> None:
    asyncio.run(check_chats(reading))


def test_planted_document_that_is_not_read(reading: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def spans(self: Index, reads: Any) -> list[Any]:
        return exact(self, asking.Reads(len(self.source.ids)))

    exact = Index.spans
    monkeypatch.setattr(Index, "spans", spans)
    with pytest.raises(AssertionError):
        asyncio.run(check_chats(reading))


def test_all_settings_of_chats_hold(reading: Asked) -> None:
    """Sampling, choices, stop strings, log-probabilities and JSON behind a document."""
    body = {"model": DOCUMENT, "messages": CHATS[0][0], "max_tokens": 30, "seed": 4, "n": 2}
    first, again = (reading.post("/v1/chat/completions", body).json()["choices"] for _ in "ab")
    assert first == again and first[0]["message"] != first[1]["message"]
    assert all(choice["spans"] for choice in first)
    text = first[0]["message"]["content"]
    stop = next(t for t in (text[i : i + 2] for i in range(4, 20)) if "\ufffd" not in t)
    cut = reading.post("/v1/chat/completions", {**body, "stop": stop}).json()["choices"][0]
    assert cut["message"]["content"] == text[: text.index(stop)]
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": [True, None]}}}
    whole = {**body, "logprobs": True, "response_format": form}
    told = reading.post("/v1/chat/completions", whole).json()["choices"][0]
    assert told["message"]["content"] in ("true", "null")
    assert len(told["logprobs"]["content"]) == 4


def test_what_is_served(reading: Asked) -> None:
    cards = {card["id"]: card for card in reading.get("/v1/models").json()["data"]}
    assert list(cards) == [MODEL, DOCUMENT]
    index = reading.served.indexes[DOCUMENT]
    assert cards[DOCUMENT]["document_tokens"] == index.manifest.total_tokens
    assert cards[DOCUMENT]["kv"] == index.manifest.policy
    assert reading.get(f"/v1/models/{DOCUMENT}").json() == cards[DOCUMENT]
    assert '<option value="notes">' in reading.get("/").text


LOOKUP = {"type": "function", "function": {"name": "look"}}
CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
WRONG = [
    ("completions", {"prompt": "x"}, 400, "is a document"),
    ("embeddings", {"input": "x"}, 400, "is a document"),
    ("chat/completions", {"messages": CHATS[0][0], "tools": [LOOKUP]}, 400, "tools cannot"),
    ("chat/completions", {"messages": [{"role": "assistant", "content": "x"}]}, 400, "in turn"),
    ("chat/completions", {"messages": [user("x"), {"role": "assistant", "tool_calls": [CALL]},
                                       {"role": "tool", "tool_call_id": "c"}]}, 400, "in turn"),
    ("chat/completions", {"messages": [user("")]}, 400, "ends with a question"),
    ("chat/completions", {"messages": [{"role": "system", "content": "x"}]}, 400, "a question"),
    ("chat/completions", {"messages": [user("a" * 9000)]}, 400, "at most 1024 tokens"),
    ("chat/completions", {"messages": CHATS[0][0], "model": "other"}, 404, "'llama', 'notes'"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status", "message"), WRONG)
def test_wrong_requests(
    reading: Asked, path: str, body: dict[str, Any], status: int, message: str
) -> None:
    found = reading.post(f"/v1/{path}", {"model": DOCUMENT, **body})
    assert found.status_code == status and message in found.json()["error"]["message"]


def test_indexes_that_cannot_be_attached(tiny_folder: Any, document: Path, tmp_path: Path) -> None:
    for family, folders, kind, message in (
        ("llama-yarn", (document,), ModelError, "must be that of the index"),
        ("llama", (tmp_path,), InputError, "must contain an index"),
        ("llama", (document, document), SettingError, "a name of its own"),
    ):
        named = {"indexes": tuple(map(str, folders))}
        with pytest.raises(kind, match=message), serving(tiny_folder(family), **named):
            pass


def test_the_model_is_that_of_the_index(document: Path) -> None:
    with serving("", precision="auto", indexes=(str(document),)) as one:
        assert one.served.name == MODEL and str(one.served.model.dtype) == "torch.float32"
