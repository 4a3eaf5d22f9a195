"""What `burnish improve` can be told, and the presets: functions that return full settings."""

from dataclasses import dataclass, field

from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.registry import suggest
from burnish.train.settings import LoraSettings, TrainSettings


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """Numbers of tasks; held-out tasks are read twice, before and after."""

    train: int = 600
    dev: int = 100
    heldout: int = 240


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """How training tasks are answered. A task without a right answer gets `num_extra` more."""

    num_samples: int = 4
    num_extra: int = 4
    temperature: float = 0.7
    top_k: int = 50
    top_p: float = 1.0
    max_new_tokens: int = 48


@dataclass(frozen=True, kw_only=True)
class SelectSettings:
    """Which right answers are learned from: distinct ones, at most `max_per_task`, short first."""

    max_per_task: int = 2


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """Greedy answers on development and held-out tasks, the margins of the gates, the controls.

    `margin_length_frac`: how much longer answers may get, as a fraction of their length before.
    `num_demonstrations` are shown in the few-shot control. `max_votes` caps the majority vote.
    """

    max_new_tokens: int = 64
    margin_accuracy: float = 0.0
    margin_length_frac: float = 0.1
    num_demonstrations: int = 4
    max_votes: int = 32


@dataclass(frozen=True, kw_only=True)
class ImproveSettings:
    """Everything that decides the outcome of `burnish improve`."""

    model: str = "smollm2-135m"
    tasks: tuple[str, ...] = ()
    rounds: int = 1
    split: SplitSettings = field(default_factory=SplitSettings)
    sample: SampleSettings = field(default_factory=SampleSettings)
    select: SelectSettings = field(default_factory=SelectSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    measure: MeasureSettings = field(default_factory=MeasureSettings)
    batch_size: int = 48
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise SettingError("rounds", self.rounds, "must be at least 1", remedy="Ask for one")
        if self.batch_size < 1:
            raise SettingError(
                "batch_size", self.batch_size, "must be at least 1", remedy="32 suits a laptop"
            )


LAPTOP_TASKS = (
    "reasoning-gym:chain_sum?size=590&min_terms=2&max_terms=3&min_digits=1&max_digits=2",
    "reasoning-gym:products?size=200&min_digits=1&max_digits=2",
)


def laptop() -> ImproveSettings:
    """About ten minutes on two CPU cores: a small model, two kinds of sums."""
    return ImproveSettings(
        tasks=LAPTOP_TASKS,
        rounds=2,
        split=SplitSettings(train=450, dev=100, heldout=240),
        sample=SampleSettings(temperature=0.6, max_new_tokens=24),
        train=TrainSettings(
            method="full", learning_rate=1e-4, epochs=3, examples_per_step=32
        ),
        measure=MeasureSettings(max_new_tokens=48, num_demonstrations=3),
        batch_size=32,
    )


def workstation() -> ImproveSettings:
    """One GPU, or an hour of CPU: more tasks, more samples, two rounds."""
    tasks = tuple(spec.replace("size=590", "size=4000") for spec in LAPTOP_TASKS)
    return ImproveSettings(
        tasks=tasks,
        rounds=2,
        split=SplitSettings(train=3000, dev=300, heldout=600),
        sample=SampleSettings(num_samples=8, num_extra=16),
        batch_size=128,
    )


def cluster() -> ImproveSettings:
    """Full weights and larger steps; start it under torchrun."""
    base = workstation()
    return ImproveSettings(
        tasks=base.tasks,
        rounds=3,
        split=base.split,
        sample=SampleSettings(num_samples=16, num_extra=32),
        train=TrainSettings(
            method="full", learning_rate=2e-5, examples_per_step=64, pass_tokens=16_384
        ),
        batch_size=512,
    )


PRESETS = {"laptop": laptop, "workstation": workstation, "cluster": cluster}


def preset(name: str) -> ImproveSettings:
    """Settings of a preset. Raises UnknownNameError with a suggestion."""
    if name not in PRESETS:
        remedy = suggest(name, list(PRESETS))
        raise UnknownNameError("preset", name, "is not known", remedy=remedy)
    return PRESETS[name]()


__all__ = [
    "PRESETS",
    "ImproveSettings",
    "LoraSettings",
    "MeasureSettings",
    "SampleSettings",
    "SelectSettings",
    "SplitSettings",
    "TrainSettings",
    "preset",
]
