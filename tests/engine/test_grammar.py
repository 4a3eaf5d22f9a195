"""Texts that follow a schema, judged by `json` and by a validator; others beside them unchanged."""

import json
from dataclasses import replace
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from fixtures.tiny import texts

from burnish.base.errors import InputError, MissingExtraError, ModelError
from burnish.contracts.generation import Completion, Request, Sampling
from burnish.draft.choice import generate_with
from burnish.engine import grammar as module
from burnish.engine import loop as loop_module
from burnish.engine.generate import generate
from burnish.engine.grammar import ANY_OBJECT, JsonForms

SCHEMAS = [
    {"type": "object", "properties": {"a": {"enum": ["é", "no"]}, "b": {"type": "boolean"}},
     "required": ["a", "b"], "additionalProperties": False},
    {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 30},
     "minItems": 1, "maxItems": 4},
    {"anyOf": [{"const": {"x": None}}, {"type": "string", "pattern": "^[ab]{2,5}$"}]},
]  # fmt: skip


def spaces_of(model: Any, bias: float) -> tuple[tuple[int, float], ...]:
    return tuple((model.tokenizer.convert_tokens_to_ids(name), bias) for name in ("Ġ", "Ċ"))


def requests_for(model: Any, schemas: Any = SCHEMAS) -> list[Request]:
    """Greedy and sampled ones in turn, those without a form between them."""
    forms, found = JsonForms(model), list[Request]()
    for index, prompt in enumerate(texts([3 + i for i in range(3 * len(schemas))])):
        schema = schemas[index // 3]
        form = None if index % 3 == 2 else forms.of_schema(schema)
        sampling = Sampling(
            max_new_tokens=7 if form is None else 60,
            temperature=(index % 2) * 1.3,
            seed=index,
            logit_bias=spaces_of(model, -50.0),  # or most of a random model's tokens are
        )
        one = {"prompt": tuple(prompt), "sampling": sampling, "num_logprobs": 1}
        found.append(Request(id=str(index), grammar=form, **one))
    return found


def check_forms(model: Any, done: list[Completion]) -> None:
    for index, one in enumerate(done):
        if index % 3 != 2:
            assert one.finish == "eos", one
            value = json.loads(one.text)
            assert jsonschema_rs.validator_for(SCHEMAS[index // 3]).is_valid(value), one.text


def test_texts_follow_their_schema(tiny_model: Any) -> None:
    model = tiny_model("llama")
    requests = requests_for(model)
    done = generate(model, requests)
    check_forms(model, done)
    for request, one in zip(requests[:3], done, strict=False):
        assert generate(model, [request])[0] == one
    assert generate(model, requests[2::3]) == done[2::3]


def test_drafts_change_no_text_of_a_form(tiny_model: Any) -> None:
    model = tiny_model("llama")
    plain = generate(model, requests_for(model))
    drafted = generate_with(model, requests_for(model), draft="ngram")
    assert [(one.text, one.finish) for one in drafted] == [(one.text, one.finish) for one in plain]


def test_planted_grammar_that_permits_all(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    monkeypatch.setattr(loop_module, "permitted", lambda logits, matchers: logits)
    with pytest.raises(AssertionError):
        check_forms(model, generate(model, requests_for(model)))


def test_white_space_ends(tiny_model: Any) -> None:
    """A model that wants nothing but spaces and lines still writes its text."""
    model = tiny_model("llama")
    schema = {"const": {"a": 1}}
    sampling = Sampling(max_new_tokens=100, logit_bias=spaces_of(model, 90.0))
    request = Request(id="0", prompt=(5,), sampling=sampling)
    assert not generate(model, [request])[0].text.strip()
    form = JsonForms(model).of_schema(schema)
    bound = Request(id="0", prompt=(5,), sampling=sampling, grammar=form)
    (done,) = generate(model, [bound])
    assert done.finish == "eos" and json.loads(done.text) == schema["const"]


class Refusing:
    """A grammar that permits token 9 twice, and then none."""

    def __init__(self) -> None:
        self.num = 0

    def open(self) -> "Refusing":
        return Refusing()

    def allowed(self) -> np.ndarray:
        return (np.arange(269) == 9) & (self.num < 2)

    def take(self, token: int) -> bool:
        self.num += 1
        return self.num <= 2


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_dead_end_is_told(tiny_model: Any, temperature: float) -> None:
    sampling = Sampling(max_new_tokens=9, temperature=temperature)
    request = Request(id="0", prompt=(5,), sampling=sampling, num_logprobs=0, grammar=Refusing())
    (done,) = generate(tiny_model("llama"), [request])
    assert (done.tokens, done.finish) == ((9, 9), "grammar")


@pytest.mark.parametrize(
    "schema",
    [{"type": "objct"}, {"$ref": "http://example.org/s.json"}, {"if": {"type": "string"}},
     {"type": "string", "pattern": "(?=a)b"}, [], "x", {"enum": []}, {"minimum": float("nan")}],
)  # fmt: skip
def test_schemas_that_cannot_be_followed(tiny_model: Any, schema: Any) -> None:
    with pytest.raises(InputError, match="JSON schema cannot be followed"):
        JsonForms(tiny_model("llama")).of_schema(schema)


def test_what_it_needs(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = replace(tiny_model("llama"), eos_ids=frozenset())
    with pytest.raises(ModelError, match=r"^tokenizer must be a fast one with an end token"):
        JsonForms(endless).of_schema(ANY_OBJECT)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="burnish\\[serve\\]"):
        JsonForms(tiny_model("llama")).of_schema(ANY_OBJECT)
