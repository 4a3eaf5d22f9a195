"""Texts and bytes of tokens."""

from typing import Any

import pytest

from burnish.contracts.generation import TokenLogprobs
from burnish.server import tokens as tokens_module
from burnish.server.tokens import TokenNames, special_names

TEXT = "abc the 🙂 漢字 é\n\t\x7f =12"


def check_bytes(tokenizer: Any) -> None:
    """The bytes of the tokens are those of the text, for every byte there is."""
    names = TokenNames(tokenizer)
    for text in (TEXT, *("".join(map(chr, range(a, a + 0x200))) for a in (1, 0x3F00, 0x1F600))):
        ids = tokenizer.encode(text)
        assert bytes(b for token in ids for b in names.bytes(token)) == text.encode()


def test_bytes_join_to_the_text(tiny_tokenizer: Any) -> None:
    check_bytes(tiny_tokenizer)


def test_planted_bytes_of_the_sign_for_half_a_character(
    tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "_raw_bytes", lambda name: None)
    with pytest.raises(AssertionError):
        check_bytes(tiny_tokenizer)


def test_byte_tokens_of_other_vocabularies() -> None:
    assert tokens_module._raw_bytes("<0xE2>") == [0xE2]
    assert tokens_module._raw_bytes("▁the") is None
    assert tokens_module._raw_bytes("Ġâ") == [0x20, 0xE2]


def test_names_of_half_characters_and_offsets(tiny_tokenizer: Any) -> None:
    names, ids = TokenNames(tiny_tokenizer), tiny_tokenizer.encode("a🙂b")
    one = TokenLogprobs(logprob=-1.0, top=((ids[1], -0.5), (ids[2], -2.0)))
    told = names.of_completion(ids, [None, *[one] * 5], 10)
    assert told["tokens"] == ["a", *(rf"bytes:\x{b:02x}" for b in "🙂".encode()), "b"]
    assert told["text_offset"][:2] == [10, 11]
    assert told["token_logprobs"] == [None, *[-1.0] * 5]
    assert told["top_logprobs"][1] == {r"bytes:\xf0": -0.5, r"bytes:\x9f": -2.0}


def test_special_tokens_without_a_role_are_known(tiny_tokenizer: Any) -> None:
    assert set(special_names(tiny_tokenizer)) == {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}
