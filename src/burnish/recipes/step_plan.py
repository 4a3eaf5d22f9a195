"""What each step of `improve` will do, and what it is expected to take, for `--dry-run`."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.contracts.step import Cost
from burnish.jobs.plan import costs_of, summed
from burnish.jobs.step import Composite, Part, Step
from burnish.recipes.improve import check_settings
from burnish.recipes.planning import guess_params, known_items, plan_improve
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.steps import parts_of, round_steps
from burnish.recipes.steps.rounds import Rounds


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """A step by its name; `within` names the step that it is a part of.

    `cost` is None where the step is off.
    """

    name: str
    does: str
    cost: Cost | None
    within: str = ""

    def line(self) -> str:
        """For people."""
        shown = f"{'  ' * bool(self.within)}{self.name}"
        if self.cost is None:
            return f"  {shown:<12} off: {self.does}"
        kinds = {
            "written": self.cost.generated_tokens,
            "read": self.cost.prefilled_tokens,
            "trained on": self.cost.trained_tokens,
        }
        tokens = ", ".join(f"{num:,} {kind}" for kind, num in kinds.items() if num)
        return f"  {shown:<12} {self.does}" + f" ({tokens})" * bool(tokens)

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        tokens = None
        if self.cost is not None:
            names = ("generated_tokens", "prefilled_tokens", "trained_tokens")
            tokens = {name: getattr(self.cost, name) for name in names}
        own: dict[str, object] = {"step": self.name, "does": self.does, "tokens": tokens}
        return own | ({"within": self.within} if self.within else {})


def planned_steps(settings: ImproveSettings, num_params: int) -> list[PlannedStep]:
    """Every step in its order, the steps of the rounds below theirs; tokens are of all rounds.

    Source: ours. Oracle: tests/recipes/test_step_plan.py::test_lines_add_up_to_the_plan
    """
    found = []
    for part, costs in costs_of(parts_of(settings), known_items(settings, num_params)):
        off = isinstance(part, Composite) and not costs
        name = part.name if isinstance(part, Composite) else _name(part)
        cost = None if off else summed([one for _, one in costs])
        found.append(PlannedStep(name=name, does=_does(part), cost=cost))
        if isinstance(part, Rounds):
            found += _of_rounds(part, costs)
    return found


def _of_rounds(part: Rounds, costs: Sequence[tuple[Step, Cost]]) -> Iterator[PlannedStep]:
    by_class: dict[type, list[Cost]] = defaultdict(list)
    for step, cost in costs:
        by_class[type(step)].append(cost)
    for name in part.settings.round_steps:
        cls = round_steps.get(name)
        own = by_class.get(cls)
        cost = None if own is None else summed(own)
        yield PlannedStep(name=name, does=_said(cls), cost=cost, within=part.name)


def _name(step: Part) -> str:
    return _module(type(step)).partition(":")[0].strip("`") or step.name


def _does(part: Part) -> str:
    return _said(type(part))


def _said(cls: type) -> str:
    """What the first line of the step's file says, else that of its class."""
    told = _module(cls).partition(": ")[2] or (cls.__doc__ or "").strip().partition("\n")[0]
    return told.rstrip(".")


def _module(cls: type) -> str:
    told = (sys.modules[cls.__module__].__doc__ or "").strip().partition("\n")[0]
    return told if told.startswith("`") else ""


def dry_run(settings: ImproveSettings, runs: Path) -> tuple[dict[str, Any], str]:
    """The plan with its steps, as numbers and as text; nothing is made.

    Raises what `improve` would raise before it begins.
    """
    check_settings(settings)
    plan = plan_improve(settings, runs)
    steps = planned_steps(settings, guess_params(settings.model))
    text = "\n".join([plan.sentence(), *(one.line() for one in steps)])
    return plan.to_dict() | {"steps": [one.to_dict() for one in steps]}, text
