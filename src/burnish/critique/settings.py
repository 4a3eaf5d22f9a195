"""Settings of the commands of `burnish critique`."""

from dataclasses import dataclass, field
from typing import Literal

from burnish.base.errors import SettingError
from burnish.contracts.generation import Sampling
from burnish.critique.filters import FilterSettings
from burnish.critique.flaws import FlawSettings
from burnish.critique.refinement import RefineSettings
from burnish.critique.scorer import Combine
from burnish.critique.wording import Wording


@dataclass(frozen=True, kw_only=True)
class PlaceSettings:
    """Where models run, and how many texts are in a pass."""

    batch_size: int = 32
    precision: str = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        at_least(1, batch_size=self.batch_size)


def at_least(least: int, **values: int) -> None:
    """Raise SettingError, naming a value that is smaller."""
    for name, value in values.items():
        if value < least:
            raise SettingError(name, value, f"must be at least {least}", remedy="Raise it")


@dataclass(frozen=True, kw_only=True)
class CritiqueBuildSettings:
    """Flawed solutions of `tasks`, and critiques of them.

    `model` samples solutions; "" takes inserted errors only, which a program plants. `annotator`
    writes critiques: `scripted` is the program that verifies steps, else a model's spec.
    `editor`, a model's spec, inserts errors where no program can. `limit` bounds the tasks.
    """

    tasks: tuple[str, ...] = ("chain:sums?size=200&steps=5",)
    model: str = ""
    annotator: str = "scripted"
    editor: str = ""
    limit: int = 0
    flaws: FlawSettings = field(default_factory=FlawSettings)
    wording: Wording = field(default_factory=Wording)
    max_critique_tokens: int = 512
    place: PlaceSettings = field(default_factory=PlaceSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.tasks:
            raise SettingError(
                "tasks", (), "must name a source", remedy="Write chain:sums?size=200"
            )
        at_least(0, limit=self.limit)
        at_least(1, max_critique_tokens=self.max_critique_tokens)


@dataclass(frozen=True, kw_only=True)
class CritiqueFilterSettings:
    """Critiques of `triples` (a file or a run of `critique build`), filtered with `model`."""

    triples: str = ""
    model: str = "smollm2-135m"
    filter: FilterSettings = field(default_factory=FilterSettings)
    wording: Wording = field(default_factory=Wording)
    temperature: float = 0.7
    max_new_tokens: int = 128
    place: PlaceSettings = field(default_factory=PlaceSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        Sampling(max_new_tokens=self.max_new_tokens, temperature=self.temperature)  # checks both


@dataclass(frozen=True, kw_only=True)
class CritiqueRefineSettings:
    """Answers of `model` to `tasks`, revised with `critic`.

    `critic`: a model's spec, `self` for the model itself, `scripted` for the program that
    verifies steps, `none` for plain majority votes. Levels come from `num_level_samples` answers
    under another seed. `max_plain_votes` bounds the plain samples at equal tokens. Rounds are
    advised to stop where the next is forecast to bring less than `margin`.

    `scorer` weighs the first answers, for the best of K and votes by score: `critic` (its
    P(correct), where it is a local model), a folder of a reward model, or `none`. `combine`: how
    P(correct) of the steps and of the answer become one.
    """

    model: str = "smollm2-135m"
    tasks: tuple[str, ...] = ("chain:sums?size=100&steps=3",)
    critic: str = "self"
    limit: int = 0
    refine: RefineSettings = field(default_factory=RefineSettings)
    wording: Wording = field(default_factory=Wording)
    num_level_samples: int = 64
    max_plain_votes: int = 256
    margin: float = 0.005
    scorer: str = "critic"
    combine: Combine = "product"
    place: PlaceSettings = field(default_factory=PlaceSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(1, num_level_samples=self.num_level_samples, max_plain_votes=self.max_plain_votes)
        at_least(0, limit=self.limit)


@dataclass(frozen=True, kw_only=True)
class CritiqueBenchSettings:
    """Critiques of `model` on solutions whose first wrong step is known.

    `model`: a model's spec, or `scripted` for the program that verifies steps. `data`: a file in
    ProcessBench's format, a run of `critique build`, or a source of chains, in which errors are
    planted and a share `right_frac` stays right. `limit` bounds the rows.
    """

    model: str = "smollm2-135m"
    data: str = "chain:sums?size=200&steps=5"
    limit: int = 0
    right_frac: float = 0.3
    wording: Wording = field(default_factory=Wording)
    max_new_tokens: int = 512
    place: PlaceSettings = field(default_factory=PlaceSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.right_frac <= 1:
            value, rule = self.right_frac, "must lie in [0, 1]"
            raise SettingError("right_frac", value, rule, remedy="0.3 is the default")
        at_least(0, limit=self.limit)
        at_least(1, max_new_tokens=self.max_new_tokens)


Role = Literal["critic", "actor", "self-talk", "step", "trajectory"]
