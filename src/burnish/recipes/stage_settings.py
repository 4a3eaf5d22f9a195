"""Settings of the steps of `burnish improve` that are off unless they are asked for."""

from dataclasses import dataclass
from typing import Literal

from burnish.base.errors import SettingError
from burnish.data.demonstrations import Layout


def check_least(low: int, **values: float) -> None:
    """Raise SettingError for a value below `low`."""
    for name, value in values.items():
        if value < low:
            raise SettingError(name, value, f"must be at least {low}", remedy="Raise it")


@dataclass(frozen=True, kw_only=True)
class PreferStageSettings:
    """Preference alignment as a stage; `loss` is one of `burnish prefer`'s, "" leaves it out.

    `beta` and `alpha`: None is the loss's own default.
    """

    loss: str = ""
    beta: float | None = None
    alpha: float | None = None
    method: Literal["lora", "full"] = "full"
    learning_rate: float = 5e-6
    epochs: int = 1
    examples_per_step: int = 16


@dataclass(frozen=True, kw_only=True)
class CritiqueStageSettings:
    """Critique and second attempts as a stage of each round; an empty `critic` leaves it out.

    `critic`: a model's spec, `self` for the model that is trained, or `scripted` for the program
    that verifies the steps of chains of sums. `max_new_tokens` of a revision: 0 is `sample`'s.
    """

    critic: str = ""
    num_refinements: int = 2
    form: Literal["full", "compact"] = "full"
    max_critique_tokens: int = 256
    max_new_tokens: int = 0
    barrier: bool = True

    def __post_init__(self) -> None:
        check_least(1, num_refinements=self.num_refinements)
        check_least(1, max_critique_tokens=self.max_critique_tokens)
        check_least(0, max_new_tokens=self.max_new_tokens)


@dataclass(frozen=True, kw_only=True)
class CurateStageSettings:
    """Curation of the selected answers as a stage of each round; an empty `rule` leaves it out.

    Answers to tasks that overlap with held-out or development tasks are removed; of the others
    `keep_frac` are picked by `rule`, with complexity by `scorer` and diversity by `threshold`, as
    `burnish curate pick` does.
    """

    rule: Literal["", "xcoder", "deita", "random"] = ""
    keep_frac: float = 0.7
    scorer: str = "bundled"
    threshold: float = 0.945

    def __post_init__(self) -> None:
        if not 0 < self.keep_frac <= 1:
            rule, remedy = "must lie in (0, 1]", "1 only removes leaks and repetitions"
            raise SettingError("keep_frac", self.keep_frac, rule, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class ScalingStageSettings:
    """A pilot that plans samples a task and training steps; `pilot_tasks=0` leaves it out.

    The pilot answers so many training tasks, and the development tasks, `pilot_samples` times each
    (0: twice as often as the job does). `budget`: what the plan may cost, as a multiple of what
    the settings cost as they are. `extrapolate`: how many times as many steps and answers as the
    pilot's largest training a plan may have.
    """

    pilot_tasks: int = 0
    pilot_samples: int = 0
    budget: float = 1.0
    extrapolate: float = 10.0

    def __post_init__(self) -> None:
        check_least(0, pilot_tasks=self.pilot_tasks, pilot_samples=self.pilot_samples)
        check_least(1, budget=self.budget, extrapolate=self.extrapolate)


@dataclass(frozen=True, kw_only=True)
class GraphStageSettings:
    """Examples that a graph picks, before tasks that are nodes of one; `num_examples=0`: none.

    `by`: how training tasks are ranked, `neighbours` (those that share an edge first, then by
    text), `propagated` (by texts of the neighbourhood), or `text-knn` and `bm25`, which do
    without the edges. `layout` is the form in which examples are shown.
    """

    num_examples: int = 4
    by: Literal["neighbours", "propagated", "text-knn", "bm25"] = "neighbours"
    layout: Layout = "block"

    def __post_init__(self) -> None:
        check_least(0, num_examples=self.num_examples)


@dataclass(frozen=True, kw_only=True)
class StreamStageSettings:
    """Long documents, read whole under a cache policy; `kv=""` leaves them cut to the window.

    `kv` is the spec of a policy, as `--kv` takes it. `max_tasks`: so many held-out tasks.
    """

    kv: str = "triangle-dp"
    max_tasks: int = 60

    def __post_init__(self) -> None:
        check_least(2, max_tasks=self.max_tasks)
