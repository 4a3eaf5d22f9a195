"""A long text with many planted sentences, and a question for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.errors import SettingError
from burnish.base.rng import stream
from burnish.data.corpora import parse_corpus

COLOURS = ("red", "blue", "green", "black", "white", "golden", "silver", "brown", "pink", "grey")
THINGS = (
    *("falcon", "harbour", "violin", "mountain", "lantern", "garden", "engine", "island"),
    *("bridge", "window", "tiger", "castle", "river", "planet", "kitchen", "forest"),
)
SENTENCE = "\nThe secret code of the {name} is {code}.\n"
QUESTION = (
    "\n\nQuestion: What is the secret code of the {name}?\nAnswer: The secret code of the {name} is"
)


@dataclass(frozen=True, kw_only=True)
class Needle:
    """A planted sentence: its tokens in the text, its depth in [0, 1), its question and answer."""

    first: int
    end: int
    depth: float
    question: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Haystack:
    """A text with needles, in order of their places."""

    ids: tuple[int, ...]
    needles: tuple[Needle, ...]


def make_haystack(
    tokenizer: Any, *, corpus: str, length: int, num_needles: int, tail: int, seed: int
) -> Haystack:
    """A text of `length` tokens with needles evenly spaced before its last `tail` tokens.

    Raises SettingError where the needles do not fit or the corpus is too short.
    Source: many needles in one text are ours; the single one is Kamradt's test.
    Oracle: tests/stream/test_needles.py::test_needles_stand_where_they_say
    """
    source = stream(seed, "haystack", corpus, length)
    names = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]
    if not 1 <= num_needles <= len(names):
        rule = f"must lie in [1, {len(names)}]"
        raise SettingError("needles", num_needles, rule, remedy="Use more texts")
    picked = [names[i] for i in source.permutation(len(names))[:num_needles]]
    codes = [str(code) for code in source.integers(10_000, 99_999, num_needles)]
    told = [
        _encode(tokenizer, SENTENCE.format(name=name, code=code))
        for name, code in zip(picked, codes, strict=True)
    ]
    room = length - tail - sum(map(len, told))
    if room < num_needles:
        rule = f"must hold {num_needles} needles and {tail} tokens behind them"
        raise SettingError("length", length, rule, remedy="Lengthen it, or plant fewer needles")
    filler = _filler(tokenizer, corpus, room + tail, int(source.integers(1 << 30)))
    ids: list[int] = []
    needles = []
    at = 0
    for i, (name, code, own) in enumerate(zip(picked, codes, told, strict=True)):
        following = (i * room + room // 2) // num_needles
        ids += filler[at:following]
        at = following
        needles.append(
            Needle(
                first=len(ids),
                end=len(ids) + len(own),
                depth=len(ids) / length,
                question=tuple(_encode(tokenizer, QUESTION.format(name=name))),
                answer=tuple(_encode(tokenizer, f" {code}")),
            )
        )
        ids += own
    ids += filler[at:]
    return Haystack(ids=tuple(ids), needles=tuple(needles))


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _filler(tokenizer: Any, corpus: str, num: int, seed: int) -> Sequence[int]:
    documents = parse_corpus(corpus).documents()
    ids: list[int] = []
    for i in range(len(documents)):
        ids += _encode(tokenizer, documents[(seed + i) % len(documents)].read())
        if len(ids) >= num:
            return ids[:num]
    raise SettingError("corpus", corpus, f"must hold {num} tokens", remedy="Take a longer one")
