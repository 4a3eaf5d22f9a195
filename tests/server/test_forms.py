"""`response_format` and `logit_bias`, as the official client sends them."""

import json
from typing import Any, Literal

import numpy as np
import openai
import pytest
from fixtures.served import Asked
from pydantic import BaseModel

from burnish.base.errors import MissingExtraError
from burnish.engine.grammar import JsonForm, JsonForms
from burnish.server import chats

NAME = "llama"
MESSAGES: Any = [{"role": "user", "content": "what is 12?"}]


class City(BaseModel):
    """What an answer is parsed into."""

    name: Literal["Bern", "Köln"]
    is_large: bool
    rank: Literal[1, 2, 3]


def check_forms(asked: Asked) -> None:
    """Sampled texts of a random model, so that nothing but the form makes them JSON."""

    async def work(client: Any) -> None:
        given: Any = {"model": NAME, "messages": MESSAGES, "max_tokens": 120, "temperature": 1.0}
        for seed in range(3):
            parsed = await client.chat.completions.parse(response_format=City, seed=seed, **given)
            message = parsed.choices[0].message
            assert message.parsed == City.model_validate_json(message.content)
            assert parsed.choices[0].finish_reason == "stop"
        form = {"type": "json_object"}
        end = {"logit_bias": {str(token): 100 for token in (asked.token('"'), asked.token("}"))}}
        parts = await client.chat.completions.create(
            response_format=form, stream=True, n=2, seed=3, **end, **given
        )
        found = {0: "", 1: ""}
        async for part in parts:
            found[part.choices[0].index] += part.choices[0].delta.content or ""
        assert all(isinstance(json.loads(text), dict) for text in found.values())

    asked.with_openai(work)


def test_answers_have_the_form_that_was_asked_for(asked: Asked) -> None:
    check_forms(asked)


def test_planted_form_that_is_ignored(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    async def free(*_: Any) -> None:
        return None

    monkeypatch.setattr(chats, "form_of", free)
    with pytest.raises((AssertionError, ValueError, openai.LengthFinishReasonError)):
        check_forms(asked)


def test_free_text_is_untouched(asked: Asked) -> None:
    body = {"model": NAME, "messages": MESSAGES, "max_tokens": 9, "temperature": 0}
    plain = asked.post("/v1/chat/completions", body).json()
    for more in ({"response_format": {"type": "text"}}, {"logit_bias": {}}, {"logit_bias": None}):
        found = asked.post("/v1/chat/completions", {**body, **more}).json()
        assert found["choices"] == plain["choices"]


def test_a_bias_is_that_of_the_engine(asked: Asked) -> None:
    token = asked.token("z")
    for path, more in (
        ("chat/completions", {"messages": MESSAGES}),
        ("completions", {"prompt": "x"}),
    ):
        body = {"model": NAME, "max_tokens": 5, "temperature": 0, "logit_bias": {str(token): 100}}
        choice = asked.post(f"/v1/{path}", {**body, **more}).json()["choices"][0]
        assert choice.get("text", choice.get("message", {}).get("content")) == "zzzzz"


def schema(**wanted: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": wanted}


WRONG = [
    ({"logit_bias": {"5": 101}}, "logit_bias"),
    ({"logit_bias": {"5": -100.5}}, "logit_bias"),
    ({"logit_bias": {"five": 1}}, "logit_bias"),
    ({"logit_bias": {"-1": 1}}, "logit_bias"),
    ({"logit_bias": {"269": 1}}, "below 269"),
    ({"logit_bias": {str(i): 1 for i in range(1025)}}, "logit_bias"),
    ({"logit_bias": [5]}, "logit_bias"),
    ({"response_format": "json_object"}, "response_format"),
    ({"response_format": {"type": "xml"}}, "response_format"),
    ({"response_format": {"type": "json_schema"}}, "response_format"),
    ({"response_format": schema(schema={})}, "response_format"),
    ({"response_format": schema(name="a b", schema={})}, "response_format"),
    ({"response_format": schema(name="a", schema=[])}, "response_format"),
    ({"response_format": schema(name="a", schema={"type": "objct"})}, "objct"),
    ({"response_format": schema(name="a", schema={"$ref": "file:///etc/passwd"})}, "followed"),
    ({"response_format": {"type": "json_object"},
      "tools": [{"type": "function", "function": {"name": "f"}}]}, "combined with tools"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "named"), WRONG)
def test_wrong_forms_and_biases(asked: Asked, more: Any, named: str) -> None:
    found = asked.post("/v1/chat/completions", {"model": NAME, "messages": MESSAGES, **more})
    error = found.json()["error"]
    assert found.status_code == 400 and named in error["message"], error
    assert error["param"].startswith(next(iter(more))) and error["type"] == "invalid_request_error"


def test_a_form_that_cannot_be_followed_to_its_end(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound of llguidance is met within the text: an error, whole and streamed."""

    class Ending:
        def allowed(self) -> Any:
            return np.zeros(269, dtype=bool)

        def take(self, token: int) -> bool:
            return False

    monkeypatch.setattr(JsonForm, "open", lambda self: Ending())
    body = {"model": NAME, "messages": MESSAGES, "response_format": {"type": "json_object"}}
    whole = asked.post("/v1/chat/completions", body)
    assert whole.status_code == 400
    assert "could not be followed any further" in whole.json()["error"]["message"]
    streamed = asked.post("/v1/chat/completions", {**body, "stream": True}).text
    assert json.loads(streamed.strip().split("\n\n")[-1][6:])["error"] == whole.json()["error"]


def test_without_llguidance_it_says_so(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> None:
        raise MissingExtraError("JSON", ["llguidance"], "needs a package", remedy="Install it")

    monkeypatch.setattr(JsonForms, "of_schema", missing)
    body = {"model": NAME, "messages": MESSAGES, "response_format": {"type": "json_object"}}
    found = asked.post("/v1/chat/completions", body)
    assert found.status_code == 400 and "llguidance" in found.json()["error"]["message"]
