"""`moe`: a mixture of experts."""

from dataclasses import dataclass

from burnish.arch.blocks import blocks
from burnish.base.errors import SettingError


@blocks.register("moe")
@dataclass(frozen=True, kw_only=True)
class MoEBlock:
    """`top_k` of `experts` feed-forwards for each token, each as wide as the dense one was.

    `shared` is the width of an expert that every token passes; 0: none, or the narrowest where
    the family's folders must have one (Qwen2). With `top_k` 1 the weight of the only expert is 1,
    and the router learns from its own losses alone.
    Source: sparse upcycling, arXiv 2212.05055.
    Oracle: tests/arch/test_upcycle_experts.py::test_logits_stay_under_any_router
    """

    experts: int = 8
    top_k: int = 2
    shared: int = 0

    def __post_init__(self) -> None:
        if self.experts < 2:
            raise SettingError("experts", self.experts, "must be at least 2", remedy="Use 8")
        if not 1 <= self.top_k <= self.experts:
            rule = f"must lie between 1 and experts ({self.experts})"
            raise SettingError("top_k", self.top_k, rule, remedy="Use 2")
        if self.shared < 0:
            remedy = "0 is no shared expert"
            raise SettingError("shared", self.shared, "must not be negative", remedy=remedy)
