"""What `burnish tour` can be told: the model, the seed, the stops, and how large each job is."""

from dataclasses import dataclass, field

from burnish.arch.compare_settings import CompareSettings
from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.naming import suggest
from burnish.critique.refinement import RefineSettings
from burnish.critique.settings import CritiqueRefineSettings
from burnish.curate.settings import LeakageSettings
from burnish.graph.settings import (
    BenchSettings,
    FeedbackSettings,
    GraphSettings,
    ProblemSettings,
    RetrieverSettings,
)
from burnish.prefer.settings import EvaluateSettings, PairSettings, PreferTrainSettings
from burnish.recall.settings import RecallSettings
from burnish.scaling.ladder_cells import LadderSettings
from burnish.scaling.settings import FitSettings
from burnish.stream.audit_job import AuditSettings
from burnish.train.settings import LoraSettings, TrainSettings

STOPS = (
    *("sandbox", "prefer", "draft", "recall", "arch"),
    *("scaling", "curate", "critique", "stream", "graph"),
)
DRAWN = "drawn with the seed"  # stands for the text that a stop draws


@dataclass(frozen=True, kw_only=True)
class MaterialSettings:
    """How much is drawn with the seed, for the jobs that need data of their own.

    `programs`: tasks that ask for a function. `pairs`: preferences. `prompts`: texts to draft.
    `text_chars`: characters of Python's standard library to train on. `leaks`: functions of it
    that a pool of `functions` others holds under other names, half of a benchmark. `nodes`: of
    the graph.
    """

    programs: int = 32
    pairs: int = 48
    prompts: int = 6
    text_chars: int = 300_000
    functions: int = 240
    leaks: int = 30
    nodes: int = 120

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 2:
                raise SettingError(name, value, "must be at least 2", remedy="Raise it")


@dataclass(frozen=True, kw_only=True)
class DraftStopSettings:
    """The drafter that is measured against plain decoding, and how much it writes."""

    drafter: str = "firp+ngram"
    new_tokens: int = 64


def _prefer() -> PreferTrainSettings:
    train = TrainSettings(
        lora=LoraSettings(rank=8), learning_rate=2e-4, num_steps=4, examples_per_step=8
    )
    return PreferTrainSettings(
        train=train,
        pairs=PairSettings(heldout_frac=0.34),
        evaluate=EvaluateSettings(num_generated=2, max_new_tokens=12),
    )


def _arch() -> CompareSettings:
    return CompareSettings(
        corpus=DRAWN, params="150k", tokens="100k", rates=(1.0,), num_seeds=1, num_points=4,
        vocab=512, context=64, batch_tokens=1024, heldout_tokens=8192,
    )  # fmt: skip


def _scaling() -> LadderSettings:
    return LadderSettings(
        corpus=DRAWN, sizes=(1.5e4, 3e4, 6e4), ratios=(3.0, 6.0), factor=2.0, vocab=512, context=64,
        fit=FitSettings(law="compute", delta=0.0, resamples=300),
    )  # fmt: skip


def _critique() -> CritiqueRefineSettings:
    return CritiqueRefineSettings(
        tasks=("chain:sums?size=24&steps=2&high=20",), critic="scripted",
        refine=RefineSettings(num_paths=2, max_new_tokens=40, max_critique_tokens=64),
        num_level_samples=1, max_plain_votes=4,
    )  # fmt: skip


def _stream() -> AuditSettings:
    return AuditSettings(
        length=1024, budget=128, local_tokens=128, needles=6, texts=3, tail=192, answers=False
    )


def _graph() -> BenchSettings:
    base = GraphSettings(
        problem=ProblemSettings(labelled_frac=0.4, queries=24),
        retriever=RetrieverSettings(hidden=32, width=16, feature_width=32, epochs=40),
        feedback=FeedbackSettings(tokens=12_000, candidates=4, nearest=6, folds=2),
    )
    return BenchSettings(base=base, arms=("bm25", "ours"))


@dataclass(frozen=True, kw_only=True)
class TourSettings:
    """Everything that decides a tour; the settings of the jobs are those of their commands.

    Model, seed, precision and device hold for all jobs, whatever the jobs' own settings say.
    """

    model: str = "smollm2-135m"
    seed: int = 0
    stops: tuple[str, ...] = STOPS
    material: MaterialSettings = field(default_factory=MaterialSettings)
    program_tokens: int = 48
    prefer: PreferTrainSettings = field(default_factory=_prefer)
    draft: DraftStopSettings = field(default_factory=DraftStopSettings)
    recall: RecallSettings = field(
        default_factory=lambda: RecallSettings(lengths="64:512:x2", trials=4)
    )
    arch: CompareSettings = field(default_factory=_arch)
    scaling: LadderSettings = field(default_factory=_scaling)
    curate: LeakageSettings = field(default_factory=lambda: LeakageSettings(run=False))
    critique: CritiqueRefineSettings = field(default_factory=_critique)
    stream: AuditSettings = field(default_factory=_stream)
    graph: BenchSettings = field(default_factory=_graph)
    precision: str = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        if not self.stops or len(set(self.stops)) < len(self.stops):
            rule, remedy = "must name each stop once", "Leave it out for all ten"
            raise SettingError("stops", self.stops, rule, remedy=remedy)
        for name in self.stops:
            if name not in STOPS:
                remedy = suggest(name, STOPS)
                raise UnknownNameError("stop", name, "is not known", remedy=remedy)
