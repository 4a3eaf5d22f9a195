"""Settings of `burnish graph`: the problem, the retriever, the feedback, the prompts, the bench."""

import importlib.util
import math
from dataclasses import dataclass, field
from typing import Literal

from burnish.base.errors import MissingExtraError, SettingError, UnknownNameError
from burnish.base.naming import suggest
from burnish.graph.reading import ReadingSettings, check_reading

TASKS = ("classify", "links", "generate")
ARMS = (
    *("zero-shot", "random", "bm25", "text-knn", "neighbours", "propagated", "gnn", "ours"),
    *("permuted", "oracle"),
)


@dataclass(frozen=True, kw_only=True)
class ProblemSettings:
    """The problem put to the graph.

    `labelled_frac` of the labelled nodes are examples where the graph has no split of its own; the
    bench takes 0.02.
    `mode`: `transductive` trains with the edges of test nodes, without their labels; `inductive`
    without their edges and texts. `pool`: most examples of links and generation. `separator`
    parts name and text of a node for generation.
    """

    task: Literal["classify", "links", "generate"] = "classify"
    labelled_frac: float = 0.8
    queries: int = 500
    mode: Literal["transductive", "inductive"] = "transductive"
    pool: int = 640
    separator: str = ": "

    def __post_init__(self) -> None:
        if not 0 < self.labelled_frac < 1:
            rule, remedy = "must lie in (0, 1)", "0.8 is usual"
            raise SettingError("labelled_frac", self.labelled_frac, rule, remedy=remedy)
        check_least(2, queries=self.queries, pool=self.pool)


@dataclass(frozen=True, kw_only=True)
class RetrieverSettings:
    """The graph network, the space in which examples are compared, and how both are trained.

    `space`: `projected` compares unit vectors, divided by `temperature`; `log-softmax` compares
    class log-probabilities without a temperature, as the released code does. `features`: `auto`
    takes the graph's own matrix if there is one, else `tfidf`; `model` takes mean hidden states
    of the language model. `fanouts`: neighbours drawn a layer; () takes all. `batch_items`: 0
    trains on all examples at once. `classifier_scale` multiplies cosines in the classifier.
    `search`: what finds the nearest examples, `exact` or `faiss` (its flat index); the results are
    the same.
    """

    structure: Literal["sage", "gcn", "sgc", "mlp"] = "sage"
    layers: int = 2
    hidden: int = 256
    width: int = 128
    dropout: float = 0.5
    space: Literal["projected", "log-softmax"] = "projected"
    temperature: float = 0.05
    features: Literal["auto", "tfidf", "model", "given"] = "auto"
    feature_width: int = 128
    epochs: int = 120
    learning_rate: float = 0.01
    weight_decay: float = 5e-4
    classifier_scale: float = 10.0
    fanouts: tuple[int, ...] = ()
    batch_items: int = 0
    search: Literal["exact", "faiss"] = "exact"

    def __post_init__(self) -> None:
        names = ("layers", "hidden", "width", "feature_width")
        check_least(1, **{name: getattr(self, name) for name in names})
        check_least(0, epochs=self.epochs, batch_items=self.batch_items)
        if not 0 <= self.dropout < 1:
            raise SettingError("dropout", self.dropout, "must lie in [0, 1)", remedy="Use 0.5")
        for name, usual in (("temperature", 0.05), ("learning_rate", 0.01)):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                rule, remedy = "must be positive", f"{usual} is usual"
                raise SettingError(name, str(value), rule, remedy=remedy)
        if not 0 <= self.weight_decay < math.inf:
            rule, remedy = "must not be negative", "0 is off"
            raise SettingError("weight_decay", str(self.weight_decay), rule, remedy=remedy)
        if self.search == "faiss":
            check_faiss()


def check_faiss() -> None:
    """Raise MissingExtraError where faiss is not installed."""
    if importlib.util.find_spec("faiss") is None:
        remedy = "pip install 'burnish[graph]', or use exact"
        raise MissingExtraError("faiss", None, "is not installed", remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class FeedbackSettings:
    """How the language model's feedback teaches the retriever.

    `weight` multiplies the loss; 0 leaves feedback out. `tokens` bounds what scoring may compute;
    the pairs are chosen for it. `candidates` a query, out of its `nearest`, found by networks that
    were trained on the other of `folds` parts.
    """

    weight: float = 0.15
    loss: Literal["listmle", "kl", "infonce"] = "listmle"
    tokens: int = 250_000
    candidates: int = 10
    nearest: int = 20
    folds: int = 4

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise SettingError("weight", self.weight, "must not be negative", remedy="0 is off")
        check_least(2, candidates=self.candidates, folds=self.folds)
        check_least(self.candidates, nearest=self.nearest)
        check_least(0, tokens=self.tokens)


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """How many examples a prompt shows, in which order, in which words.

    `template` is a settings file; "" is the task's own. `order`: `nearest-last` puts the best
    example next to the query.
    """

    examples: int = 4
    template: str = ""
    order: Literal["nearest-last", "nearest-first"] = "nearest-last"

    def __post_init__(self) -> None:
        check_least(1, examples=self.examples)


@dataclass(frozen=True, kw_only=True)
class GraphSettings:
    """Everything that decides what a retriever learns, and what a prompt shows."""

    graph: str = ""
    model: str = "smollm2-135m"
    problem: ProblemSettings = field(default_factory=ProblemSettings)
    retriever: RetrieverSettings = field(default_factory=RetrieverSettings)
    feedback: FeedbackSettings = field(default_factory=FeedbackSettings)
    prompt: PromptSettings = field(default_factory=PromptSettings)
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_reading(self.reading)


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """`graph bench`: arms, seeds, and how many queries the two arms of the feedback's claim get.

    `feedback_queries`: 0 is as many as the others. `oracle`: the best of so many candidates by
    utility, which sees the answer; for the first `oracle_queries` of the queries only (0: all),
    since it reads as many prompts a query as there are candidates.
    """

    base: GraphSettings = field(
        default_factory=lambda: GraphSettings(problem=ProblemSettings(labelled_frac=0.02))
    )
    arms: tuple[str, ...] = ARMS
    seeds: tuple[int, ...] = (0,)
    feedback_queries: int = 0
    oracle: int = 10
    oracle_queries: int = 100

    def __post_init__(self) -> None:
        for arm in self.arms:
            if arm not in ARMS:
                remedy = suggest(arm, ARMS)
                raise UnknownNameError("arm", arm, "is not known", remedy=remedy)
        if not self.seeds or not self.arms:
            name = "seeds" if not self.seeds else "arms"
            raise SettingError(name, [], "must name at least one", remedy="Leave it out")
        for name, given in (("arms", self.arms), ("seeds", self.seeds)):
            if len(set(given)) < len(given):
                remedy = "A repetition would only make intervals look narrower"
                raise SettingError(name, list(given), "must differ from each other", remedy=remedy)
        check_least(2, oracle=self.oracle)
        check_least(0, feedback_queries=self.feedback_queries, oracle_queries=self.oracle_queries)


def check_least(low: int, **values: int) -> None:
    """Raise SettingError for a value below `low`."""
    for name, value in values.items():
        if value < low:
            raise SettingError(name, value, f"must be at least {low}", remedy="Raise it")
