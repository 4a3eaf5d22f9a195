"""`draft`: speculative decoding against plain decoding, the same text."""

from dataclasses import dataclass
from typing import Self

from burnish.base.errors import IncompleteError
from burnish.base.meter import Meter
from burnish.base.records import write_records
from burnish.base.stages import Stage
from burnish.draft.cost import PLAIN
from burnish.draft.measure import BenchSettings, bench_drafts
from burnish.jobs.step import Given
from burnish.recipes.tour import stops
from burnish.recipes.tour.material import prompt_rows
from burnish.recipes.tour.stop import MODEL, RUN, Found, Stop, where_of
from burnish.recipes.tour_settings import DraftStopSettings, TourSettings


@stops.register("draft")
@dataclass(frozen=True, kw_only=True)
class DraftStop(Stop):
    """How many times as fast as plain decoding a drafter writes the same texts.

    Source: FIRP, arXiv 2410.20488.
    Oracle: tests/recipes/test_touring.py::test_each_stop_tells_the_number_of_its_run
    """

    draft: DraftStopSettings
    name: str = "draft"

    @classmethod
    def configured(cls, settings: TourSettings) -> Self:
        """The stop of a tour."""
        return cls(where=where_of(settings), draft=settings.draft)

    def measure(self, stage: Stage, given: Given, meter: Meter) -> Found:
        """Decode in turns. Raises IncompleteError where a drafted text differs."""
        given[MODEL].release()
        path = stage.path / "prompts.jsonl"
        write_records(path, prompt_rows(self.where.material.prompts, seed=self.where.seed))
        settings = BenchSettings(
            prompts=str(path), limit=0, drafters=(self.draft.drafter,),
            max_new_tokens=self.draft.new_tokens, **self.where.model_settings,
        )  # fmt: skip
        result = bench_drafts(settings, runs=stage.path, folder=stage.path / RUN)
        if not result["all_identical"]:
            rule, remedy = "must be those of plain decoding", "Try another drafter"
            raise IncompleteError("drafted texts", self.draft.drafter, rule, remedy=remedy)
        (name,) = (arm for arm in result["drafters"] if arm != PLAIN)
        meaning = f"speed of drafting with {name} over plain decoding, identical text, times"
        return Found.of(result["drafters"][name]["speedup"], meaning, result)
