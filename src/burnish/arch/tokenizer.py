"""A new tokenizer: byte-level BPE, written as a folder that transformers loads."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from burnish.arch.settings import BYTES
from burnish.base.errors import ModelError, SettingError
from burnish.data.shards import Encode, Marks, pieces_of

END = "<|endoftext|>"
LEARNED_CHARACTERS = 100_000_000  # more changes the merges hardly


def learn_tokenizer(
    texts: Iterable[str], folder: Path, *, vocab: int, exact: bool
) -> dict[str, Any]:
    """Learn byte-level BPE from texts and save it; return its counts.

    One special token, `<|endoftext|>`, stands between documents. Learned from the first 100
    million characters. `exact`: refuse a vocabulary that the text does not support, else lower it.
    Raises SettingError.
    Source: byte-level BPE as in GPT-2, by Hugging Face's `tokenizers`.
    Oracle: tests/arch/test_tokenizer.py::test_any_text_comes_back
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if vocab <= BYTES:
        rule = f"must be more than {BYTES}: every byte and the end of a text need a token"
        raise SettingError("vocab", vocab, rule, remedy="512 is a small one")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        min_frequency=2,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    seen = _Seen(texts)
    tokenizer.train_from_iterator(seen, trainer)
    found = tokenizer.get_vocab_size()
    if found < vocab and exact:
        rule = f"is too large for the text: {seen.num_characters} characters support {found}"
        raise SettingError(
            "vocab", vocab, rule, remedy=f"Take --set vocab={found}, or leave it out"
        )
    _save(tokenizer, folder)
    return {"vocab": found, "wanted_vocab": vocab, "num_characters": seen.num_characters}


def encoder(tokenizer: Any) -> Encode:
    """Texts to ids without special tokens; text that looks like one stays text.

    Source: ours. Oracle: tests/arch/test_tokenizer.py::test_any_text_comes_back
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # written in Python: it has no batches
        options = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
        return lambda texts: [tokenizer(text, **options)["input_ids"] for text in texts]
    backend.encode_special_tokens = True

    def encode(texts: Sequence[str]) -> list[list[int]]:
        found = backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [one.ids for one in found]

    return encode


def marks_of(tokenizer: Any) -> Marks:
    """The tokens around a document: the end token, and a different begin token if there is one.

    Raises ModelError for a tokenizer without an end token.
    Source: ours. Oracle: tests/arch/test_tokenizer.py::test_one_begin_and_one_end_a_document
    """
    end, begin = tokenizer.eos_token_id, tokenizer.bos_token_id
    if end is None:
        rule, remedy = "has no end token", "Name another tokenizer, or leave it out to train one"
        raise ModelError("tokenizer", type(tokenizer).__name__, rule, remedy=remedy)
    added = tokenizer("x")["input_ids"][:1] == [begin]
    return Marks(end=end, begin=begin if added and begin != end else None)


def _save(tokenizer: Any, folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        clean_up_tokenization_spaces=False,
    )
    folder.mkdir(parents=True, exist_ok=True)
    wrapped.save_pretrained(folder)


class _Seen:
    """Texts in pieces, up to a number of characters, which are counted."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts, self.num_characters = texts, 0

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            for piece in pieces_of(text):
                self.num_characters += len(piece)
                yield piece
            if self.num_characters >= LEARNED_CHARACTERS:
                return
