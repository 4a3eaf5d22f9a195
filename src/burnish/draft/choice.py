"""Plain or drafted decoding by name: what `generate --draft` and sampling in `improve` call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.errors import ModelError
from burnish.base.meter import Meter
from burnish.base.progress import say
from burnish.contracts.generation import Completion, Request
from burnish.draft import drafters
from burnish.draft.cost import PLAIN
from burnish.draft.loop import Ready, generate_drafted, make_ready, open_drafted
from burnish.draft.planner import DraftPlan, plan_drafts
from burnish.engine.generate import generate, open_loop
from burnish.engine.loop import Loop, OnDone
from burnish.models.decoder import Decoder
from burnish.models.load import Model

AUTO = "auto"


def check_draft(name: str) -> None:
    """Raise SettingError or UnknownNameError for what is no drafter's spec, `auto` or `plain`."""
    if name not in (AUTO, PLAIN):
        drafters.parse(name)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How texts are decoded: `name` is a drafter's spec or `plain`, `reason` explains it.

    `ready` is the drafter at work; `plan` is there where the planner was asked.
    """

    name: str
    reason: str
    ready: Ready | None = None
    plan: DraftPlan | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for a run's records."""
        plan = None if self.plan is None else self.plan.to_dict()
        return {"choice": self.name, "reason": self.reason, "plan": plan}

    def generate(
        self,
        model: Model,
        requests: Sequence[Request],
        *,
        batch_size: int = 16,
        meter: Meter | None = None,
        on_done: OnDone | None = None,
    ) -> list[Completion]:
        """Continue requests with this choice; every choice gives the same texts."""
        given = {"batch_size": batch_size, "meter": meter, "on_done": on_done}
        if self.ready is None:
            return generate(model, requests, **given)
        return generate_drafted(model, requests, drafter=self.ready, **given)

    def open_loop(
        self,
        model: Model,
        *,
        num_slots: int,
        capacity_tokens: int,
        meter: Meter | None = None,
        on_done: OnDone | None = None,
    ) -> Loop:
        """A loop without requests that decodes with this choice, for a server."""
        opened = {"num_slots": num_slots, "capacity_tokens": capacity_tokens, "meter": meter}
        if self.ready is None:
            return open_loop(model, on_done=on_done, **opened)
        return open_drafted(model, self.ready.proposer, on_done=on_done, **opened)


def choose(
    model: Model, draft: str = AUTO, *, batch_size: int = 1, context_tokens: int = 256
) -> Choice:
    """Settle how to decode: `plain`, a drafter's spec, or `auto`, which asks the planner.

    `auto` takes plain decoding where it is predicted to be as fast, and where no drafter was
    trained for the model; `reason` says which. A drafter that is named is taken at its word.
    Raises ModelError where a named drafter has nothing for the model.
    Source: ours. Oracle: tests/draft/test_choice.py::test_auto_follows_the_plan
    """
    if draft == PLAIN:
        return Choice(name=PLAIN, reason="asked for")
    if draft != AUTO:
        return Choice(name=draft, reason="asked for", ready=make_ready(draft, model))
    if not isinstance(model.network, Decoder):
        return Choice(name=PLAIN, reason="this kind of model cannot be decoded with drafts")
    try:
        plan = plan_drafts(
            model, batch_size=batch_size, context_tokens=context_tokens, probing=False
        )
    except ModelError as error:
        return Choice(name=PLAIN, reason=f"no drafter was trained for this model ({error})")
    ready = None if plan.choice == PLAIN else make_ready(plan.choice, model)
    return Choice(name=plan.choice, reason=plan.sentence(), ready=ready, plan=plan)


def generate_with(
    model: Model,
    requests: Sequence[Request],
    *,
    draft: str = AUTO,
    batch_size: int = 16,
    meter: Meter | None = None,
    on_done: OnDone | None = None,
) -> list[Completion]:
    """Continue requests plainly or with drafts, as `burnish generate --draft` does.

    What `auto` chose is said on stderr. Raises what `choose` and `engine.generate` raise.
    """
    choice = choose(model, draft, batch_size=min(batch_size, max(len(requests), 1)))
    if draft == AUTO:
        say(f"draft: {choice.reason}")
    return choice.generate(model, requests, batch_size=batch_size, meter=meter, on_done=on_done)
