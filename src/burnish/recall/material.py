"""Texts of one measurement: one irrelevant prefix, and one target a trial."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.base.errors import InputError, SettingError
from burnish.base.rng import stream
from burnish.data.corpora import Corpus, Document

CONTROLS = ("none", "shuffled", "random")
SHARED_TOKENS = 16  # prefix and target share no run of so many tokens
DRAWS = 50  # of a target that does
STREAM_LENGTHS = 4  # tokens read a trial, in lengths: more texts to draw from


@dataclass(frozen=True, kw_only=True)
class Material:
    """Token texts of the longest length. Shorter ones are their beginnings (nested).

    Nested: every length of a trial begins at the same place, so one prefix serves all lengths.
    Lengths of one trial are therefore correlated; trials are not.
    """

    separator: int
    irrelevant: tuple[int, ...]
    targets: tuple[tuple[int, ...], ...]
    num_stream_tokens: int
    overlapping: bool  # the corpus was too short to keep targets apart


def draw_material(
    tokenizer: Any,
    corpus: Corpus,
    *,
    length: int,
    trials: int,
    separator: int,
    control: str = "none",
    seed: int = 0,
) -> Material:
    """Draw an irrelevant prefix from some documents, and targets from others.

    Controls: `shuffled` permutes the tokens of each text (the same words, no language), `random`
    draws ordinary tokens alike (no corpus). Raises InputError for a corpus that is too short or
    repeats itself; SettingError for an unknown control.
    Source: the paper concatenates PG19 books and takes a fixed tail as irrelevant prefix.
    Departure: prefix and targets come from different documents and share no run of 16 tokens;
    targets are drawn from strata, so that they do not overlap; lengths are nested.
    Oracle: tests/recall/test_material.py::test_prefix_and_targets_share_no_run
    """
    check_control(control)
    rng = stream(seed, "material")
    if control == "random":
        return _random(tokenizer, length, trials, separator, rng)
    known = corpus.documents()
    documents = [known[i] for i in rng.permutation(len(known))]
    irrelevant, tokens = _streams(tokenizer, documents, length, trials)
    strata = _strata(len(tokens), length, trials)
    avoided = _runs(irrelevant)
    targets = [_draw(tokens, first, last, length, avoided, rng) for first, last in strata]
    if control == "shuffled":
        irrelevant, *targets = [rng.permutation(one).tolist() for one in (irrelevant, *targets)]
    return Material(
        separator=separator,
        irrelevant=tuple(irrelevant),
        targets=tuple(tuple(one) for one in targets),
        num_stream_tokens=len(tokens),
        overlapping=len(tokens) < length * trials,
    )


def check_control(control: str) -> None:
    """Raise SettingError for an unknown control."""
    if control not in CONTROLS:
        rule = f"must be {', '.join(CONTROLS)}"
        raise SettingError("control", control, rule, remedy="none takes the corpus as it is")


def encode(tokenizer: Any, text: str) -> list[int]:
    """The text's tokens, without special tokens."""
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def _streams(
    tokenizer: Any, documents: Sequence[Document], length: int, trials: int
) -> tuple[list[int], list[int]]:
    """Tokens of the irrelevant prefix, and of other documents as far as they are needed."""
    irrelevant: list[int] = []
    tokens: list[int] = []
    for document in documents:
        if len(irrelevant) < length:
            irrelevant += encode(tokenizer, document.read())
        elif len(tokens) < STREAM_LENGTHS * length * trials:
            tokens += encode(tokenizer, document.read())
    if len(tokens) < length:  # few documents: the rest of the last one
        tokens = [*irrelevant[length:], *tokens]
    if len(irrelevant) < length or len(tokens) < length:
        found = min(len(irrelevant), length) + len(tokens)
        rule = f"must contain {2 * length} tokens for length {length}"
        raise InputError("corpus", found, rule, remedy="Use a longer text, or shorter lengths")
    return irrelevant[:length], tokens


def _strata(num_tokens: int, length: int, trials: int) -> list[tuple[int, int]]:
    """Where each target may begin: [first, last]; apart from each other where there is room."""
    if num_tokens < length * trials:
        return [(0, num_tokens - length)] * trials
    edges = [num_tokens * i // trials for i in range(trials + 1)]
    return [(edges[i], edges[i + 1] - length) for i in range(trials)]


def _runs(tokens: Sequence[int]) -> set[tuple[int, ...]]:
    return {tuple(tokens[i : i + SHARED_TOKENS]) for i in range(len(tokens) - SHARED_TOKENS + 1)}


def _draw(
    tokens: list[int],
    first: int,
    last: int,
    length: int,
    avoided: set[tuple[int, ...]],
    rng: np.random.Generator,
) -> list[int]:
    for _ in range(DRAWS):
        begin = int(rng.integers(first, last + 1))
        target = tokens[begin : begin + length]
        if not avoided & _runs(target):
            return target
    rule = f"shares runs of {SHARED_TOKENS} tokens with every possible unrelated prefix"
    raise InputError("corpus", DRAWS, rule, remedy="Use another seed, or a less repetitive text")


def _random(
    tokenizer: Any, length: int, trials: int, separator: int, rng: np.random.Generator
) -> Material:
    special = set(tokenizer.all_special_ids)
    ordinary = np.array([i for i in range(tokenizer.vocab_size) if i not in special])
    texts = rng.choice(ordinary, (trials + 1, length)).tolist()
    return Material(
        separator=separator,
        irrelevant=tuple(texts[0]),
        targets=tuple(tuple(one) for one in texts[1:]),
        num_stream_tokens=0,
        overlapping=False,
    )
