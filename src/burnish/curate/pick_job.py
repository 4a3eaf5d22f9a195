"""`burnish curate pick`: chooses scored rows, and records a reason for every row."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.meter import Meter
from burnish.base.records import write_records
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Told
from burnish.curate.candidates import VECTORS, candidates_of, read_rows
from burnish.curate.greedy import budget_curve
from burnish.curate.leakage_job import pool_value
from burnish.curate.passes import second_pass
from burnish.curate.pick_page import pick_page
from burnish.curate.picking import Candidates, Picked, finite_rows, pick
from burnish.curate.pool import PoolReport
from burnish.curate.settings import PickSettings
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value
from burnish.models.handle import ModelHandle

WHAT = "curate-pick"
PICKED, DECISIONS = "picked.jsonl", "decisions.jsonl"
CURVE_ROWS = 20_000
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

    The pool is read three times and may be larger than memory: numbers and reasons are held, the
    embeddings are mapped from a file, and of the texts those of chosen rows alone are held.

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
        rows = read_rows(given["pool"], settings, report)
        found = candidates_of(rows, settings, given["model"], meter, stage.path)
        picked = pick(found, settings)
        write_records(stage.path / PICKED, chosen_rows(given["pool"], picked.chosen))
        reasons: Counter[str] = Counter(reason["reason"] for reason in picked.reasons)
        decisions = (decision(i, rows.ids, picked) for i in range(len(rows.ids)))
        write_records(stage.path / DECISIONS, decisions)
        told: dict[str, Any] = {
            "num_rows": len(rows.ids),
            "num_picked": len(picked.chosen),
            "picked": [rows.ids[i] for i in picked.chosen],
            "reasons": dict(reasons),
            "aggregate": settings.turns,
            "pool": report.to_dict(),
            "decisions": [decision(i, rows.ids, picked) for i in range(min(200, len(rows.ids)))],
        }
        if found.tokens is not None:
            told["num_tokens"] = int(found.tokens[picked.chosen].sum())
        if found.vectors is not None:
            told["curve"] = curves(found, picked.scores, settings.seed)
        (stage.path / VECTORS).unlink(missing_ok=True)
        return {"told": told}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The counts and the page."""
        told = done.output["told"]
        return (Told.of_page(pick_page(told), told),)


def chosen_rows(pool: Path | str, chosen: Sequence[int]) -> Iterator[Mapping[str, Any]]:
    """The chosen rows in order of choice; of the pool's rows, they alone are held."""
    found: dict[int, Mapping[str, Any]] = {}
    wanted = set(chosen)
    second_pass(pool, wanted, lambda number, sample: found.update({number: sample.row}),
                any_shape=True)  # fmt: skip
    yield from (found[number] for number in chosen)


def decision(row: int, ids: Sequence[Any], picked: Picked) -> dict[str, Any]:
    """The line of a row in the file of decisions."""
    found = dict(picked.reasons[row])
    if isinstance(found.get("of"), int):
        found["of"] = ids[found["of"]]
    score = float(picked.scores[row])
    return {"id": ids[row], "score": score if np.isfinite(score) else None, **found}


def curves(found: Candidates, scores: np.ndarray, seed: int) -> dict[str, Any]:
    """How many of the first r rows a walk keeps at several thresholds, and in random order.

    Of a larger pool, the first 20,000 rows of each order; what a walk keeps of them does not
    depend on the rest.
    """
    assert found.vectors is not None
    usable = np.flatnonzero(np.isfinite(scores) & ~np.array(found.empty))
    usable = usable[finite_rows(found.vectors, usable)]
    order = usable[np.argsort(-scores[usable], kind="stable")]
    shuffled = np.random.default_rng(seed).permutation(order)[:CURVE_ROWS]
    order = order[:CURVE_ROWS]
    at = np.unique(np.linspace(1, len(order), min(40, len(order))).astype(int)) - 1
    by_score = budget_curve(found.vectors[order], thresholds=CURVE_THRESHOLDS)
    by_chance = budget_curve(found.vectors[shuffled], thresholds=(0.945,))
    return {
        "rows": (at + 1).tolist(),
        "kept": {f"{t:g}": counts[at].tolist() for t, counts in by_score.items()},
        "random": by_chance[0.945][at].tolist(),
    }
