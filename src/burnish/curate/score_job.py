"""`burnish curate score`: adds complexity and quality to every row."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from burnish.base.errors import MissingFileError, ModelError
from burnish.base.hashes import remembered_hash
from burnish.base.meter import Meter
from burnish.base.progress import say
from burnish.base.records import read_records, write_records
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.executor import Executor
from burnish.contracts.page import Block, Chart, Page, Series, Table
from burnish.contracts.step import Told
from burnish.curate import baselines
from burnish.curate.agreement import measure_agreement
from burnish.curate.calibrate import LEAST_ROWS
from burnish.curate.complexity import BUNDLED, BUNDLED_SIZES, load_scorer, score_texts
from burnish.curate.leakage_job import pool_value
from burnish.curate.passes import blocks_of
from burnish.curate.pool import PoolReport, check_some, read_pool
from burnish.curate.posterior import DEFAULT, Rates, estimate_rates, posterior
from burnish.curate.programs import program_of
from burnish.curate.quality import Quality, measure_quality
from burnish.curate.quality_tests import model_of, source_of
from burnish.curate.samples import Sample
from burnish.curate.scoring import AGGREGATES
from burnish.curate.settings import ScoreSettings
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import ITSELF, Given, Step, Value
from burnish.models.handle import ModelHandle

WHAT = "curate-score"
SCORED = "scored.jsonl"
BUNDLED_NAMES = {"bundled": BUNDLED, "bundled-sizes": BUNDLED_SIZES}
NUM_BINS = 30
BLOCK_ROWS = 512
AGREEMENT, ESTIMATED = "agreement", "estimated"


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
    handle, tester = ModelHandle(settings.model), model_of(settings.tests)
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[ScoreStep(settings=settings)],
        given={
            "pool": pool_value(settings.pool),
            "scorer": Value(lambda: _scorer_key(settings.scorer), lambda: settings.scorer),
            "model": Value(lambda: handle.key, lambda: handle),
            "tester": Value(lambda: "" if tester is None else tester.key, lambda: tester),
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
    """The file of a scorer. Raises: MissingFileError; ModelError, where nothing is bundled."""
    if name not in BUNDLED_NAMES:
        if not Path(name).is_file():
            names = ", ".join((*BUNDLED_NAMES, *baselines.NAMES))
            remedy = f"Write {names}, or a file of `burnish curate train`"
            raise MissingFileError("scorer", name, "must be a name or a file", remedy=remedy)
        return Path(name)
    path = BUNDLED_NAMES[name]
    if not path.is_file():
        rule, remedy = "is not there", "Train one: `burnish curate train`"
        raise ModelError("bundled scorer", str(path.name), rule, remedy=remedy)
    return path


def _scorer_key(name: str) -> str:
    if name in baselines.NAMES:
        return name
    path = scorer_path(name)
    load_scorer(path)  # a wrong file is told before a run is begun
    return remembered_hash(path)


@dataclass(frozen=True, kw_only=True)
class ScoreStep(Step):
    """Scores every user turn alone; `turns` says how several become one score.

    The pool is read and written in blocks, so it may be larger than memory.

    Source: XCoder, arXiv 2409.03810: the score of a dialogue is the sum of its turns'.
    Oracle: tests/curate/test_score_job.py::test_rows_go_out_with_their_scores
    """

    settings: ScoreSettings
    name: str = "score"

    guards = (ITSELF,)  # finished work is not dropped because an input changed

    @property
    def reads(self) -> tuple[str, ...]:
        """The pool, the scorer and its model, the model that writes tests, and the executor."""
        return ("pool", "scorer", "model", "tester", "executor")

    @property
    def writes(self) -> Mapping[str, str]:
        """The rows with their scores."""
        return {"scored": SCORED}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Score all rows, block by block; finished blocks of an interrupted attempt are kept."""
        settings, report = self.settings, PoolReport()
        executor = given["executor"] if settings.quality else None
        source = source_of(given["tester"], meter)
        agreed: dict[int, Quality] | None = None
        parts: list[Path] = []
        for block in blocks_of(read_pool(given["pool"], report), BLOCK_ROWS):
            place = stage.path / f"part-{len(parts):06d}.jsonl"
            parts.append(place)
            if place.is_file():
                continue
            turns = turn_scores(block, settings, given["model"], meter)
            if executor is None:
                measured = [Quality("empty" if s.is_empty else "off") for s in block]
            elif settings.tests == AGREEMENT:
                if agreed is None:
                    agreed = measure_agreement(
                        given["pool"], executor, max_tests=settings.max_tests
                    )
                first = (len(parts) - 1) * BLOCK_ROWS
                measured = [_agreed(agreed, first + i, s) for i, s in enumerate(block)]
            else:
                some = [s for s in block if not s.is_empty]
                found = measure_quality(some, executor, max_tests=settings.max_tests, source=source)
                each = iter(found)
                measured = [Quality("empty") if s.is_empty else next(each) for s in block]
            write_records(place, _scored(block, turns, measured, settings))
        check_some(given["pool"], report)
        told = join_parts(parts, stage.path / SCORED, settings)
        return {"told": told | {"aggregate": settings.turns, "pool": report.to_dict()}}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The counts and the page."""
        told = done.output["told"]
        return (Told.of_page(score_page(told), told),)


def _agreed(found: Mapping[int, Quality], row: int, sample: Sample) -> Quality:
    """By agreement: a program that no other answer can test has no tests."""
    if sample.is_empty:
        return Quality("empty")
    runs = row in found or program_of(sample) is not None
    return found.get(row, Quality("no_tests" if runs else "not_executable"))


def join_parts(parts: Sequence[Path], target: Path, settings: ScoreSettings) -> dict[str, Any]:
    """Join the blocks in order, with the posterior of each count; returns the numbers.

    Source: ours. Oracle: tests/curate/test_score_job.py::test_interrupted_scores_resume
    """
    counts = np.array(
        [(row["tests_passed"], row["tests_total"]) for part in parts for row in read_records(part)
         if row["quality_state"] == "executable"], dtype=np.float64).reshape(-1, 2)  # fmt: skip
    rates = rates_of(counts, settings.rates)
    states, values = Counter[str](), {name: array("d") for name in ("complexity", "quality")}

    def rows() -> Iterator[dict[str, Any]]:
        for part in parts:
            for row in read_records(part):
                if row["quality_state"] == "executable":
                    passed, total = (np.array([row[f"tests_{n}"]]) for n in ("passed", "total"))
                    row["quality"] = float(posterior(passed, total, Rates(**rates["values"]))[0])
                states[row["quality_state"]] += 1
                for name, found in values.items():
                    found.extend([row[name]] if row[name] is not None else [])
                yield row

    write_records(target, rows())
    for part in parts:
        part.unlink()
    return {
        "num_rows": states.total(),
        "num_scored": len(values["complexity"]),
        "states": dict(states),
        "rates": rates,
        **{name: summary(found) for name, found in values.items()},
    }


def rates_of(counts: Float[np.ndarray, "R 2"], how: str) -> dict[str, Any]:
    """The rates behind the posterior, and where they come from.

    Counts of fewer than 200 rows say too little, so the default rates stay, and `how` says so.
    """
    if how == ESTIMATED and len(counts) >= LEAST_ROWS:
        return {"how": how, "values": vars(estimate_rates(counts[:, 0], counts[:, 1]))}
    if how == ESTIMATED:
        say(f"note: {len(counts)} rows have tests; below {LEAST_ROWS} the default rates are used")
    return {"how": "default", "values": vars(DEFAULT)}


def turn_scores(
    samples: Sequence[Sample], settings: ScoreSettings, handle: ModelHandle, meter: Meter
) -> list[list[float]]:
    """Complexity of every user turn; a baseline gives one score per row."""
    if settings.scorer in baselines.NAMES:
        if settings.scorer == baselines.LENGTH:
            values = baselines.instruction_lengths(samples)
        elif settings.scorer == baselines.ANSWER:
            values = baselines.answer_sizes(samples)
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
    if not len(values):
        return {"n": 0, "quantiles": None, "bins": [], "counts": []}
    counts, edges = np.histogram(values, bins=min(NUM_BINS, max(len(set(values)), 1)))
    quantiles = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95)).round(4).tolist()
    middles = ((edges[1:] + edges[:-1]) / 2).round(4).tolist()
    return {"n": len(values), "quantiles": quantiles, "bins": middles, "counts": counts.tolist()}


def states_caption(told: Mapping[str, Any]) -> str:
    """What the values are based on."""
    used, rates = told["rates"]["values"], told["rates"]["how"]
    return (
        "Only executable rows have a value: the chance that the answer is right, where a right "
        f"answer passes a test with {used['accuracy']:.0%}, a wrong one with "
        f"{used['false_pass']:.0%}, and {used['prior']:.0%} are right before any test "
        f"({rates} rates)."
    )


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
                        caption=states_caption(told)))  # fmt: skip
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
