"""What `burnish improve` can be told, and the presets: functions that return full settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.registry import suggest
from burnish.contracts.generation import Sampling
from burnish.recall.settings import MemorySettings
from burnish.recipes.stage_settings import (
    CritiqueStageSettings,
    CurateStageSettings,
    GraphStageSettings,
    PreferStageSettings,
    ScalingStageSettings,
    StreamStageSettings,
    check_least,
)
from burnish.train.settings import LoraSettings, TrainSettings


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """Numbers of tasks; held-out tasks are read twice, before and after."""

    train: int = 600
    dev: int = 100
    heldout: int = 240

    def __post_init__(self) -> None:
        check_least(1, train=self.train, dev=self.dev)
        check_least(2, heldout=self.heldout)  # one task has no interval


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """How training tasks are answered. A task without a right answer gets `num_extra` more.

    `model`: who answers them, a model's spec or a server's `openai:URL#name`; "" is the model
    that is trained, as each round left it.
    `draft`: `auto` decodes with drafts where the planner says it pays, `plain` never does, and a
    drafter's spec always; the answers are the same.
    """

    model: str = ""
    num_samples: int = 4
    num_extra: int = 4
    temperature: float = 0.7
    top_k: int = 50
    top_p: float = 1.0
    max_new_tokens: int = 48
    draft: str = "auto"

    def __post_init__(self) -> None:
        check_least(1, num_samples=self.num_samples)
        check_least(0, num_extra=self.num_extra)
        Sampling(  # it checks what it is given
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
        )


@dataclass(frozen=True, kw_only=True)
class SelectSettings:
    """Which right answers are learned from: distinct ones, at most `max_per_task`, short first."""

    max_per_task: int = 2

    def __post_init__(self) -> None:
        check_least(1, max_per_task=self.max_per_task)


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """Greedy answers on development and held-out tasks, the margins of the gates, the controls.

    `margin_length_frac`: how much longer answers may get, as a fraction of their length before.
    `margin_leaked_frac`: the share of held-out tasks that may overlap with what was trained on.
    `num_demonstrations` are shown in the few-shot control, in the form that scores best on the
    development tasks. `max_votes` caps the majority vote.
    """

    max_new_tokens: int = 64
    margin_accuracy: float = 0.0
    margin_length_frac: float = 0.1
    margin_leaked_frac: float = 0.02
    num_demonstrations: int = 4
    max_votes: int = 32

    def __post_init__(self) -> None:
        check_least(1, max_new_tokens=self.max_new_tokens, max_votes=self.max_votes)
        margins = {"margin_accuracy": self.margin_accuracy}
        margins["margin_length_frac"] = self.margin_length_frac
        margins["margin_leaked_frac"] = self.margin_leaked_frac
        check_least(0, num_demonstrations=self.num_demonstrations, **margins)


@dataclass(frozen=True, kw_only=True)
class SpeedSettings:
    """Decoding speed before and after: `repeats` turns a side; 0 leaves it unmeasured.

    A turn continues `num_prompts` prompts by `new_tokens` tokens each, in one batch.
    `margin_frac`: how much slower, as a fraction, still counts as not slower.
    """

    repeats: int = 5
    num_prompts: int = 16
    new_tokens: int = 24
    margin_frac: float = 0.1

    def __post_init__(self) -> None:
        if self.repeats == 1:
            rule = "must be 0, or at least 2"
            raise SettingError("repeats", 1, rule, remedy="One turn has no interval")
        check_least(0, repeats=self.repeats, margin_frac=self.margin_frac)
        check_least(1, num_prompts=self.num_prompts, new_tokens=self.new_tokens)


@dataclass(frozen=True, kw_only=True)
class GeneralSettings:
    """Other texts and questions: `num_texts` of each corpus; 0 leaves general ability unmeasured.

    `num_questions` of each of three families. `margin_nats`: how much the loss a token may rise;
    `margin_accuracy`: how much accuracy may fall, and still count as kept.
    """

    corpora: tuple[str, ...] = ("stdlib",)
    num_texts: int = 24
    text_tokens: int = 192
    num_questions: int = 80
    margin_nats: float = 0.1
    margin_accuracy: float = 0.05

    def __post_init__(self) -> None:
        check_least(0, num_texts=self.num_texts, margin_nats=self.margin_nats)
        check_least(0, margin_accuracy=self.margin_accuracy)
        check_least(2, text_tokens=self.text_tokens, num_questions=self.num_questions)


@dataclass(frozen=True, kw_only=True)
class ShiftSettings:
    """Held-out tasks unlike those that were trained on: `num` in all; 0 leaves them unmeasured.

    `tasks`: their sources; `auto` makes sums and products of one more digit or term than training
    has, and none of sources that it does not know.
    """

    tasks: tuple[str, ...] = ("auto",)
    num: int = 60

    def __post_init__(self) -> None:
        check_least(0, num=self.num)
        if self.num == 1:
            raise SettingError("num", 1, "must be 0, or at least 2", remedy="One has no interval")


STEPS = (
    "tasks",
    "before",
    "few-shot",
    "graph",
    "scaling",
    "rounds",
    "vote",
    "after",
    "stream",
    "shifted",
    "taught",
    "leaks",
    "speed",
    "memory",
    "general",
)
ROUND_STEPS = ("sample", "critique", "select", "curate", "teach", "prefer", "dev")


@dataclass(frozen=True, kw_only=True)
class ImproveSettings:
    """Everything that decides the outcome of `burnish improve`.

    `steps` and `round_steps` list the parts of the job and of each round, in order; a step from a
    plug-in is named by its spec. `prefer.loss`, where it is set, aligns each round's model with
    right over wrong answers to the same task, after it was taught. `critique.critic`, where it is
    set, has wrong answers to training tasks criticised and revised. `curate.rule`, where it is
    set, removes leaks from the selected answers and picks a part of them. `scaling.pilot_tasks`,
    where it is not 0, has a pilot plan samples and steps. `graph` and `stream` act on tasks of a
    graph and on tasks with documents. `controls`: `full` also trains on reference answers, and on
    the model's own wrong ones.
    """

    model: str = "smollm2-135m"
    tasks: tuple[str, ...] = ()
    steps: tuple[str, ...] = STEPS
    rounds: int = 1
    round_steps: tuple[str, ...] = ROUND_STEPS
    split: SplitSettings = field(default_factory=SplitSettings)
    sample: SampleSettings = field(default_factory=SampleSettings)
    select: SelectSettings = field(default_factory=SelectSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    measure: MeasureSettings = field(default_factory=MeasureSettings)
    memory: MemorySettings = field(default_factory=MemorySettings)
    speed: SpeedSettings = field(default_factory=SpeedSettings)
    general: GeneralSettings = field(default_factory=GeneralSettings)
    prefer: PreferStageSettings = field(default_factory=PreferStageSettings)
    critique: CritiqueStageSettings = field(default_factory=CritiqueStageSettings)
    curate: CurateStageSettings = field(default_factory=CurateStageSettings)
    shift: ShiftSettings = field(default_factory=ShiftSettings)
    scaling: ScalingStageSettings = field(default_factory=ScalingStageSettings)
    graph: GraphStageSettings = field(default_factory=GraphStageSettings)
    stream: StreamStageSettings = field(default_factory=StreamStageSettings)
    controls: Literal["usual", "full"] = "usual"
    batch_size: int = 48
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_least(1, rounds=self.rounds, batch_size=self.batch_size)


LAPTOP_TASKS = (
    "reasoning-gym:chain_sum?size=300&min_terms=2&max_terms=3&min_digits=1&max_digits=2",
    "reasoning-gym:chain_sum?size=860&min_terms=2&max_terms=2&min_digits=2&max_digits=2",
    "reasoning-gym:products?size=160&min_digits=1&max_digits=2",
)


def laptop() -> ImproveSettings:
    """About a quarter of an hour on two CPU cores: a small model, sums and products."""
    return ImproveSettings(
        tasks=LAPTOP_TASKS,
        rounds=2,
        split=SplitSettings(train=260, dev=50, heldout=200),
        sample=SampleSettings(num_samples=2, num_extra=1, temperature=0.6, max_new_tokens=20),
        train=TrainSettings(method="full", learning_rate=1.5e-4, epochs=3, examples_per_step=32),
        measure=MeasureSettings(max_new_tokens=64, num_demonstrations=3),
        memory=MemorySettings(trials=4),
        speed=SpeedSettings(repeats=4),
        batch_size=128,
    )


def quick() -> ImproveSettings:
    """About two minutes on two CPU cores, for trying and for ablations: few tasks, one round."""
    base = laptop()
    return replace(
        base,
        rounds=1,
        split=SplitSettings(train=240, dev=40, heldout=120),
        sample=replace(base.sample, num_extra=0),
        train=replace(base.train, epochs=2),
        measure=replace(base.measure, max_new_tokens=24, max_votes=4),
        memory=MemorySettings(lengths="64:256:x2", trials=2),
        speed=SpeedSettings(repeats=3, num_prompts=8, new_tokens=16),
        general=GeneralSettings(num_texts=8, text_tokens=96, num_questions=24),
        shift=ShiftSettings(num=24),
    )


def workstation() -> ImproveSettings:
    """One GPU, or an hour of CPU: more tasks, more samples, two rounds."""
    tasks = tuple(spec.replace("size=860", "size=4000") for spec in LAPTOP_TASKS)
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


PRESETS = {"quick": quick, "laptop": laptop, "workstation": workstation, "cluster": cluster}


ROOM_TOKENS = {"programs": 256, "gsm8k": 192}  # of an answer; MBPP's 95th percentile is 172


def room_tokens(tasks: Sequence[str]) -> int:
    """What an answer to the longest kind of these tasks may take; 0: they are like sums."""
    return max((ROOM_TOKENS.get(spec.partition(":")[0], 0) for spec in tasks), default=0)


def preset(name: str, tasks: Sequence[str] = ()) -> ImproveSettings:
    """Settings of a preset, with room for the answers to `tasks`, where they are not its sums.

    Raises UnknownNameError with a suggestion.
    Source: ours. Oracle: tests/recipes/test_planning.py::test_programs_have_room
    """
    if name not in PRESETS:
        remedy = suggest(name, list(PRESETS))
        raise UnknownNameError("preset", name, "is not known", remedy=remedy)
    found = PRESETS[name]()
    room = room_tokens(tasks)
    sample = max(room, found.sample.max_new_tokens)
    measure = max(room, found.measure.max_new_tokens)
    return replace(
        found,
        sample=replace(found.sample, max_new_tokens=sample),
        measure=replace(found.measure, max_new_tokens=measure),
    )


__all__ = [
    "PRESETS",
    "CritiqueStageSettings",
    "CurateStageSettings",
    "GeneralSettings",
    "GraphStageSettings",
    "ImproveSettings",
    "LoraSettings",
    "MeasureSettings",
    "MemorySettings",
    "PreferStageSettings",
    "SampleSettings",
    "ScalingStageSettings",
    "SelectSettings",
    "ShiftSettings",
    "SpeedSettings",
    "SplitSettings",
    "StreamStageSettings",
    "TrainSettings",
    "preset",
    "room_tokens",
]
