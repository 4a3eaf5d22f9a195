"""Settings of `burnish scaling`: what is read, how it is fitted, what is planned."""

from dataclasses import dataclass, field
from typing import Literal

from burnish.base.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """How a table of runs is read.

    `columns`: `n=Params,d=Tokens`, the table's own names where they are not ours. `counts`: the
    convention in which `n` is counted. `drop_highest`: leave out so many runs of highest loss, as
    Epoch does with five. `decimal`: the decimal mark.
    """

    path: str = ""
    columns: str = ""
    counts: str = "non-embedding"
    drop_highest: int = 0
    decimal: Literal[".", ","] = "."

    def __post_init__(self) -> None:
        if self.drop_highest < 0:
            rule = "must not be negative"
            raise SettingError("drop_highest", self.drop_highest, rule, remedy="0 keeps all")


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How a law is fitted.

    `law` is a spec, or `all`. `delta` is Huber's, in nats of log loss (0: least squares); `space`
    compares logs of losses, or losses. `sigma` fixes the irreducible loss [nats]. `confidence` is
    that of the intervals; `holdout_frac` is the share of runs, the largest by compute, that the
    ranking leaves out.
    """

    law: str = "chinchilla"
    delta: float = 1e-3
    space: Literal["log", "linear"] = "log"
    sigma: float | None = None
    resamples: int = 1000
    confidence: float = 0.9
    holdout_frac: float = 1 / 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.delta < 0:
            rule = "must not be negative"
            raise SettingError("delta", self.delta, rule, remedy="0 means least squares")
        if not 0 < self.holdout_frac < 1:
            rule = "must lie in (0, 1)"
            raise SettingError("holdout_frac", self.holdout_frac, rule, remedy="0.33 is usual")
        if not 0 < self.confidence < 1:
            rule = "must lie in (0, 1)"
            raise SettingError("confidence", self.confidence, rule, remedy="0.9 is usual")
        if self.resamples < 0:
            rule = "must not be negative"
            raise SettingError("resamples", self.resamples, rule, remedy="0: no intervals")


@dataclass(frozen=True, kw_only=True)
class ScalingFitSettings:
    """`burnish scaling fit`."""

    data: DataSettings = field(default_factory=DataSettings)
    fit: FitSettings = field(default_factory=FitSettings)


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """What to plan, from which fit, under which limits.

    `fit` is a run of `scaling fit` or the name of a published fit; by default `epoch-refit`, and
    `step-law-experts` for a mixture. `flops` is the training budget;
    with `served_tokens` [tokens] it pays for 2N FLOPs per token of use. `tokens`: most training
    tokens available. `memory_bytes`: room for `bytes_per_param` of every stored parameter.
    `experts` and `top_k`: the mixture to plan; `expert_frac` is the share of a dense model's
    parameters that its experts take the place of. `extrapolate`: largest factor beyond the
    largest run (compute) that is still planned for. `rule`: of batch and learning rate.
    """

    fit: str = ""
    flops: float = 0.0
    tokens: float | None = None
    memory_bytes: float | None = None
    bytes_per_param: float = 16.0
    served_tokens: float = 0.0
    experts: int = 1
    top_k: int = 1
    expert_frac: float = 2 / 3
    extrapolate: float = 10.0
    rule: str = "step-law"
    counts: str = ""
    seed: int = 0

    @property
    def fit_name(self) -> str:
        """The name of the fit that is used."""
        return self.fit or ("epoch-refit" if self.experts == 1 else "step-law-experts")

    def __post_init__(self) -> None:
        for name in ("flops", "bytes_per_param", "extrapolate"):
            if not getattr(self, name) > 0:
                value = getattr(self, name)
                raise SettingError(name, value, "must be positive", remedy=f"Give --{name}")
        for name in ("tokens", "memory_bytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingError(name, value, "must be positive", remedy="Remove it for no limit")
        if self.served_tokens < 0:
            raise SettingError("served_tokens", self.served_tokens, "must not be negative",
                               remedy="0: training only")  # fmt: skip
        if not 1 <= self.top_k <= self.experts:
            rule = f"must lie in [1, experts = {self.experts}]"
            raise SettingError("top_k", self.top_k, rule, remedy="Usual are 1 and 2")
        if not 0 < self.expert_frac < 1:
            raise SettingError("expert_frac", self.expert_frac, "must lie in (0, 1)",
                               remedy="Two thirds is usual")  # fmt: skip
