"""`prefer`: a few steps of LD-DPO on pairs whose better answer tends to be longer."""

from dataclasses import dataclass, replace
from typing import Self

from burnish.base.errors import IncompleteError
from burnish.base.meter import Meter
from burnish.base.records import write_records
from burnish.base.stages import Stage
from burnish.jobs.step import Given
from burnish.prefer.settings import PreferTrainSettings
from burnish.recipes.preferring import train_preferences
from burnish.recipes.tour import stops
from burnish.recipes.tour.material import preference_rows
from burnish.recipes.tour.stop import MODEL, RUN, Found, Stop, where_of
from burnish.recipes.tour_settings import TourSettings


@stops.register("prefer")
@dataclass(frozen=True, kw_only=True)
class PreferStop(Stop):
    """Share of held-out pairs that the aligned model ranks right.

    Source: LD-DPO, arXiv 2409.06411.
    Oracle: tests/recipes/test_touring.py::test_each_stop_tells_the_number_of_its_run
    """

    prefer: PreferTrainSettings
    name: str = "prefer"

    @classmethod
    def configured(cls, settings: TourSettings) -> Self:
        """The stop of a tour; training keeps the precision of its own settings."""
        train = replace(settings.prefer.train, seed=settings.seed)
        prefer = replace(settings.prefer, train=train, device=settings.device)
        return cls(where=where_of(settings), prefer=prefer)

    def measure(self, stage: Stage, given: Given, meter: Meter) -> Found:
        """Align a copy of the model. Raises IncompleteError where no pair was decided."""
        given[MODEL].release()
        path = stage.path / "pairs.jsonl"
        write_records(path, preference_rows(self.where.material.pairs, seed=self.where.seed))
        result = train_preferences(
            self.where.model, path, self.prefer, runs=stage.path, folder=stage.path / RUN
        )
        accuracy = result["margins"]["accuracy"]
        if accuracy is None:
            rule, remedy = "must hold a decided pair", "Raise material.pairs"
            raise IncompleteError("held-out pairs", result["num_heldout"], rule, remedy=remedy)
        steps = result["num_steps"]
        return Found.of(accuracy, f"held-out pairs ranked right after {steps} steps, share", result)
