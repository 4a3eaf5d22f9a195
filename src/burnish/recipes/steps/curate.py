"""`curate`: removes leaks from what was selected, and picks a part of the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from burnish.base.meter import Meter
from burnish.base.records import read_records, write_records
from burnish.base.stages import Stage, StageResult
from burnish.base.stats import wilson
from burnish.contracts.page import Table
from burnish.contracts.record import Claim, Record
from burnish.contracts.step import Cost, Told
from burnish.contracts.task import Task
from burnish.curate.pick_job import pick_rows
from burnish.curate.settings import PickSettings, ScoreSettings
from burnish.data.overlap import Seen, overlaps
from burnish.jobs.job import Place
from burnish.jobs.step import Given, Step
from burnish.recipes.curating import score_with_sandbox
from burnish.recipes.settings import CurateStageSettings, ImproveSettings
from burnish.recipes.steps import round_steps
from burnish.recipes.steps.rounds import Roles

CURATED, POOL = "curated.jsonl", "pool.jsonl"
MEASURED = ("heldout", "dev")  # what nothing may be learned of
COLUMNS = ["stage", "selected", "leaks removed", "learned from", "tokens before", "tokens after"]


@round_steps.register("curate")
@dataclass(frozen=True, kw_only=True)
class CurateStep(Step):
    """The selected answers without leaks, complex and unlike; left out where no rule is set.

    Source: XCoder, arXiv 2409.03810, Algorithm 1.
    Oracle: tests/recipes/test_curate_step.py::test_leaks_are_removed_and_a_part_is_picked
    """

    name: str
    selected: str
    curate: CurateStageSettings
    seed: int

    @classmethod
    def in_round(cls, settings: ImproveSettings, roles: Roles) -> Sequence[Step]:
        """The step of a round, or none."""
        if not settings.curate.rule:
            return ()
        step = cls(
            name=f"curate-{roles.number}",
            selected=roles.selected,
            curate=settings.curate,
            seed=settings.seed,
        )
        roles.selected = step.name
        return (step,)

    @property
    def reads(self) -> tuple[str, ...]:
        """What was selected, the tasks that measure, and the model that embeds."""
        return (self.selected, *MEASURED, "base")

    @property
    def writes(self) -> Mapping[str, str]:
        """The records that are learned from."""
        return {self.name: CURATED}

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """How many are expected to be left."""
        return Cost(num_items={self.name: int(num_items[self.selected] * self.curate.keep_frac)})

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Write what is left; an empty rest is told by the step that learns."""
        selected: list[Record] = given[self.selected]
        clean = without_leaks(selected, [task for name in MEASURED for task in given[name]])
        names = self._picked(stage.path, clean, given["base"].spec) if clean else set()
        kept = [record for record in clean if record.id in names]
        write_records(stage.path / CURATED, [asdict(record) for record in kept])
        return {
            "num_selected": len(selected),
            "num_leaks": len(selected) - len(clean),
            "num_kept": len(kept),
            "tokens": [sum(one.tokens for one in some) for some in (selected, kept)],
        }

    def _picked(self, folder: Path, records: Sequence[Record], model: str) -> set[str]:
        """Names of the records that the discipline's own job picks."""
        rows = [{"id": one.id, "prompt": one.prompt, "answer": one.answer} for one in records]
        write_records(folder / POOL, rows)
        plan = self.curate
        scoring = ScoreSettings(
            pool=str(folder / POOL), scorer=plan.scorer, model=model, quality=False, seed=self.seed
        )
        scored = score_with_sandbox(scoring, Place(runs=folder, folder=folder / "scored"))
        picking = PickSettings(
            pool=str(Path(scored["run"]) / "stages" / "score" / "scored.jsonl"),
            rule=plan.rule or "xcoder",
            budget=max(1, round(plan.keep_frac * len(records))),
            threshold=plan.threshold,
            model=model,
            seed=self.seed,
        )
        found = pick_rows(picking, Place(runs=folder, folder=folder / "picked"))
        (folder / "last").unlink(missing_ok=True)
        return set(found["picked"])

    def open(self, name: str, done: StageResult, given: Given) -> list[Record]:
        """What is left."""
        return [Record(**row) for row in read_records(done.path / CURATED)]

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """How many were removed as leaks, how many were picked, and their tokens."""
        found = done.output
        counts = {name: found[name] for name in ("num_selected", "num_leaks", "num_kept")}
        table = Table(
            title="Curation",
            columns=COLUMNS,
            rows=[[self.name, *counts.values(), *found["tokens"]]],
            caption="What it adds in accuracy: burnish ablate --only curate.",
        )
        numbers = {"curate": [{"stage": self.name, **counts, "tokens": found["tokens"]}]}
        claims = []
        if found["num_selected"]:
            share = wilson(found["num_kept"], found["num_selected"])
            claims.append(
                Claim(
                    claim=f"{self.name}: share of selected answers kept",
                    **share.to_dict(),
                    tokens=found["tokens"][1],
                    seconds=done.seconds,
                    artefact=f"stages/{self.name}/{CURATED}",
                )
            )
        return (Told(section="training", numbers=numbers, claims=claims, blocks=[table]),)


def without_leaks(records: Sequence[Record], measured: Sequence[Task]) -> list[Record]:
    """The records whose tasks give none of the measured tasks away.

    Source: ours. Oracle: tests/recipes/test_curate_step.py::test_planted_leaks_are_removed
    """
    seen = Seen((one.prompt, one.extracted or one.answer) for one in records)
    leaking = {one.trained for one in overlaps(measured, seen) if one.kind}
    return [record for record in records if record.prompt not in leaking]
