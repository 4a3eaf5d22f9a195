"""Texts in the form of a JSON schema: which tokens may come next, by llguidance."""

import json
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np

from burnish.base.errors import InputError, MissingExtraError, ModelError
from burnish.models.load import Model

ANY_OBJECT = {"type": "object"}
WHITE_SPACE = r"(\n {0,16}| )?"  # what JSON allows has no end, and small models never leave it


class JsonForms:
    """Grammars of JSON texts for one model. `of_schema` may be called from any thread.

    Source: llguidance 1.9.
    Oracle: tests/engine/test_grammar.py::test_texts_follow_their_schema
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def of_schema(self, schema: Any) -> "JsonForm":
        """The form of JSON texts that a schema describes.

        Raises MissingExtraError without llguidance, ModelError for a tokenizer that it cannot
        read, and InputError for a schema that is wrong or asks for what it cannot hold to.
        """
        known = self._known
        from llguidance import LLMatcher

        try:
            text = json.dumps(schema, allow_nan=False)
            grammar = LLMatcher.grammar_from_json_schema(
                text, overrides={"whitespace_pattern": WHITE_SPACE}
            )
        except (ValueError, RecursionError) as error:
            raise _wrong_schema(str(error)) from error
        first = LLMatcher(known, grammar, log_level=0)
        if first.is_error():
            raise _wrong_schema(first.get_error())
        return JsonForm(first, self._num_tokens)

    @cached_property
    def _num_tokens(self) -> int:
        return self._model.config.get_text_config().vocab_size

    @cached_property
    def _known(self) -> Any:
        """The tokenizer, as llguidance reads it."""
        if find_spec("llguidance") is None:
            remedy = 'Run pip install "burnish[serve]"'
            raise MissingExtraError("JSON", ["llguidance"], "needs a package", remedy=remedy)
        from llguidance import LLTokenizer

        backend = getattr(self._model.tokenizer, "backend_tokenizer", None)
        ends = sorted(self._model.eos_ids)
        if backend is None or not ends:
            rule, remedy = "must be a fast one with an end token", "Ask for text without a form"
            raise ModelError("tokenizer", self._model.spec, rule, remedy=remedy)
        num = max(self._num_tokens, backend.get_vocab_size(with_added_tokens=True))
        return LLTokenizer(backend.to_str(), n_vocab=num, eos_token=ends)


class JsonForm:
    """A compiled grammar; every text gets a matcher of its own."""

    def __init__(self, first: Any, num_tokens: int) -> None:
        self._first, self._num_tokens = first, num_tokens

    def open(self) -> "JsonMatcher":
        """A matcher at the beginning of a text."""
        return JsonMatcher(self._first.deep_copy(), self._num_tokens)


class JsonMatcher:
    """One text of a grammar."""

    def __init__(self, matcher: Any, num_tokens: int) -> None:
        self._matcher, self._num_tokens = matcher, num_tokens

    def allowed(self) -> np.ndarray:
        """Whether each token may come next; none where a bound of llguidance was met."""
        packed = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        if self._matcher.is_error():
            return np.zeros(self._num_tokens, dtype=bool)
        return np.unpackbits(packed, bitorder="little", count=self._num_tokens).astype(bool)

    def take(self, token: int) -> bool:
        """Go on with a token; False where the grammar does not have it."""
        return bool(self._matcher.consume_token(token))


def _wrong_schema(message: str) -> InputError:
    told = " ".join(message.split())[:160]
    remedy = "Leave out what it names, or correct it"
    return InputError("JSON schema", told, "cannot be followed", remedy=remedy)
