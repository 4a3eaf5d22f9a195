"""`critique`: answers are criticised and revised, against plain votes at equal tokens."""

from dataclasses import dataclass, replace
from typing import Self

from burnish.base.meter import Meter
from burnish.base.stages import Stage
from burnish.critique.refine_job import refine_answers
from burnish.critique.settings import CritiqueRefineSettings
from burnish.jobs.job import Place
from burnish.jobs.step import Given
from burnish.recipes.tour import stops
from burnish.recipes.tour.stop import MODEL, RUN, Found, Stop, where_of
from burnish.recipes.tour_settings import TourSettings


@stops.register("critique")
@dataclass(frozen=True, kw_only=True)
class CritiqueStop(Stop):
    """Accuracy of revised answers less that of plain ones, at equal tokens.

    Source: arXiv 2411.16579.
    Oracle: tests/recipes/test_touring.py::test_each_stop_tells_the_number_of_its_run
    """

    critique: CritiqueRefineSettings
    name: str = "critique"

    @classmethod
    def configured(cls, settings: TourSettings) -> Self:
        """The stop of a tour."""
        own = settings.critique
        place = replace(own.place, precision=settings.precision, device=settings.device)
        critique = replace(own, model=settings.model, seed=settings.seed, place=place)
        return cls(where=where_of(settings), critique=critique)

    def measure(self, stage: Stage, given: Given, meter: Meter) -> Found:
        """Answer, criticise, revise."""
        given[MODEL].release()
        place = Place(runs=stage.path, folder=stage.path / RUN)
        result = refine_answers(self.critique, place)
        row = result["frontier"][-1]
        meaning = f"accuracy of {row['k']} revised votes less plain votes at equal tokens"
        return Found.of(row["difference"], meaning, result)
