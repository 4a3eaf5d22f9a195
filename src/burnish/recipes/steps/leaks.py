"""`leaks`: which held-out tasks overlap with what was trained on, and the gate "not leaked"."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from burnish.base.meter import Meter
from burnish.base.records import read_records, write_records
from burnish.base.stages import Stage, StageResult
from burnish.base.stats import Estimate, share_difference
from burnish.contracts.page import Table
from burnish.contracts.record import Claim, Gate
from burnish.contracts.step import Told
from burnish.data.overlap import SAME, Overlap, Seen, overlaps
from burnish.jobs.step import Given, Step, Verification
from burnish.recipes.gates import gate
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.rounds import LEARNED

OVERLAPS = "overlaps.jsonl"
MAX_SHOWN = 20


@improve_steps.register("leaks")
@dataclass(frozen=True, kw_only=True)
class LeaksStep(Step):
    """Held-out tasks that what was trained on gives away, beyond what tasks share by chance.

    Development tasks are the null: they come from the same templates and were not trained on. So
    a held-out task counts where it is the same as, renamed from or near to a trained text, and a
    development task where it is renamed or near; the excess of the first share is the leak.
    Source: ours. Oracle: tests/recipes/test_leaks.py::test_twenty_planted_leaks_fail
    """

    margin: float
    name: str = "leaks"
    verified: Verification = "again"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "LeaksStep":
        """The step of a job with these settings."""
        return cls(margin=settings.measure.margin_leaked_frac)

    @property
    def reads(self) -> tuple[str, ...]:
        """What was trained on, the tasks that measure, and the null."""
        return (LEARNED, "heldout", "dev")

    @property
    def writes(self) -> Mapping[str, str]:
        """The overlap of every held-out and development task."""
        return {self.name: OVERLAPS}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Look every task up among the trained prompts."""
        seen = Seen((one.prompt, one.extracted or one.answer) for one in given[LEARNED])
        rows = [
            {"split": split, **asdict(one)}
            for split in ("heldout", "dev")
            for one in overlaps(given[split], seen)
        ]
        write_records(stage.path / OVERLAPS, rows)
        return {"num_learned": len(given[LEARNED])}

    def open(self, name: str, done: StageResult, given: Given) -> dict[str, list[Overlap]]:
        """The overlaps of each split."""
        found: dict[str, list[Overlap]] = {"heldout": [], "dev": []}
        for row in read_records(done.path / OVERLAPS):
            found[row.pop("split")].append(Overlap(**row))
        return found

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The gate, and the pairs that look alike."""
        found = given[self.name]
        leaked = leaked_frac(found["heldout"], found["dev"])
        kinds = [one.kind for one in found["heldout"] if one.kind]
        numbers = {
            "value": leaked.to_dict(),
            "num_learned": done.output["num_learned"],
            "heldout": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
            "num_dev_alike": sum(one.kind not in ("", SAME) for one in found["dev"]),
        }
        claim = Claim(
            claim="leaked",
            **leaked.to_dict(),
            seconds=done.seconds,
            artefact=f"stages/{self.name}/{OVERLAPS}",
        )
        return (
            Told(
                numbers={"leaked": numbers},
                gates=[not_leaked(leaked, margin=self.margin)],
                claims=[claim],
                blocks=_pairs(found["heldout"], given["heldout"]),
            ),
        )


def leaked_frac(heldout: Sequence[Overlap], dev: Sequence[Overlap]) -> Estimate:
    """Share of held-out tasks that were given away, less the share that chance gives away."""
    num_found = sum(bool(one.kind) for one in heldout)
    num_chance = sum(one.kind not in ("", SAME) for one in dev)
    return share_difference(num_found, len(heldout), num_chance, len(dev))


def not_leaked(leaked: Estimate, *, margin: float) -> Gate:
    """The share of held-out tasks that were given away is below the margin."""
    kept = Estimate(value=-leaked.value, low=-leaked.high, high=-leaked.low, n=leaked.n)
    meaning = (
        "Held-out tasks that overlap with what was trained on (same, renamed or nearly the same "
        "text), as a share with its sign changed, less the share of development tasks"
    )
    return gate("not leaked", kept, margin=margin, unit="share of tasks", meaning=meaning)


def _pairs(found: Sequence[Overlap], tasks: Sequence[Any]) -> list[Table]:
    rows = [
        [one.kind, task.prompt, one.trained, round(one.containment, 3)]
        for one, task in zip(found, tasks, strict=True)
        if one.kind
    ]
    if not rows:
        return []
    return [
        Table(
            title="Held-out tasks that look like what was trained on",
            columns=["overlap", "held-out task", "trained on", "5-grams shared"],
            rows=rows[:MAX_SHOWN],
            caption=f"{min(len(rows), MAX_SHOWN)} of {len(rows)}.",
        )
    ]
