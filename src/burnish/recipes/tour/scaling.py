"""`scaling`: a ladder of small models, trained and fitted."""

from dataclasses import dataclass, replace
from typing import Self

from burnish.base.errors import IncompleteError
from burnish.base.meter import Meter
from burnish.base.stages import Stage
from burnish.jobs.step import Given
from burnish.recipes.laddering import climb_ladder
from burnish.recipes.tour import stops
from burnish.recipes.tour.stop import RUN, Found, Stop, where_of
from burnish.recipes.tour_settings import TourSettings
from burnish.scaling.ladder_cells import LadderSettings

EXPONENT = "alpha"


@stops.register("scaling")
@dataclass(frozen=True, kw_only=True)
class ScalingStop(Stop):
    """The exponent by which loss falls with compute, fitted to models that are trained here.

    Source: the law `compute`. Oracle:
    tests/recipes/test_touring.py::test_each_stop_tells_the_number_of_its_run
    """

    scaling: LadderSettings
    name: str = "scaling"

    @classmethod
    def configured(cls, settings: TourSettings) -> Self:
        """The stop of a tour."""
        fit = replace(settings.scaling.fit, seed=settings.seed)
        scaling = replace(settings.scaling, seed=settings.seed, fit=fit)
        return cls(where=where_of(settings), scaling=scaling)

    @property
    def reads(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def measure(self, stage: Stage, given: Given, meter: Meter) -> Found:
        """Train every cell and fit. Raises IncompleteError where the exponent has no interval."""
        settings = replace(self.scaling, corpus=str(self.write_texts(stage)))
        result = climb_ladder(settings, runs=stage.path, folder=stage.path / RUN)
        ends = result["intervals"].get(EXPONENT)
        if ends is None:
            rule, remedy = "must have an interval", "Raise scaling.fit.resamples"
            raise IncompleteError("exponent", result["params"], rule, remedy=remedy)
        value = result["params"][EXPONENT]
        estimate = {"value": value, "low": ends[0], "high": ends[1], "n": result["num_runs"]}
        return Found.of(estimate, "exponent of the loss in training FLOPs", result)
