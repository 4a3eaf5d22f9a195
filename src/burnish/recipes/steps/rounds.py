"""`rounds`: sample, select and teach until accuracy on the development tasks stops rising."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from burnish.base.progress import say
from burnish.contracts.page import Block, Chart, Series, Table
from burnish.contracts.record import Record
from burnish.contracts.step import Told
from burnish.jobs.job import TRAINED
from burnish.jobs.runner import combined
from burnish.jobs.step import Composite, Step, Value, constant
from burnish.recipes.measuring import num_right
from burnish.recipes.piloting import as_planned, plan_read
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.steps import improve_steps, round_steps

Look = Callable[[str], Any]
LEARNED = "learned"  # the value that holds the records which the chosen model was trained on


@dataclass(kw_only=True)
class Roles:
    """Which values play which part in a round; each round step reads them and sets its own.

    `actor` samples; `sampled` are the answers of this round, `pool` those of all rounds;
    `selected` is learned from; `learned` names all that the newest model, `trained`, was trained
    on; `dev` are the development answers.
    """

    number: int = 0
    actor: str = "base"
    sampled: tuple[str, ...] = ()
    pool: tuple[str, ...] = ()
    selected: str = ""
    learned: tuple[str, ...] = ()
    trained: str = "base"
    dev: str = ""
    losses: str = ""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round of sampling and teaching; round 0 is the base model."""

    number: int
    dev: Sequence[Record]
    sampled: Sequence[Record] = ()
    num_selected: int = 0
    losses: Sequence[float] = field(default_factory=tuple)

    @property
    def dev_right(self) -> int:
        """Right answers on the development tasks: what rounds are chosen by."""
        return num_right(self.dev)


@improve_steps.register("rounds")
@dataclass(frozen=True, kw_only=True)
class Rounds(Composite):
    """Each round teaches the base model on the answers of all rounds so far.

    Writes `sampled` (all answers), `chosen` (the model of the best round, the earliest of
    several), `learned` (what it was trained on) and `trained` (its folder; None if it is the base
    model).
    Source: STaR, arXiv 2203.14465. Departure: a round is kept only if the development tasks say so.
    Oracle: tests/recipes/test_improve.py::test_rounds_end_on_development_tasks
    """

    settings: ImproveSettings
    name: str = "rounds"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "Rounds":
        """The rounds of a job with these settings."""
        return cls(settings=settings)

    @property
    def reads(self) -> tuple[str, ...]:
        """The base model, the splits that rounds may see, and the plan where a pilot makes one."""
        return ("base", "train", "dev", *plan_read(self.settings))

    @property
    def writes(self) -> tuple[str, ...]:
        """What later steps use of the rounds."""
        return ("sampled", "rounds", "chosen", LEARNED, TRAINED)

    def planned(self) -> Sequence[Step]:
        """Every round, as if none stopped early."""
        roles = Roles()
        steps = [self._dev_before(roles)]
        for number in range(1, self.settings.rounds + 1):
            steps += self._round(number, roles)
        return steps

    def steps(self, look: Look) -> Iterator[Step]:
        """Round after round; the first that does not help is the last."""
        roles = Roles()
        yield self._dev_before(roles)
        best = num_right(look(roles.dev))
        own = replace(self, settings=as_planned(self.settings, look))
        for number in range(1, self.settings.rounds + 1):
            yield from own._round(number, roles)
            right = num_right(look(roles.dev))
            if right <= best:
                say(f"round {number} did not help on the development tasks: stopping")
                return
            best = right

    def close(self, values: Mapping[str, Value]) -> Mapping[str, Value]:
        """All answers, the rounds, and the model that the development tasks chose."""
        found = self._found(values)
        rounds = [one for one, _ in found]
        best = max(rounds, key=lambda one: (one.dev_right, -one.number))
        chosen = values[found[best.number][1].trained]
        learned = [values[name] for name in found[best.number][1].learned]
        pool = [values[name] for _, roles in found for name in roles.sampled]
        path = Path(chosen.content.spec) if best.number else None
        return {
            "sampled": combined(pool, lambda: [record for one in pool for record in one.content]),
            "rounds": constant((rounds, best.number)),
            "chosen": chosen,
            LEARNED: combined(
                learned, lambda: [record for one in learned for record in one.content]
            ),
            TRAINED: constant(path),
        }

    def tell(self, look: Look) -> Sequence[Told]:
        """The rounds, which one was chosen, and how training went."""
        rounds, chosen = look("rounds")
        numbers = {"rounds": [round_numbers(one) for one in rounds], "chosen_round": chosen}
        blocks = [rounds_table(rounds, chosen), *loss_charts(rounds)]
        return (Told(section="training", numbers=numbers, blocks=blocks),)

    def _dev_before(self, roles: Roles) -> Step:
        (step,) = round_steps.get("dev").in_round(self.settings, roles)
        return step

    def _round(self, number: int, roles: Roles) -> list[Step]:
        roles.number, roles.sampled = number, ()
        steps: list[Step] = []
        for name in self.settings.round_steps:
            steps += round_steps.get(name).in_round(self.settings, roles)
        roles.actor = roles.trained
        return steps

    def _found(self, values: Mapping[str, Value]) -> list[tuple[Round, "Roles"]]:
        """The rounds that ran, each with the names of its values."""
        roles = Roles()
        self._dev_before(roles)
        found = [(Round(number=0, dev=values[roles.dev].content), Roles(**vars(roles)))]
        for number in range(1, self.settings.rounds + 1):
            self._round(number, roles)
            if roles.dev not in values:
                break
            one = Round(
                number=number,
                dev=values[roles.dev].content,
                sampled=[record for name in roles.sampled for record in values[name].content],
                num_selected=len(values[roles.selected].content),
                losses=values[roles.losses].content,
            )
            found.append((one, Roles(**vars(roles))))
        return found


def round_numbers(one: Round) -> dict[str, Any]:
    """What `result.json` says of a round."""
    return {
        "round": one.number,
        "dev_right": one.dev_right,
        "dev_tasks": len(one.dev),
        "num_sampled": len(one.sampled),
        "num_selected": one.num_selected,
        "losses": list(one.losses),
    }


def rounds_table(rounds: Sequence[Round], chosen: int) -> Table:
    """One row a round."""
    rows = [
        [
            one.number,
            len(one.sampled),
            num_right(one.sampled),
            one.num_selected,
            f"{one.dev_right} of {len(one.dev)}",
            "kept" if one.number == chosen else "",
        ]
        for one in rounds
    ]
    return Table(
        title="Rounds",
        columns=["round", "answers sampled", "right", "learned from", "development tasks", ""],
        rows=rows,
        caption="Round 0 is the base model. Development tasks choose; held-out tasks do not.",
    )


def loss_charts(rounds: Sequence[Round]) -> list[Block]:
    """The training loss of every round; no chart where nothing was trained."""
    trained = [one for one in rounds if one.losses]
    if not trained:
        return []
    series = [
        Series(
            name=f"round {one.number}",
            x=[float(step) for step in range(len(one.losses))],
            y=list(one.losses),
        )
        for one in trained
    ]
    return [
        Chart(
            title="Training loss",
            kind="line",
            series=series,
            x_label="step",
            y_label="loss (nats per answer token)",
        )
    ]
