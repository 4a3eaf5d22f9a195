"""`recall`: how much of a text the model still copies from afar."""

from dataclasses import dataclass, replace
from typing import Self

from burnish.base.meter import Meter
from burnish.base.stages import Stage
from burnish.jobs.step import Given
from burnish.recall.run import measure_curve
from burnish.recall.settings import RecallSettings
from burnish.recipes.tour import stops
from burnish.recipes.tour.stop import MODEL, RUN, Found, Stop, where_of
from burnish.recipes.tour_settings import TourSettings


@stops.register("recall")
@dataclass(frozen=True, kw_only=True)
class RecallStop(Stop):
    """Copy accuracy at the longest distance that was measured.

    Source: Forgetting Curve, arXiv 2410.04727.
    Oracle: tests/recipes/test_touring.py::test_each_stop_tells_the_number_of_its_run
    """

    recall: RecallSettings
    name: str = "recall"

    @classmethod
    def configured(cls, settings: TourSettings) -> Self:
        """The stop of a tour."""
        where = where_of(settings)
        recall = replace(settings.recall, seed=settings.seed, **where.model_settings)
        return cls(where=where, recall=recall)

    def measure(self, stage: Stage, given: Given, meter: Meter) -> Found:
        """Measure a short curve. Raises IncompleteError where no length could be measured."""
        given[MODEL].release()
        result = measure_curve(self.recall, runs=stage.path, folder=stage.path / RUN)
        measured = [point for point in result["points"] if point["copy"] is not None]
        last = measured[-1]
        meaning = f"tokens copied right from {last['length']} tokens back, share"
        return Found.of(last["copy"], meaning, result)
