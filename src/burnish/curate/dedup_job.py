"""`burnish curate dedup`: drops near-duplicates, and records which row each repeats."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.meter import Meter
from burnish.base.progress import track
from burnish.base.records import write_records
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.page import Page, Table
from burnish.contracts.step import Told
from burnish.curate.duplicates import Deduplicator
from burnish.curate.leakage_job import pool_value
from burnish.curate.pool import PoolReport, check_some, read_pool
from burnish.curate.settings import DedupSettings
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Verification

WHAT = "curate-dedup"
KEPT, DROPPED = "kept.jsonl", "dropped.jsonl"
MAX_ROWS = 200


def drop_duplicates(settings: DedupSettings, place: Place | None = None) -> dict[str, Any]:
    """Drop near-duplicates; the result is what `result.json` holds.

    Raises: what reading the pool raises.
    Source: ours. Oracle: tests/curate/test_dedup_job.py::test_the_first_of_equal_rows_stays
    """
    job = dedup_job(settings)
    _ = job.given["pool"].key
    return run_job(job, place or Place())


def dedup_job(settings: DedupSettings) -> Job:
    """The job of `curate dedup`."""
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[DedupStep(settings=settings)],
        given={"pool": pool_value(settings.pool)},
        header=Header(
            title=f"burnish curate dedup: {Path(settings.pool).name}",
            numbers={"pool_path": settings.pool},
        ),
    )


@dataclass(frozen=True, kw_only=True)
class DedupStep(Step):
    """Reads the pool once and writes each row to one of two files.

    Source: ours. Oracle: tests/curate/test_dedup_job.py::test_the_first_of_equal_rows_stays
    """

    settings: DedupSettings
    name: str = "dedup"
    verified: Verification = "again"

    @property
    def reads(self) -> tuple[str, ...]:
        """The pool."""
        return ("pool",)

    @property
    def writes(self) -> Mapping[str, str]:
        """The rows that are kept."""
        return {"kept": KEPT}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Write the kept rows, and the reasons for the dropped ones."""
        report, dropped = PoolReport(), list[dict[str, Any]]()
        rows = self._kept(given["pool"], report, dropped)
        write_records(stage.path / KEPT, rows)
        check_some(given["pool"], report)
        write_records(stage.path / DROPPED, dropped)
        reasons = Counter(row["reason"] for row in dropped)
        return {
            "told": {
                "num_rows": report.num_rows,
                "num_kept": report.num_rows - len(dropped),
                "reasons": dict(reasons),
                "pool": report.to_dict(),
                "dropped": dropped[:MAX_ROWS],
            }
        }

    def _kept(
        self, pool: str, report: PoolReport, dropped: list[dict[str, Any]]
    ) -> Iterator[Mapping[str, Any]]:
        found, ids = Deduplicator(self.settings.jaccard, seed=self.settings.seed), list[Any]()
        with track(None, "dedup", "row") as bar:
            for number, sample in enumerate(read_pool(pool, report)):
                ids.append(sample.id)
                bar.advance(1)
                if sample.is_empty:
                    dropped.append({"id": sample.id, "reason": "empty"})
                    continue
                twin = found.add(number, sample.text)
                if twin is None:
                    yield sample.row
                    continue
                dropped.append(
                    {"id": sample.id, "reason": "duplicate", "of": ids[twin.of],
                     "jaccard": round(twin.jaccard, 4)}
                )  # fmt: skip

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The counts and the page."""
        told = done.output["told"]
        return (Told.of_page(dedup_page(told), told),)


def dedup_page(told: Mapping[str, Any]) -> Page:
    """Verdict and the dropped rows."""
    num, kept = told["num_rows"], told["num_kept"]
    rows = [[str(r["id"]), r["reason"], str(r.get("of", "")), r.get("jaccard", "")]
            for r in told["dropped"]]  # fmt: skip
    return Page(
        title="burnish curate dedup",
        verdict=f"{kept} of {num} rows stay; {told['reasons'].get('duplicate', 0)} repeat another.",
        good="measured",
        headline=[("Kept", str(kept), f"of {num} rows")],
        blocks=[
            Table(
                title="Dropped rows",
                columns=["row", "reason", "repeats", "Jaccard index"],
                rows=rows,
                caption=f"The first {MAX_ROWS}; all are in {DROPPED}.",
            )
        ],
    )
