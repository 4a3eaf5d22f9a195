"""`burnish curate pick`: chooses scored rows, and records a reason for every row."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.base.meter import Meter
from burnish.base.records import write_records
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Told
from burnish.curate.greedy import budget_curve
from burnish.curate.leakage_job import pool_value
from burnish.curate.pick_page import pick_page
from burnish.curate.picking import Candidates, pick
from burnish.curate.pool import PoolReport, check_some, read_pool
from burnish.curate.samples import Sample
from burnish.curate.scoring import AGGREGATES, cut_tokens, embed_texts
from burnish.curate.settings import PickSettings
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value
from burnish.models.handle import ModelHandle

WHAT = "curate-pick"
PICKED, DECISIONS = "picked.jsonl", "decisions.jsonl"
CURVE_THRESHOLDS = (0.8, 0.9, 0.945, 0.97, 0.99)


def pick_rows(settings: PickSettings, place: Place | None = None) -> dict[str, Any]:
    """Choose rows of a scored pool; the result is what `result.json` holds.

    Raises: what reading the pool raises; InputError, where rows lack the scores of the rule.
    Source: XCoder, arXiv 2409.03810, Algorithm 1.
    Oracle: tests/curate/test_pick_job.py::test_every_row_has_a_reason
    """
    job = pick_job(settings)
    _ = job.given["pool"].key
    return run_job(job, place or Place())


def pick_job(settings: PickSettings) -> Job:
    """The job of `curate pick`."""
    handle = ModelHandle(settings.model)
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[PickStep(settings=settings)],
        given={
            "pool": pool_value(settings.pool),
            "model": Value(lambda: handle.key, lambda: handle),
        },
        header=Header(
            title=f"burnish curate pick: {Path(settings.pool).name}",
            numbers={"pool_path": settings.pool, "rule": settings.rule, "turns": settings.turns},
        ),
    )


@dataclass(frozen=True, kw_only=True)
class PickStep(Step):
    """Chooses rows; those without an `embedding` are embedded by the model.

    Source: XCoder, arXiv 2409.03810, Algorithm 1.
    Oracle: tests/curate/test_pick_job.py::test_every_row_has_a_reason
    """

    settings: PickSettings
    name: str = "pick"

    @property
    def reads(self) -> tuple[str, ...]:
        """The pool, and the model that embeds and counts tokens."""
        return ("pool", "model")

    @property
    def writes(self) -> Mapping[str, str]:
        """The chosen rows."""
        return {"picked": PICKED}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Choose, and write rows and reasons."""
        settings, report = self.settings, PoolReport()
        samples = list(read_pool(given["pool"], report, any_shape=True))
        check_some(given["pool"], report)
        found = candidates_of(samples, settings, given["model"], meter)
        picked = pick(found, settings)
        write_records(stage.path / PICKED, [samples[i].row for i in picked.chosen])
        decisions = [_decision(i, samples, picked.scores, picked.reasons) for i in
                     range(len(samples))]  # fmt: skip
        write_records(stage.path / DECISIONS, decisions)
        reasons = dict(Counter(row["reason"] for row in decisions))
        told: dict[str, Any] = {
            "num_rows": len(samples),
            "num_picked": len(picked.chosen),
            "picked": [samples[i].id for i in picked.chosen],
            "reasons": reasons,
            "aggregate": settings.turns,
            "pool": report.to_dict(),
            "decisions": decisions[:200],
        }
        if found.tokens is not None:
            told["num_tokens"] = int(found.tokens[picked.chosen].sum())
        if found.vectors is not None:
            told["curve"] = curves(found, picked.scores, settings.seed)
        return {"told": told}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The counts and the page."""
        told = done.output["told"]
        return (Told.of_page(pick_page(told), told),)


def candidates_of(
    samples: Sequence[Sample], settings: PickSettings, handle: ModelHandle, meter: Meter
) -> Candidates:
    """Candidates from the rows' fields and the model. Raises: InputError naming an unscored row."""
    found = Candidates(
        complexity=_numbers(samples, "complexity", settings),
        quality=_numbers(samples, "quality", settings),
        given=_numbers(samples, "score", settings),
        empty=[bool(s.turns) and s.is_empty for s in samples],
    )
    known = np.isfinite(found.given) | np.isfinite(found.complexity)
    missing = [s for s, k, e in zip(samples, known, found.empty, strict=True) if not (k or e)]
    num_usable = found.empty.count(False)
    if missing and len(missing) == num_usable and settings.rule != "random":
        rule, remedy = "must have scores", "Run `burnish curate score POOL --out FILE` first"
        raise InputError(f"row {missing[0].id!r}", sorted(missing[0].row), rule, remedy=remedy)
    if settings.rule != "random" and settings.threshold < 1:
        found.vectors = _vectors(samples, handle, meter)
    if settings.tokens:
        counts = [s.row.get("tokens") for s in samples]
        if all(isinstance(count, int) for count in counts):
            found.tokens = np.array(counts, dtype=np.int64)
        else:
            lengths = handle.tokenizer([s.text for s in samples])["input_ids"]
            found.tokens = np.array([len(ids) for ids in lengths], dtype=np.int64)
    return found


