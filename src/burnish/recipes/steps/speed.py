"""`speed`: decoding before and after, in turns, as each is served; the gate "not slower"."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from burnish.base.meter import Meter
from burnish.base.progress import say
from burnish.base.rng import stream
from burnish.base.stages import Stage, StageResult
from burnish.base.stats import Estimate, paired_difference
from burnish.contracts.generation import Request, Sampling
from burnish.contracts.page import Table
from burnish.contracts.record import Gate
from burnish.contracts.step import Cost, Told
from burnish.contracts.task import Task
from burnish.data.chat import render_messages, to_messages
from burnish.draft.choice import Choice
from burnish.draft.cost import PLAIN
from burnish.engine.generate import generate
from burnish.jobs.step import Given, Step
from burnish.models.handle import ModelHandle
from burnish.models.load import Model
from burnish.recipes.answering import DECODING
from burnish.recipes.gates import doubted, gate
from burnish.recipes.settings import ImproveSettings, SpeedSettings
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.measure import PROMPT_TOKENS

SIDES = {"before": "base", "after": "chosen"}


@improve_steps.register("speed")
@dataclass(frozen=True, kw_only=True)
class SpeedStep(Step):
    """Both models decode the same prompts, the same number of tokens each, in turns.

    Each side decodes as it is served: plainly, or with the drafts that its planner chooses, whose
    texts must equal plain ones. Seconds are this machine's, so the step is never verified again.
    Source: ours. Oracle: tests/recipes/test_speed.py::test_a_slowed_model_fails
    """

    speed: SpeedSettings
    draft: str
    seed: int
    precision: str
    name: str = "speed"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "SpeedStep":
        """The step of a job with these settings."""
        return cls(
            speed=settings.speed,
            draft=settings.sample.draft,
            seed=settings.seed,
            precision=settings.precision,
        )

    @property
    def reads(self) -> tuple[str, ...]:
        """Both models, and prompts."""
        return (*SIDES.values(), "heldout", DECODING)

    @property
    def writes(self) -> Mapping[str, str]:
        """Seconds and tokens, turn by turn."""
        return {"turns": ""}

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """Every turn writes on both sides."""
        num = 2 * (self.speed.repeats + 1) * self.speed.num_prompts
        return Cost(
            generated_tokens=num * self.speed.new_tokens if self.speed.repeats else 0,
            prefilled_tokens=num * PROMPT_TOKENS if self.speed.repeats else 0,
        )

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Decode in turns; the first turn of each side warms up and is not counted."""
        if not self.speed.repeats:
            return {"turns": [], "decoding": {}, "same_text": True}
        sides = {name: self._served(given[value], given) for name, value in SIDES.items()}
        turns: list[dict[str, Any]] = []
        for turn in range(self.speed.repeats + 1):
            order = list(sides)[:: 1 if turn % 2 else -1]
            for name in order:
                seconds, num_tokens = sides[name].decode(meter)
                turns += [{"side": name, "seconds": seconds, "tokens": num_tokens}] if turn else []
        same = all(one.same_text() for one in sides.values())
        names = {name: one.choice.name for name, one in sides.items()}
        reasons = {name: one.choice.reason for name, one in sides.items()}
        return {"turns": turns, "decoding": names, "reasons": reasons, "same_text": same}

    def differences(self, old: StageResult, new: StageResult) -> str:
        """Only what is not a time: how each side was decoded may differ, too."""
        same = old.output["same_text"] == new.output["same_text"]
        return "" if same else "same_text"

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Tokens a second on both sides, and the gate."""
        turns = done.output["turns"]
        if not turns:
            return ()
        rates = {name: tokens_per_s(turns, name) for name in SIDES}
        change = speed_change(rates, seed=self.seed)
        found = not_slower(change, margin=self.speed.margin_frac, same=done.output["same_text"])
        decoding, reasons = done.output["decoding"], done.output.get("reasons", {})
        medians = {name: sorted(one)[len(one) // 2] for name, one in rates.items()}
        table = Table(
            title="Decoding speed",
            columns=["model", "decoding", "tokens/s, median", "why"],
            rows=[[name, decoding[name], medians[name], reasons.get(name, "")] for name in SIDES],
            caption=f"{len(turns) // 2} turns a side, in alternation, on the same prompts. "
            f"{drafter_fate(decoding, reasons)}",
        )
        numbers: dict[str, Any] = {"change_frac": change.to_dict(), "tokens_per_s": medians}
        if reasons:
            numbers |= {"decoding": decoding, "reasons": reasons}
        return (Told(numbers={"speed": numbers}, gates=[found], blocks=[table]),)

    def _served(self, handle: ModelHandle, given: Given) -> "_Served":
        drafting = replace(given[DECODING].drafting)
        prompts = given["heldout"][: self.speed.num_prompts]
        choice = drafting.choose(
            handle,
            num_texts=len(prompts),
            new_tokens=self.speed.new_tokens,
            batch_size=self.speed.num_prompts,
        )
        return _Served(handle.model, choice, prompts, self.speed.new_tokens)


class _Served:
    """A model as it is served, with what it is asked."""

    def __init__(
        self, model: Model, choice: Choice, prompts: Sequence[Task], new_tokens: int
    ) -> None:
        self.choice = choice
        self._model = replace(model, eos_ids=frozenset())  # as many tokens on both sides
        self._requests = [
            Request(
                id=task.id,
                prompt=tuple(render_messages(model.tokenizer, to_messages(task.prompt))),
                sampling=Sampling(max_new_tokens=new_tokens),
            )
            for task in prompts
        ]
        self._texts: list[tuple[int, ...]] = []

    def decode(self, meter: Meter) -> tuple[float, int]:
        """Seconds, and tokens written."""
        started = time.perf_counter()
        found = self.choice.generate(
            self._model, self._requests, batch_size=len(self._requests), meter=meter
        )
        seconds = time.perf_counter() - started
        self._texts = [tuple(one.tokens) for one in found]
        return seconds, sum(map(len, self._texts))

    def same_text(self) -> bool:
        """Whether drafts changed no text."""
        if self.choice.name == PLAIN:
            return True
        plain = generate(self._model, self._requests, batch_size=len(self._requests))
        same = [tuple(one.tokens) for one in plain] == self._texts
        if not same:
            say(f"drafts of {self.choice.name} changed a text")
        return same


def drafter_fate(decoding: Mapping[str, str], reasons: Mapping[str, str]) -> str:
    """What became of the drafter of the old weights: kept, dropped, or of none from the start.

    Source: ours. Oracle: tests/recipes/test_speed.py::test_the_page_says_what_became_of_drafters
    """
    before, after = decoding["before"], decoding["after"]
    if before == after:
        return "Both models are decoded alike."
    if after == PLAIN:
        why = reasons.get("after", "")
        return f"Drafting with {before} was dropped for the trained model" + f": {why}." * bool(why)
    was = "plain decoding" if before == PLAIN else before
    return f"The trained model drafts with {after} in place of {was}."


def tokens_per_s(turns: Sequence[Mapping[str, Any]], side: str) -> list[float]:
    """Tokens a second of every turn of a side."""
    return [one["tokens"] / one["seconds"] for one in turns if one["side"] == side]


def speed_change(rates: Mapping[str, Sequence[float]], *, seed: int) -> Estimate:
    """Tokens a second after over before, less 1, paired over neighbouring turns."""
    pairs = zip(rates["before"], rates["after"], strict=True)
    ratios = [new / old - 1 for old, new in pairs]
    return paired_difference([0.0] * len(ratios), ratios, rng=stream(seed, "speed"))


def not_slower(change: Estimate, *, margin: float, same: bool) -> Gate:
    """Decoding did not become slower by more than the margin, and drafts changed no text."""
    found = gate(
        "not slower",
        change,
        margin=margin,
        unit="fraction of tokens/s",
        meaning="Tokens a second after over before, less 1, paired over turns",
    )
    return found if same else doubted(found, "Drafts changed a text")
