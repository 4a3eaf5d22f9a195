"""Candidates of a choice, read from a pool that may be larger than memory: numbers, no texts."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.lib.format import open_memmap

from burnish.base.errors import InputError
from burnish.base.meter import Meter
from burnish.curate.greedy import unit_rows
from burnish.curate.passes import blocks_of
from burnish.curate.picking import Candidates
from burnish.curate.pool import PoolReport, check_some, read_pool
from burnish.curate.samples import Sample
from burnish.curate.scoring import AGGREGATES, cut_tokens, embed_texts
from burnish.curate.settings import PickSettings
from burnish.models.handle import ModelHandle

BLOCK_ROWS = 512
VECTORS = "vectors.npy"
NUMBERS = ("complexity", "quality", "score")


@dataclass
class Rows:
    """What the first reading of a pool keeps of every row: its id and numbers, no text.

    `widths` counts the lengths of usable embeddings; `unscored` is the first row without a score.
    """

    ids: list[Any] = field(default_factory=list)
    empty: list[bool] = field(default_factory=list)
    numbers: "dict[str, array[float]]" = field(
        default_factory=lambda: {name: array("d") for name in NUMBERS}
    )
    tokens: "array[int]" = field(default_factory=lambda: array("q"))
    widths: Counter[int] = field(default_factory=Counter)
    num_own: int = 0  # rows that bring an embedding, good or bad, or have no text
    num_given: int = 0  # rows that bring an embedding
    num_scored: int = 0  # usable rows with a score
    unscored: tuple[Any, list[str]] | None = None
    bad: Any = None  # the first given embedding, to be shown in an error

    @property
    def brings_tokens(self) -> bool:
        """Whether every row says how many tokens it has."""
        return len(self.tokens) == len(self.ids)

    @property
    def brings_vectors(self) -> bool:
        """Whether every row that has a text brings its embedding."""
        return self.num_own == len(self.ids) and self.num_given > 0

    def see(self, sample: Sample, settings: PickSettings) -> None:
        """Keep a row's numbers."""
        row, is_empty = sample.row, bool(sample.turns) and sample.is_empty
        self.ids.append(sample.id)
        self.empty.append(is_empty)
        found = {name: _number(row, name, settings.turns) for name in NUMBERS}
        for name, value in found.items():
            self.numbers[name].append(value)
        known = bool(np.isfinite(found["score"]) or np.isfinite(found["complexity"]))
        self.num_scored += known and not is_empty
        if not known and not is_empty and self.unscored is None:
            self.unscored = (sample.id, sorted(row))
        if isinstance(row.get("tokens"), int):
            self.tokens.append(row["tokens"])
        vector = row.get("embedding")
        self.num_own += vector is not None or not sample.turns
        if vector is not None:
            self.num_given += 1
            self.bad = vector if self.bad is None else self.bad
            if _is_vector(vector):
                self.widths[len(vector)] += 1


def read_rows(pool: Path | str, settings: PickSettings, report: PoolReport) -> Rows:
    """Read a pool once. Raises: InputError, naming a row without scores where none has any."""
    found = Rows()
    for sample in read_pool(pool, report, any_shape=True):
        found.see(sample, settings)
    check_some(pool, report)
    if found.unscored is not None and not found.num_scored and settings.rule != "random":
        id, names = found.unscored
        rule, remedy = "must have scores", "Run `burnish curate score POOL --out FILE` first"
        raise InputError(f"row {id!r}", names, rule, remedy=remedy)
    return found


def candidates_of(
    rows: Rows,
    settings: PickSettings,
    handle: ModelHandle,
    meter: Meter,
    folder: Path,
) -> Candidates:
    """Candidates from the rows' numbers; embeddings are written to `folder`, and mapped.

    A second reading of the pool gives the embeddings and counts tokens, where rows do not.
    Raises: InputError, for embeddings that are none; what reading the model raises.
    Source: ours. Oracle: tests/curate/test_candidates.py::test_blocks_change_nothing
    """
    numbers = {name: np.array(values) for name, values in rows.numbers.items()}
    found = Candidates(
        complexity=numbers["complexity"],
        quality=numbers["quality"],
        given=numbers["score"],
        empty=rows.empty,
    )
    embeds = settings.rule != "random" and settings.threshold < 1
    if settings.tokens and rows.brings_tokens:
        found.tokens = np.array(rows.tokens, dtype=np.int64)
    counts = np.zeros(len(rows.ids), np.int64) if settings.tokens and found.tokens is None else None
    if embeds and rows.brings_vectors and not rows.widths:
        rule, remedy = "must be lists of numbers", "Leave them out: the model embeds the rows"
        raise InputError("embeddings", repr(rows.bad)[:80], rule, remedy=remedy)
    if embeds or counts is not None:
        found.vectors = _second(rows, settings, handle, meter, folder / VECTORS, counts, embeds)
    if counts is not None:
        found.tokens = counts
    return found


def _second(
    rows: Rows,
    settings: PickSettings,
    handle: ModelHandle,
    meter: Meter,
    place: Path,
    counts: Int[np.ndarray, " R"] | None,
    embeds: bool,
) -> Float[np.ndarray, "R d"] | None:
    """Read the pool again: vectors go to a file, row by row, and tokens are counted."""
    held: Any = None
    width = rows.widths.most_common(1)[0][0] if rows.brings_vectors and rows.widths else 0
    samples = read_pool(settings.pool, PoolReport(), any_shape=True)
    for number, block in enumerate(blocks_of(samples, BLOCK_ROWS)):
        start = number * BLOCK_ROWS
        if counts is not None:
            lengths = handle.tokenizer([s.text for s in block])["input_ids"]
            counts[start : start + len(block)] = [len(ids) for ids in lengths]
        if not embeds:
            continue
        if rows.brings_vectors:
            vectors = given_vectors([s.row.get("embedding") for s in block], width)
        else:
            texts = [cut_tokens(handle, sample.text) or "." for sample in block]
            vectors = embed_texts(handle, texts, meter)
        if held is None:
            shape = (len(rows.ids), vectors.shape[1])
            held = open_memmap(place, mode="w+", dtype=np.float32, shape=shape)
        held[start : start + len(block)] = _units(vectors)
    return held


def given_vectors(given: Sequence[Any], width: int) -> Float[np.ndarray, "R d"]:
    """The rows' own embeddings; NaN for one that is none, is zero, or has another width."""
    found = np.full((len(given), width), np.nan)
    for row, vector in enumerate(given):
        if _is_vector(vector) and len(vector) == width:
            found[row] = vector
    return found


def _units(vectors: Float[np.ndarray, "R d"]) -> Float[np.ndarray, "R d"]:
    """Length 1 in fp32; rows that are not finite stay so."""
    found = np.full(vectors.shape, np.nan, np.float32)
    good = np.isfinite(vectors).all(axis=1)
    found[good] = unit_rows(vectors[good])
    return found


def _number(row: Any, name: str, turns: str) -> float:
    """A field of a row, NaN if missing or null. Scores of turns are aggregated."""
    scores = row.get("turn_scores") if name == "complexity" else None
    value = row.get(name)
    if isinstance(scores, list) and scores and all(_is_number(t) for t in scores):
        value = AGGREGATES[turns](scores)
    return float(value) if _is_number(value) else float("nan")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(
        np.isfinite(value)
    )  # fmt: skip


def _is_vector(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_number, value)) and any(value)
