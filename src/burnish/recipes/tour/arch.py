"""`arch`: a small dense and a small predictor-corrector model, pretrained on the same text."""

from dataclasses import dataclass, replace
from typing import Self

from burnish.arch.compare_job import compare
from burnish.arch.compare_settings import CompareSettings
from burnish.base.meter import Meter
from burnish.base.stages import Stage
from burnish.jobs.job import Place
from burnish.jobs.step import Given
from burnish.recipes.tour import stops
from burnish.recipes.tour.stop import RUN, Found, Stop, where_of
from burnish.recipes.tour_settings import TourSettings


@stops.register("arch")
@dataclass(frozen=True, kw_only=True)
class ArchStop(Stop):
    """Held-out loss of the second block less that of the first, at equal FLOPs.

    The models are pretrained here, so the tour's own model has no part in it.
    Source: PCformer. Oracle:
    tests/recipes/test_touring.py::test_each_stop_tells_the_number_of_its_run
    """

    arch: CompareSettings
    name: str = "arch"

    @classmethod
    def configured(cls, settings: TourSettings) -> Self:
        """The stop of a tour."""
        arch = replace(settings.arch, seed=settings.seed, device=settings.device)
        return cls(where=where_of(settings), arch=arch)

    @property
    def reads(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def measure(self, stage: Stage, given: Given, meter: Meter) -> Found:
        """Pretrain both. Raises IncompleteError where a loss is not finite."""
        settings = replace(self.arch, corpus=str(self.write_texts(stage)))
        result = compare(settings, Place(runs=stage.path, folder=stage.path / RUN))
        first, second = settings.specs[:2]
        (row,) = (
            row for row in result["readings"] if (row["equal"], row["block"]) == ("FLOPs", second)
        )
        meaning = f"held-out loss of {second} less {first} at equal FLOPs, nats a token"
        return Found.of(row["difference"], meaning, result)
