"""Where far tokens stand for the queries of a pass, in attention and in the choice alike."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.kv.retrieval.plan import Placed, Placing
from burnish.kv.rope import Rope, rotate


class Places:
    """Rotations of a pass over rows `start`, `start + 1`, ...; `auto` is decided by its last row.

    Source: InfLLM, arXiv 2402.04617 (one constant distance); StreamingLLM, arXiv 2309.17453
    (packed).
    Oracle: tests/kv/retrieval/test_memory.py::test_a_budget_that_covers_the_text_is_transformers
    """

    def __init__(
        self,
        rope: Rope,
        rows: tuple[int, int],
        *,
        positions: Placing,
        local_tokens: int,
        max_position: int | None,
    ) -> None:
        self._rope, self._local_tokens = rope, local_tokens
        self.start, self.num_rows = rows
        fits = max_position is None or self.start + self.num_rows <= max_position
        auto: Placed = "true" if fits else "constant"
        self.kind: Placed = auto if positions == "auto" else positions

    def turned(self, rows: Float[Tensor, "N H D"], at: Int[Tensor, " N"]) -> Tensor:
        """Rows rotated to positions."""
        return rotate(rows, self._rope.at(at, rows.dtype))

    def far_queries(
        self, query: Float[Tensor, "N H D"], rows: Int[Tensor, " N"]
    ) -> Float[Tensor, "N H D"]:
        """Queries of text positions `rows`, as far keys meet them.

        While far tokens are chosen, `packed` counts as `constant`: where a far token will stand
        depends on the choice.
        """
        if self.kind == "true":
            return self.turned(query, rows)
        return self.turned(query, torch.full_like(rows, self._local_tokens))

    def far_keys(
        self, keys: Float[Tensor, "K M D"], at: Int[Tensor, "K M"]
    ) -> Float[Tensor, "K M D"]:
        """Keys of text positions `at`, as far queries meet them."""
        if self.kind != "true":
            return keys
        flat = self.turned(keys.flatten(0, 1)[:, None], at.flatten())
        return flat[:, 0].view(keys.shape)