def _numbers(samples: Sequence[Sample], name: str, settings: PickSettings) -> np.ndarray:
    """A field of every row, NaN if missing or null. Scores of turns are aggregated."""
    found = np.full(len(samples), np.nan)
    for i, sample in enumerate(samples):
        turns = sample.row.get("turn_scores") if name == "complexity" else None
        value = sample.row.get(name)
        if isinstance(turns, list) and turns and all(_is_number(t) for t in turns):
            value = AGGREGATES[settings.turns](turns)
        if _is_number(value):
            found[i] = value
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(
        np.isfinite(value)
    )  # fmt: skip


def _vectors(samples: Sequence[Sample], handle: ModelHandle, meter: Meter) -> np.ndarray:
    given = [sample.row.get("embedding") for sample in samples]
    own = [v is not None or not s.turns for v, s in zip(given, samples, strict=True)]
    if all(own) and any(vector is not None for vector in given):
        return _given_vectors(given)
    texts = [cut_tokens(handle, sample.text) or "." for sample in samples]
    return embed_texts(handle, texts, meter)


def _given_vectors(given: Sequence[Any]) -> np.ndarray:
    """The rows' own embeddings; NaN for one that is none, is zero, or has another width."""
    good = [
        isinstance(v, list) and bool(v) and all(map(_is_number, v)) and any(v) for v in given
    ]  # fmt: skip
    widths = Counter(len(v) for v, is_good in zip(given, good, strict=True) if is_good)
    if not widths:
        rule, remedy = "must be lists of numbers", "Leave them out: the model embeds the rows"
        raise InputError("embeddings", repr(given[0])[:80], rule, remedy=remedy)
    width = widths.most_common(1)[0][0]
    found = np.full((len(given), width), np.nan)
    for row, (vector, is_good) in enumerate(zip(given, good, strict=True)):
        if is_good and len(vector) == width:
            found[row] = vector
    return found


def _decision(
    row: int, samples: Sequence[Sample], scores: np.ndarray, reasons: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    found = dict(reasons[row])
    if isinstance(found.get("of"), int):
        found["of"] = samples[found["of"]].id
    score = float(scores[row])
    return {"id": samples[row].id, "score": score if np.isfinite(score) else None, **found}


def curves(found: Candidates, scores: np.ndarray, seed: int) -> dict[str, Any]:
    """How many of the first r rows a walk keeps at several thresholds, and in random order."""
    assert found.vectors is not None
    there = np.isfinite(found.vectors).all(axis=1)
    usable = np.flatnonzero(np.isfinite(scores) & ~np.array(found.empty) & there)
    order = usable[np.argsort(-scores[usable], kind="stable")]
    shuffled = np.random.default_rng(seed).permutation(order)
    at = np.unique(np.linspace(1, len(order), min(40, len(order))).astype(int)) - 1
    by_score = budget_curve(found.vectors[order], thresholds=CURVE_THRESHOLDS)
    by_chance = budget_curve(found.vectors[shuffled], thresholds=(0.945,))
    return {
        "rows": (at + 1).tolist(),
        "kept": {f"{t:g}": counts[at].tolist() for t, counts in by_score.items()},
        "random": by_chance[0.945][at].tolist(),
    }
