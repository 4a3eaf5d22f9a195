"""What `burnish critique train` and `loop` can be told."""

from dataclasses import dataclass, field
from typing import Literal

from burnish.base.errors import SettingError
from burnish.contracts.generation import Sampling
from burnish.critique.settings import PlaceSettings, Role, at_least
from burnish.critique.wording import Wording
from burnish.train.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class CriticTrainSettings:
    """Train `model` on `triples`: as a critic on their critiques, or as an actor that can revise.

    `self-talk` is a role of its own: answers in which each wrong step is checked and revised, read
    but not learned; `step` and `trajectory` are what it is compared with.
    `heldout_frac` of the tasks are left out and measured before and after, at most `num_measured`
    of their solutions, or tasks. `refresh`: further triples, such as those of a loop's revisions
    that were right, which the critic learns from too.
    """

    model: str = "smollm2-135m"
    triples: str = ""
    role: Role = "critic"
    refresh: str = ""
    wording: Wording = field(default_factory=Wording)
    train: TrainSettings = field(default_factory=TrainSettings)
    heldout_frac: float = 0.2
    num_measured: int = 100
    max_new_tokens: int = 512
    place: PlaceSettings = field(default_factory=PlaceSettings)

    def __post_init__(self) -> None:
        if not 0 < self.heldout_frac < 1:
            value, remedy = self.heldout_frac, "0.2 is usual"
            raise SettingError("heldout_frac", value, "must lie in (0, 1)", remedy=remedy)
        at_least(1, num_measured=self.num_measured, max_new_tokens=self.max_new_tokens)


@dataclass(frozen=True, kw_only=True)
class CriticLoopSettings:
    """Rounds of sampling, critique, refinement and training from the base model.

    `critic`: a model's spec, `self`, `scripted`, `none`, or `shuffled:SPEC`, a placebo that gives
    each answer the critique of another. Each wrong answer gets one critique and `num_refinements`
    refinements (`implicit`), or `explicit` spends `num_extra` refinements where the chance of a
    first success rises most. At most `max_kept` right refinements of a critique, and
    `max_per_task` answers of a task, are learned from. `feedback` also trains revisions with the
    critique in their context. `mask` hides the reference in critiques that give it away.
    """

    model: str = "smollm2-135m"
    tasks: tuple[str, ...] = ("chain:sums?size=200&steps=3",)
    critic: str = "self"
    rounds: int = 1
    num_samples: int = 4
    num_refinements: int = 4
    max_kept: int = 1
    max_per_task: int = 4
    temperature: float = 0.7
    max_new_tokens: int = 128
    max_critique_tokens: int = 512
    budget: Literal["implicit", "explicit"] = "implicit"
    num_extra: int = 400
    barrier: bool = True
    feedback: bool = False
    mask: bool = False
    use_previous: bool = False
    num_dev: int = 50
    num_level_samples: int = 16
    wording: Wording = field(default_factory=Wording)
    train: TrainSettings = field(default_factory=TrainSettings)
    place: PlaceSettings = field(default_factory=PlaceSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        names = ("rounds", "num_samples", "num_refinements", "max_kept", "max_per_task", "num_dev",
                 "num_level_samples", "max_critique_tokens")  # fmt: skip
        at_least(1, **{name: getattr(self, name) for name in names})
        at_least(0, num_extra=self.num_extra)
        if self.critic in ("shuffled:", "shuffled:none"):
            rule = "must name a critic whose critiques are exchanged"
            raise SettingError("critic", self.critic, rule, remedy="Write shuffled:scripted")
        Sampling(max_new_tokens=self.max_new_tokens, temperature=self.temperature)  # checks both
