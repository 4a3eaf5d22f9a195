"""`sandbox`: the model writes programs, the sandbox runs them on tests."""

from dataclasses import dataclass
from typing import Self

from burnish.base.meter import Meter
from burnish.base.records import write_records
from burnish.base.rng import stream
from burnish.base.stages import Stage
from burnish.data.sources import load_tasks
from burnish.jobs.step import Given
from burnish.recipes.answering import answer, greedy_asks
from burnish.recipes.measuring import measure_answers
from burnish.recipes.tour import stops
from burnish.recipes.tour.material import program_rows
from burnish.recipes.tour.stop import MODEL, Found, Stop, where_of
from burnish.recipes.tour_settings import TourSettings

BATCH_SIZE = 16


@stops.register("sandbox")
@dataclass(frozen=True, kw_only=True)
class SandboxStop(Stop):
    """Share of the model's programs that pass all tests, judged in isolation.

    Source: MPLSandbox, arXiv 2410.23074.
    Oracle: tests/recipes/test_touring.py::test_each_stop_tells_the_number_of_its_run
    """

    max_new_tokens: int
    name: str = "sandbox"

    @classmethod
    def configured(cls, settings: TourSettings) -> Self:
        """The stop of a tour."""
        return cls(where=where_of(settings), max_new_tokens=settings.program_tokens)

    def measure(self, stage: Stage, given: Given, meter: Meter) -> Found:
        """Let the model answer, and judge. Raises IncompleteError where nothing could be run."""
        path, seed = stage.path / "programs.jsonl", self.where.seed
        write_records(path, program_rows(self.where.material.programs, seed=seed))
        tasks = load_tasks(f"programs:{path}", seed=seed)
        asks = greedy_asks(tasks, self.max_new_tokens)
        records = answer(stage, given[MODEL], asks, batch_size=BATCH_SIZE, meter=meter)
        measured = measure_answers(records, stream(seed, "tour", "sandbox"))
        meaning = "programs by the model that pass all tests, share"
        return Found.of(measured.accuracy.to_dict(), meaning, {})
