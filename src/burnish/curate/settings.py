"""Settings of `burnish curate`: how leaks are found, what is scored and what is chosen."""

from dataclasses import dataclass
from typing import Literal

from burnish.base.errors import SettingError

BY_MODEL = "model:"  # and its name, where a model does a part


def names_model(text: str) -> bool:
    """Whether a setting says `model:NAME`."""
    return text.startswith(BY_MODEL) and text != BY_MODEL


@dataclass(frozen=True, kw_only=True)
class LeakageSettings:
    """How a pool is compared with benchmarks.

    `fpr`: the share of rows without a leak that may be flagged by the calibrated score. `run`: run
    samples on the items' own tests. `max_runs`: programs that are run at most; `candidates`: items
    that each program is tried on. `wall_s`: time of one program [s]. `tli_frac`: the largest
    share of n-grams that the paper's filter leaves. `verbatim_frac`, `weighted_frac`,
    `code_frac`: shares of a prompt's characters, of their weight, and of a solution's code from
    which a row is a leak whatever the pool holds; `translated_frac` is that of a translated
    solution, in pools that are too small to calibrate on. `embed`: add the embedding view, in the
    pooled states of `layer` of `model` (0: its token embeddings, -1: the last) for the first
    `max_tokens` of each text; a model reads the whole pool, so it is off unless asked for.
    """

    pool: str = ""
    benchmarks: tuple[str, ...] = ("humaneval",)
    fpr: float = 0.01
    run: bool = True
    max_runs: int = 1000
    candidates: int = 5
    wall_s: float = 3.0
    isolation: str = "auto"
    tli_frac: float = 0.05
    verbatim_frac: float = 0.8
    weighted_frac: float = 0.6
    code_frac: float = 0.9
    translated_frac: float = 0.65
    embed: bool = False
    model: str = "smollm2-135m"
    layer: int = 0
    max_tokens: int = 256
    launcher: str = "serial"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            rule, remedy = "must be at least 1", "256 is usual"
            raise SettingError("max_tokens", self.max_tokens, rule, remedy=remedy)
        if not 0 < self.fpr < 0.5:
            raise SettingError("fpr", self.fpr, "must lie in (0, 0.5)", remedy="0.01 is usual")
        if self.max_runs < 0 or self.candidates < 1 or self.wall_s <= 0:
            value = (self.max_runs, self.candidates, self.wall_s)
            rule = "must not be negative"
            raise SettingError("max_runs, candidates, wall_s", value, rule, remedy="1000, 5, 3")
        if not self.benchmarks:
            remedy = "Write --benchmark humaneval"
            raise SettingError("benchmark", "", "must be named", remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class DedupSettings:
    """How near-duplicates are found: by the Jaccard index of their character 5-grams."""

    pool: str = ""
    jaccard: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.jaccard <= 1:
            rule = "must lie in (0, 1]"
            raise SettingError("jaccard", self.jaccard, rule, remedy="0.8 is usual; 1: equal texts")


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """How rows are scored. `scorer`: a file of `curate train`, or `length`.

    `tokens`: the model whose tokens are counted; empty: that of the scorer. `turns`: how the
    scores of several turns become one. `quality`: run the answers' programs on tests. `tests`:
    where they come from: `examples` of the row's own text, `agreement` with other answers to the
    same question, or `model:NAME`, which writes them. `rates`: the rates of wrong tests behind the
    posterior: `default`, or `estimated` from the pass counts of the pool.
    """

    pool: str = ""
    scorer: str = "bundled"
    model: str = "smollm2-135m"
    turns: Literal["sum", "mean", "max"] = "sum"
    quality: bool = True
    tests: str = "examples"
    rates: Literal["default", "estimated"] = "default"
    max_tests: int = 12
    wall_s: float = 3.0
    isolation: str = "auto"
    max_tokens: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("max_tests", "max_tokens", "wall_s"):
            if getattr(self, name) <= 0:
                raise SettingError(name, getattr(self, name), "must be positive", remedy="Raise it")
        if self.tests not in ("examples", "agreement") and not names_model(self.tests):
            remedy = "Write examples, agreement or model:NAME"
            raise SettingError("tests", self.tests, "must be a source of tests", remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class PickSettings:
    """Settings of the paper's Algorithm 1, including what the paper leaves open.

    `alpha` weighs complexity against quality. `normalise`: ranks, or min-max. `rule`: `xcoder`,
    `deita` (complexity times quality, and its own batched filter) or `random`. `threshold`: cosine
    similarity from which a row repeats a chosen one; 1 or more turns diversity off. `budget`:
    rows; `tokens`: instead, tokens.
    """

    pool: str = ""
    rule: Literal["xcoder", "deita", "random"] = "xcoder"
    budget: int = 0
    tokens: int = 0
    alpha: float = 0.5
    normalise: Literal["rank", "minmax"] = "rank"
    turns: Literal["sum", "mean", "max"] = "sum"
    threshold: float = 0.945
    model: str = "smollm2-135m"
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.budget > 0) == (self.tokens > 0):
            value = {"budget": self.budget, "tokens": self.tokens}
            rule, remedy = "must be one of the two, and positive", "Write --budget 1000"
            raise SettingError("budget and tokens", value, rule, remedy=remedy)
        if self.threshold <= 0:
            remedy = "0.945 is usual; 1 turns diversity off"
            raise SettingError("threshold", self.threshold, "must be positive", remedy=remedy)
        if not 0 <= self.alpha <= 1:
            raise SettingError("alpha", self.alpha, "must lie in [0, 1]", remedy="0.5 is usual")
