"""Windows of packed documents: which tokens a step sees, as a plain function of the seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.base.rng import stream
from burnish.data.shards import TokenStream


@dataclass(frozen=True, kw_only=True)
class Window:
    """`context` tokens and the one behind them; targets from `num_terms` on are filling."""

    tokens: np.ndarray  # context + 1
    num_terms: int

    def __len__(self) -> int:
        """Rows of a forward pass [tokens]."""
        return len(self.tokens) - 1

    @property
    def num_filling_tokens(self) -> int:
        """Rows at the end from which nothing is learned."""
        return len(self) - self.num_terms

    @property
    def num_answer_tokens(self) -> int:
        """Tokens that are learned from."""
        return self.num_terms


class WindowCursor:
    """Windows of several token streams, shuffled by epoch, mixed by weight; it has no end.

    Each stream is cut into windows that overlap by the one token that is a target in the first and
    an input in the second, so that every token behind a stream's first is a target once an epoch.
    The last window may be short: it is filled with `filling`, and the rest counts for nothing.
    A window is taken from the stream that is furthest behind its share; without weights shares are
    those of the streams' lengths. The state is how many windows were taken from each. The order of
    an epoch takes 8 bytes per window.
    Source: ours. Oracle: tests/data/test_windows.py::test_every_token_is_a_target_once_an_epoch
    """

    def __init__(
        self,
        streams: Sequence[TokenStream],
        *,
        weights: Sequence[float] | None,
        context: int,
        filling: int,
        seed: int,
    ) -> None:
        self._streams, self._context, self._filling = streams, context, filling
        self._seed = seed
        self.num_windows = [-(-(len(one) - 1) // context) for one in streams]
        if not streams or min(self.num_windows) < 1:
            rule = "must give every part at least two tokens"
            raise InputError("corpus", self.num_windows, rule, remedy="Leave out empty parts")
        shares = self.num_windows if weights is None else weights
        self._shares = np.asarray(shares, float) / sum(shares)
        self._taken = [0] * len(streams)
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    def take(self) -> Window:
        """The next window."""
        behind = self._shares * (sum(self._taken) + 1) - self._taken
        part = int(np.argmax(behind))
        epoch, place = divmod(self._taken[part], self.num_windows[part])
        self._taken[part] += 1
        return self.window(part, int(self._order(part, epoch)[place]))

    def window(self, part: int, number: int) -> Window:
        """Window `number` of a part, in the order of its text."""
        begin = number * self._context
        found = self._streams[part].read(begin, begin + self._context + 1)
        num_terms = len(found) - 1
        filling = np.full(self._context + 1 - len(found), self._filling, np.int64)
        return Window(tokens=np.concatenate([found, filling]), num_terms=num_terms)

    def state_dict(self) -> dict[str, Any]:
        """Windows taken of each part."""
        return {"taken": list(self._taken)}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Go to a position."""
        self._taken = [int(n) for n in state["taken"]]

    def _order(self, part: int, epoch: int) -> np.ndarray:
        known = self._orders.get(part)
        if known is None or known[0] != epoch:
            rng = stream(self._seed, "windows", part, epoch)
            known = self._orders[part] = (epoch, rng.permutation(self.num_windows[part]))
        return known[1]
