"""`burnish curate score`: adds complexity and quality to every row."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import ModelError
from burnish.base.hashes import remembered_hash
from burnish.base.meter import Meter
from burnish.base.records import write_records
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.executor import Executor
from burnish.contracts.page import Block, Chart, Page, Series, Table
from burnish.contracts.step import Told
from burnish.curate import baselines
from burnish.curate.complexity import BUNDLED, load_scorer, score_texts
from burnish.curate.leakage_job import pool_value
from burnish.curate.pool import PoolReport, check_some, read_pool
from burnish.curate.quality import Quality, measure_quality
from burnish.curate.samples import Sample
from burnish.curate.scoring import AGGREGATES
from burnish.curate.settings import ScoreSettings
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value
from burnish.models.handle import ModelHandle

WHAT = "curate-score"
SCORED = "scored.jsonl"
BUNDLED_NAME = "bundled"
NUM_BINS = 30


def score_pool(
    settings: ScoreSettings, executor: Executor | None, place: Place | None = None
) -> dict[str, Any]:
    """Score a pool; the result is what `result.json` holds.

    Raises: what reading the pool and the scorer raises; ModelError, for a scorer of another model.
    Source: XCoder, arXiv 2409.03810, sections 3.1 and 3.2.
    Oracle: tests/curate/test_score_job.py::test_rows_go_out_with_their_scores
    """
    job = score_job(settings, executor)
    for value in job.given.values():
        _ = value.key
    return run_job(job, place or Place())


def score_job(settings: ScoreSettings, executor: Executor | None) -> Job:
    """The job of `curate score`."""
    handle = ModelHandle(settings.model)
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[ScoreStep(settings=settings)],
        given={
            "pool": pool_value(settings.pool),
            "scorer": Value(lambda: _scorer_key(settings.scorer), lambda: settings.scorer),
            "model": Value(lambda: handle.key, lambda: handle),
            "executor": Value("executor", lambda: executor),
        },
        header=Header(
            title=f"burnish curate score: {Path(settings.pool).name}",
            numbers={
                "pool_path": settings.pool,
                "scorer": settings.scorer,
                "turns": settings.turns,
            },
        ),
    )


def scorer_path(name: str) -> Path:
    """The file of a scorer. Raises: ModelError, where nothing is bundled."""
    if name != BUNDLED_NAME:
        return Path(name)
    if not BUNDLED.is_file():
        rule, remedy = "is not there", "Train one: `burnish curate train`"
        raise ModelError("bundled scorer", str(BUNDLED.name), rule, remedy=remedy)
    return BUNDLED


def _scorer_key(name: str) -> str:
    if name in baselines.NAMES:
        return name
    path = scorer_path(name)
    load_scorer(path)  # a wrong file is told before a run is begun
    return remembered_hash(path)


@dataclass(frozen=True, kw_only=True)
class ScoreStep(Step):
    """Scores every user turn alone; `turns` says how several become one score.

    Source: XCoder, arXiv 2409.03810: the score of a dialogue is the sum of its turns'.
    Oracle: tests/curate/test_score_job.py::test_rows_go_out_with_their_scores
    """

    settings: ScoreSettings
    name: str = "score"

    @property
    def reads(self) -> tuple[str, ...]:
        """The pool, the scorer and its model, and the executor."""
        return ("pool", "scorer", "model", "executor")

    @property
    def writes(self) -> Mapping[str, str]:
        """The rows with their scores."""
        return {"scored": SCORED}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Score all rows."""
        settings, report = self.settings, PoolReport()
        samples = list(read_pool(given["pool"], report))
        check_some(given["pool"], report)
        turns = turn_scores(samples, settings, given["model"], meter)
        executor = given["executor"]
        measuring = executor if settings.quality else None
        empty = [s.is_empty for s in samples]
        some = [s for s, e in zip(samples, empty, strict=True) if not e]
        measured = iter(
            [Quality("off")] * len(some)
            if measuring is None
            else measure_quality(some, measuring, max_tests=settings.max_tests)
        )
        qualities = [Quality("empty") if e else next(measured) for e in empty]
        rows = list(_scored(samples, turns, qualities, settings))
        write_records(stage.path / SCORED, rows)
        complexity = [row["complexity"] for row in rows if row["complexity"] is not None]
        return {
            "told": {
                "num_rows": len(rows),
                "num_scored": len(complexity),
                "aggregate": settings.turns,
                "states": dict(Counter(quality.state for quality in qualities)),
                "complexity": summary(complexity),
                "quality": summary([q.value for q in qualities if q.value is not None]),
                "pool": report.to_dict(),
            }
        }

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The counts and the page."""
        told = done.output["told"]
        return (Told.of_page(score_page(told), told),)


def turn_scores(
    samples: Sequence[Sample], settings: ScoreSettings, handle: ModelHandle, meter: Meter
) -> list[list[float]]:
    """Complexity of every user turn; a baseline gives one score per row."""
    if settings.scorer in baselines.NAMES:
        if settings.scorer == baselines.LENGTH:
            values = baselines.instruction_lengths(samples)
        else:
            values = baselines.answer_losses(handle, samples, meter, name=settings.scorer)
        return [[float(v)] if np.isfinite(v) else [] for v in values]
    asked = [[t.text for t in s.turns if t.role in ("user", "text")] for s in samples]
    scorer = load_scorer(scorer_path(settings.scorer))
    flat = [text for some in asked for text in some]
    found = iter(score_texts(scorer, handle, flat, meter, max_tokens=settings.max_tokens))
    scores = [[float(next(found)) for _ in some] for some in asked]
    return [[s for s in some if np.isfinite(s)] for some in scores]


def _scored(
    samples: Sequence[Sample],
    turns: Sequence[Sequence[float]],
    qualities: Sequence[Quality],
    settings: ScoreSettings,
) -> Iterator[dict[str, Any]]:
    join = AGGREGATES[settings.turns]
    for sample, scores, quality in zip(samples, turns, qualities, strict=True):
        yield {
            **sample.row,
            "id": sample.id,
            "complexity": round(join(scores), 5) if scores and not sample.is_empty else None,
            "turn_scores": [round(s, 5) for s in scores],
            "quality": quality.value,
            "quality_state": quality.state,
            "tests_passed": quality.passed,
            "tests_total": quality.total,
        }


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Quantiles and a histogram; None without a value."""
    if not values:
        return {"n": 0, "quantiles": None, "bins": [], "counts": []}
    counts, edges = np.histogram(values, bins=min(NUM_BINS, max(len(set(values)), 1)))
    quantiles = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95)).round(4).tolist()
    middles = ((edges[1:] + edges[:-1]) / 2).round(4).tolist()
    return {"n": len(values), "quantiles": quantiles, "bins": middles, "counts": counts.tolist()}


def score_page(told: Mapping[str, Any]) -> Page:
    """Counts, histograms, and why rows have no quality."""
    blocks: list[Block] = [
        Chart(
            title=f"{name.capitalize()} of rows",
            kind="bar",
            series=[Series(name="rows", x=told[name]["bins"], y=told[name]["counts"])],
            x_label=name,
            y_label="rows",
        )
        for name in ("complexity", "quality")
        if told[name]["n"]
    ]
    states = sorted(told["states"].items(), key=lambda item: -item[1])
    blocks.append(Table(title="Quality by state", columns=["state", "rows"],
                        rows=[[*s] for s in states],
                        caption="Only executable rows have a value."))  # fmt: skip
    num = told["states"].get("executable", 0)
    return Page(
        title="burnish curate score",
        verdict=f"{told['num_scored']} of {told['num_rows']} rows have a complexity, "
        f"{num} a quality.",
        good="measured",
        headline=[("Scored", str(told["num_scored"]), f"of {told['num_rows']} rows"),
                  ("With quality", str(num), "answers that tests of their own row ran")],
        blocks=blocks,
    )  # fmt: skip
