"""Tokens as clients see them: texts, bytes and log-probabilities."""

import functools
from collections.abc import Sequence
from typing import Any

from burnish.contracts.generation import TokenLogprobs


class TokenNames:
    """Text and bytes of the tokens of one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._kept: dict[int, tuple[str, list[int]]] = {}

    def text(self, token: int) -> str:
        """The token alone; special tokens have their names, half characters a sign for it."""
        return self._known(token)[0]

    def bytes(self, token: int) -> list[int]:
        """The bytes that the token stands for, also where they are half a character.

        Source: the byte alphabet of GPT-2, as `tokenizers` has it.
        Oracle: tests/server/test_tokens.py::test_bytes_join_to_the_text
        """
        return self._known(token)[1]

    def name(self, token: int) -> str:
        """The text, or as OpenAI writes half characters: `bytes:` and their escapes."""
        text = self.text(token)
        if "\ufffd" not in text:
            return text
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in self.bytes(token))

    def _known(self, token: int) -> tuple[str, list[int]]:
        if token not in self._kept:
            text = self._tokenizer.decode([token])
            raw = list(text.encode())
            if "\ufffd" in text:
                raw = _raw_bytes(self._tokenizer.convert_ids_to_tokens(token)) or raw
            self._kept[token] = text, raw
        return self._kept[token]

    def of_chat(self, tokens: Sequence[int], logprobs: Sequence[TokenLogprobs]) -> list[Any]:
        """The rows of a chat choice's `logprobs.content`."""
        return [
            {**self._row(token, one.logprob), "top_logprobs": [self._row(*row) for row in one.top]}
            for token, one in zip(tokens, logprobs, strict=True)
        ]

    def of_completion(
        self, tokens: Sequence[int], logprobs: Sequence[TokenLogprobs | None], offset: int = 0
    ) -> dict[str, list[Any]]:
        """A completion choice's `logprobs`; None for a token that nothing predicts: the first."""
        begins = [offset]
        for token in tokens:
            begins.append(begins[-1] + len(self.text(token)))
        return {
            "tokens": [self.name(token) for token in tokens],
            "token_logprobs": [one and one.logprob for one in logprobs],
            "top_logprobs": [
                one and {self.name(token): logprob for token, logprob in reversed(one.top)}
                for one in logprobs
            ],
            "text_offset": begins[:-1],
        }

    def _row(self, token: int, logprob: float) -> dict[str, Any]:
        return {"token": self.text(token), "logprob": logprob, "bytes": self.bytes(token)}


def special_names(tokenizer: Any) -> tuple[str, ...]:
    """Names of all tokens that are no text, those without a role included."""
    added = tokenizer.added_tokens_decoder.values()
    return tuple(token.content for token in added if token.special)


def _raw_bytes(name: str) -> list[int] | None:
    """Bytes of a token by its name in the vocabulary; None where the name does not tell."""
    if name.startswith("<0x") and name.endswith(">") and len(name) == 6:
        return [int(name[3:5], 16)]
    known = _byte_alphabet()
    return [known[letter] for letter in name] if all(c in known for c in name) else None


@functools.cache
def _byte_alphabet() -> dict[str, int]:
    """GPT-2's letter for every byte: printable bytes are their own, the others follow in order."""
    own = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(own)]
    letters = {chr(byte): byte for byte in own}
    return letters | {chr(256 + place): byte for place, byte in enumerate(others)}
