"""`burnish curate leakage`: scan, run, decide; the run keeps the ledger and the clean pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.canonical import content_hash
from burnish.base.files import read_json, write_json
from burnish.base.hashes import remembered_hash
from burnish.base.meter import Meter
from burnish.base.records import write_records
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.executor import Executor
from burnish.contracts.step import Told
from burnish.curate.embedding import Embedder
from burnish.curate.leakage_page import leakage_page, marked
from burnish.curate.leaks import Scan, clean_rows, find_leaks, scan_pool
from burnish.curate.passes import second_pass
from burnish.curate.pool import pool_files
from burnish.curate.samples import Sample
from burnish.curate.settings import LeakageSettings
from burnish.data.benchmarks import BenchmarkItem, load_benchmark
from burnish.distrib import launchers
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value
from burnish.models.handle import ModelHandle

WHAT = "curate-leakage"
FLAGGED, CLEAN, SHOWN = "flagged.jsonl", "clean.jsonl", "shown.json"
TOLD = ("flagged", "common_knowledge")
MAX_PAIRS = 40


def find_leakage(
    settings: LeakageSettings, executor: Executor | None, place: Place | None = None
) -> dict[str, Any]:
    """Scan a pool for leaks; the result is what `result.json` holds.

    Raises: what reading the pool and the benchmarks raises.
    Source: ours. Oracle: tests/curate/test_leakage_job.py::test_a_run_holds_ledger_and_clean_pool
    """
    launchers.parse(settings.launcher)
    job = leakage_job(settings, executor)
    for value in job.given.values():
        _ = value.key  # what is not there is told before a run folder is made
    return run_job(job, place or Place())


def leakage_job(settings: LeakageSettings, executor: Executor | None) -> Job:
    """The job of `curate leakage`."""
    handle = ModelHandle(settings.model)
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[LeakageStep(settings=settings)],
        given={
            "pool": pool_value(settings.pool),
            "model": Value(lambda: handle.key if settings.embed else "", lambda: handle),
            "items": Value(lambda: _items_key(settings), lambda: _items(settings)),
            "executor": Value("executor", lambda: executor),
        },
        header=Header(
            title=f"burnish curate leakage: {Path(settings.pool).name}",
            numbers={"pool_path": settings.pool, "benchmarks": list(settings.benchmarks)},
        ),
    )


def pool_value(pool: str) -> Value:
    """A pool, known by the content of its files."""
    return Value(lambda: content_hash([remembered_hash(p) for p in pool_files(pool)]), lambda: pool)


def _items(settings: LeakageSettings) -> list[BenchmarkItem]:
    return [item for spec in settings.benchmarks for item in load_benchmark(spec)]


def _items_key(settings: LeakageSettings) -> str:
    return content_hash(_items(settings))


@dataclass(frozen=True, kw_only=True)
class LeakageStep(Step):
    """Scans and decides; an interrupted scan resumes after its last finished block.

    Source: ours. Oracle: tests/curate/test_leakage_job.py::test_a_run_holds_ledger_and_clean_pool
    """

    settings: LeakageSettings
    name: str = "leakage"

    @property
    def reads(self) -> tuple[str, ...]:
        """The pool, the benchmark's items, the model that embeds, and the executor."""
        return ("pool", "items", "model", "executor")

    @property
    def writes(self) -> Mapping[str, str]:
        """The pool without its leaks."""
        return {"clean": CLEAN}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Scan the pool, run its programs, and write the ledger and the clean pool."""
        settings = self.settings
        launcher = launchers.parse(settings.launcher)
        embedder = None
        if settings.embed:
            embedder = Embedder(
                handle=given["model"], layer=settings.layer, max_tokens=settings.max_tokens,
                meter=meter,
            )  # fmt: skip
        scan = scan_pool(
            given["items"], settings, launcher=launcher, folder=stage.path, embedder=embedder
        )
        found = find_leaks(scan, settings, given["executor"])
        rows = [row for name in TOLD for row in found[name]]
        write_records(stage.path / FLAGGED, rows)
        dropped = {row["row"] for row in found["flagged"]}
        write_records(stage.path / CLEAN, clean_rows(settings, dropped))
        shown = {"best": best_of(scan), "pairs": pairs_of(scan, settings, found["flagged"])}
        write_json(stage.path / SHOWN, shown)
        for place in [*stage.path.glob("hits-*.npz"), *stage.path.glob("vectors-*.npy")]:
            place.unlink()
        return {"told": found}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The numbers and the page."""
        told, shown = done.output["told"], read_json(done.path / SHOWN)
        return (Told.of_page(leakage_page(told, shown["best"], shown["pairs"]), told),)


def best_of(scan: Scan) -> list[float]:
    """Best scores of at most 20,000 evenly spaced rows, for the histogram."""
    scores = scan.scored.scores
    if not scores.shape[1]:
        return []
    best = scores[:: max(1, len(scores) // 20_000), 0]
    return [round(float(b), 4) for b in best if abs(float(b)) < float("inf")]


def pairs_of(
    scan: Scan, settings: LeakageSettings, flagged: Sequence[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """The first flagged rows beside their items, the overlap marked."""
    wanted = {row["row"]: row for row in flagged[:MAX_PAIRS]}
    items = {(str(item.benchmark), str(item.id)): item for item in scan.items}
    by_id = {str(item.id): item for item in scan.items}
    found: dict[int, dict[str, str]] = {}

    def use(number: int, sample: Sample) -> None:
        row = wanted[number]
        item = items.get((str(row.get("benchmark")), str(row["benchmark_id"])))
        item = item or by_id[str(row["benchmark_id"])]
        spans = row["evidence"]
        longest = max(spans, key=lambda s: s["end"] - s["start"]) if spans else None
        text = sample.text
        if longest is not None:
            text = next(t.text for t in sample.turns if t.index == longest["message"])
        found[number] = {
            "id": str(row["id"]), "benchmark_id": str(row["benchmark_id"]),
            "row": marked(text, [] if longest is None else [longest]),
            "item": (item.prompt + "\n" + item.solution)[:600],
        }  # fmt: skip

    second_pass(settings.pool, set(wanted), use)
    return [found[number] for number in wanted if number in found]
