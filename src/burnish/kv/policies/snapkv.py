"""`snapkv`: keeps what the latest queries attend to, and forgets the rest chunk by chunk."""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from burnish.base.errors import SettingError
from burnish.contracts.kv_policy import KVShape
from burnish.kv.evicting import EvictingMemory, Held, Limits
from burnish.kv.grouped import grouped_scores
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.policy import check_least
from burnish.kv.rope import Rope, rotate


@kv_policies.register("snapkv")
@dataclass(frozen=True, kw_only=True)
class SnapkvPolicy:
    """Per key head `budget_tokens` besides the sinks, the latest `window_tokens` among them.

    Source: SnapKV, arXiv 2404.14469: attention of the observation window, pooled over `kernel`.
    Departure: after each chunk of the prefill instead of once after all of it, so that memory is
    bounded while the text is read; average pooling.
    Oracle: tests/kv/test_evicting.py::test_snapkv_keeps_what_the_window_attends_to
    """

    budget_tokens: int = 1536
    num_sinks: int = 4
    window_tokens: int = 64
    kernel: int = 5
    positions: Literal["auto", "true", "packed"] = "auto"

    def __post_init__(self) -> None:
        check_least("num_sinks", self.num_sinks, 0)
        check_least("window_tokens", self.window_tokens, 1)
        check_least("budget_tokens", self.budget_tokens, 1)
        if self.kernel % 2 == 0 or self.kernel < 1:
            rule = "must be odd and positive"
            raise SettingError("kernel", self.kernel, rule, remedy="5 is usual")

    @property
    def view(self) -> None:
        """No fixed part of the text."""
        return None

    @property
    def most_distance_tokens(self) -> int | None:
        """All that is kept, once positions are packed."""
        return None if self.positions == "true" else self.budget_tokens + self.num_sinks

    def open(self, shape: KVShape) -> EvictingMemory:
        """An empty memory."""
        latest = min(self.window_tokens, self.budget_tokens)
        limits = Limits(
            budget_tokens=self.budget_tokens,
            num_sinks=self.num_sinks,
            latest_tokens=latest,
            positions=self.positions,
        )
        return EvictingMemory(shape, limits, Attended(latest, self.kernel))


class Attended:
    """Attention that the latest queries give, summed over them and over a key head's group."""

    needs_moments = False

    def __init__(self, num_recent: int, kernel: int) -> None:
        self.num_recent, self._kernel = num_recent, kernel

    def __call__(self, held: Held, rope: Rope, num_tokens: int) -> Float[Tensor, "K T"]:
        """Smoothed sums of attention."""
        keys, at = held.cells[0], held.at
        num = len(held.recent)
        rows = at[0, -1] + 1 - num + at.new_ones(num).cumsum(0) - 1
        turned = rotate(keys.flatten(0, 1)[:, None], rope.at(at.flatten(), keys.dtype))[:, 0]
        own = rotate(held.recent, rope.at(rows, keys.dtype))
        scores = grouped_scores(own, turned.view(keys.shape)).float()
        scores = scores.masked_fill((rows[:, None] < at[:, None])[:, None], float("-inf"))
        given = scores.softmax(-1).sum((1, 2))
        half = self._kernel // 2
        return F.avg_pool1d(given[:, None], self._kernel, 1, half, count_include_pad=False)[:, 0]
