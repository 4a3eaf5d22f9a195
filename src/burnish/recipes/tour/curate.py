"""`curate`: leaks of a benchmark that were planted in a pool, under other names."""

from dataclasses import dataclass, replace
from typing import Self

from burnish.base.meter import Meter
from burnish.base.records import write_records
from burnish.base.rng import stream
from burnish.base.stages import Stage
from burnish.base.stats import wilson
from burnish.curate.settings import LeakageSettings
from burnish.jobs.job import Place
from burnish.jobs.step import Given
from burnish.recipes.curating import leakage_with_sandbox
from burnish.recipes.tour import stops
from burnish.recipes.tour.material import benchmark_row, functions, pool_row, renamed_row
from burnish.recipes.tour.stop import RUN, Found, Stop, where_of
from burnish.recipes.tour_settings import TourSettings

PLANTED = "planted"


@stops.register("curate")
@dataclass(frozen=True, kw_only=True)
class CurateStop(Stop):
    """Share of planted leaks that are found; functions of Python's library are the material.

    Source: XCoder, arXiv 2409.03810, for the setting; the detector is ours.
    Oracle: tests/recipes/test_touring.py::test_each_stop_tells_the_number_of_its_run
    """

    curate: LeakageSettings
    name: str = "curate"

    @classmethod
    def configured(cls, settings: TourSettings) -> Self:
        """The stop of a tour."""
        return cls(where=where_of(settings), curate=replace(settings.curate, seed=settings.seed))

    @property
    def reads(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def measure(self, stage: Stage, given: Given, meter: Meter) -> Found:
        """Plant renamed copies of half the benchmark, and look for them."""
        seed, rng = self.where.seed, stream(self.where.seed, "tour", "leaks")
        num_items = 2 * self.where.material.leaks
        drawn = functions(num_items + self.where.material.functions, seed=seed)
        items, others = drawn[:num_items], drawn[num_items:]
        copies = [renamed_row(node, f"{PLANTED}-{i}", rng) for i, node in enumerate(items[::2])]
        rows = [*copies, *(pool_row(node, f"other-{i}") for i, node in enumerate(others))]
        benchmark, pool = stage.path / "benchmark.jsonl", stage.path / "pool.jsonl"
        write_records(benchmark, [benchmark_row(node) for node in items])
        write_records(pool, [rows[place] for place in rng.permutation(len(rows))])
        settings = replace(self.curate, pool=str(pool), benchmarks=(str(benchmark),))
        place = Place(runs=stage.path, folder=stage.path / RUN)
        result = leakage_with_sandbox(settings, place)
        flagged = [str(row["id"]) for row in result["flagged"]]
        right = sum(name.startswith(PLANTED) for name in flagged)
        false = len(flagged) - right
        meaning = f"planted leaks found ({false} false alarms of {len(others)}), share"
        return Found.of(wilson(right, len(copies)).to_dict(), meaning, result)
