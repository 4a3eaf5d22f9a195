"""Tokenizers of one's own: lossless, with one mark between documents."""

from pathlib import Path
from typing import Any

import pytest

from burnish.arch import tokenizer as tokenizers
from burnish.arch.tokenizer import encoder, learn_tokenizer, marks_of
from burnish.base.errors import ModelError, SettingError
from burnish.models.load import read_tokenizer

TEXTS = ["the cat sat on the mat", "the dog sat on the log\n\twhile it rained"] * 20


def learned(folder: Path, vocab: int = 270, *, exact: bool = True) -> Any:
    told = learn_tokenizer(TEXTS, folder, vocab=vocab, exact=exact)
    tokenizer = read_tokenizer(folder)
    assert told["vocab"] == len(tokenizer)
    return tokenizer


def check_lossless(folder: Path) -> None:
    tokenizer = learned(folder)
    encode = encoder(tokenizer)
    texts = ["", " ", "the cat", "naïve 日本 🙂 \r\n\t", "a <|endoftext|> b", "\x00\x01"]
    for text, ids in zip(texts, encode(texts), strict=True):
        assert tokenizer.decode(ids) == text
        assert tokenizer.eos_token_id not in ids


def test_any_text_comes_back(tmp_path: Path) -> None:
    check_lossless(tmp_path)


def test_planted_mark_inside_a_text(tmp_path: Path, monkeypatch: Any) -> None:
    def naive(tokenizer: Any) -> Any:
        return lambda texts: [tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts]

    monkeypatch.setitem(globals(), "encoder", naive)
    with pytest.raises(AssertionError):
        check_lossless(tmp_path)


def test_one_begin_and_one_end_a_document(tmp_path: Path) -> None:
    """The case `tokenizer that adds bos by itself`."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    learned(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert marks_of(tokenizer) == tokenizers.Marks(end=tokenizer.eos_token_id)
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    assert marks_of(tokenizer).begin is None  # it has one, and does not write it
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    marks = marks_of(tokenizer)
    assert (marks.begin, marks.end) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert marks.first == tokenizer.bos_token_id
    assert tokenizer.bos_token_id not in encoder(tokenizer)(["x", "y"])[0]
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no end token"):
        marks_of(tokenizer)


def test_vocabularies_that_the_text_does_not_support(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"too large for the text: \d+ characters support \d+"):
        learned(tmp_path, 32000)
    lowered = learned(tmp_path, 32000, exact=False)
    assert 257 < len(lowered) < 400
    learned(tmp_path, len(lowered))  # the number that was told is supported
    with pytest.raises(SettingError, match="must be more than 256"):
        learned(tmp_path, 256)
