"""`stream`: what a cache policy in bounded memory still reads of sentences in a long text."""

from dataclasses import dataclass, replace
from typing import Self

from burnish.base.meter import Meter
from burnish.base.stages import Stage
from burnish.jobs.step import Given
from burnish.recipes.tour import stops
from burnish.recipes.tour.stop import MODEL, RUN, Found, Stop, where_of
from burnish.recipes.tour_settings import TourSettings
from burnish.stream.audit_job import AuditSettings, audit_policies


@stops.register("stream")
@dataclass(frozen=True, kw_only=True)
class StreamStop(Stop):
    """Share of planted sentences that the first policy reads when it is asked for them.

    Source: Ltri-LLM, arXiv 2412.04757.
    Oracle: tests/recipes/test_touring.py::test_each_stop_tells_the_number_of_its_run
    """

    stream: AuditSettings
    name: str = "stream"

    @classmethod
    def configured(cls, settings: TourSettings) -> Self:
        """The stop of a tour."""
        where = where_of(settings)
        stream = replace(settings.stream, seed=settings.seed, **where.model_settings)
        return cls(where=where, stream=stream)

    def measure(self, stage: Stage, given: Given, meter: Meter) -> Found:
        """Read texts in bounded memory, ask for what was planted."""
        given[MODEL].release()
        result = audit_policies(self.stream, runs=stage.path, folder=stage.path / RUN)
        first, settings = result["first"], self.stream
        meaning = (
            f"evidence read by {first} with {settings.budget} of {settings.length} tokens, share"
        )
        return Found.of(result["policies"][first]["evidence_recall"], meaning, result)
