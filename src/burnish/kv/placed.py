"""Attention of rows over cells of the cache, by the compiled kernel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.kernels import ops
from burnish.kernels.ops import Places, Sight
from burnish.kv.rope import Rope, Windows


@dataclass(frozen=True, kw_only=True)
class Branch:
    """Cells that some rows see behind the first `common` cells of their sequence: a tree's path.

    Row i sees cells `[0, common[i])` and then `more[more_at[i]:more_at[i + 1]]`, itself last.
    """

    common: Int[Tensor, " N"]
    more: Int[Tensor, " M"]
    more_at: Int[Tensor, " N_1"]


class PlacedAttend:
    """Rows that know their sequence, position and cell; what an `Attend` of the engine ends in.

    The bits of a row depend on nothing but the row and what it sees: not on the other rows of
    the pass, on how a prompt was cut, or on which cells hold its past. A row of a tree
    (`branches`, one for each window) has the bits of the newest row of a plain sequence.
    Source: ours. Oracle: tests/kv/test_placed.py::test_bits_depend_on_what_a_row_sees
    """

    def __init__(
        self,
        cells: Float[Tensor, "L 2 S K T D"],
        slots: Sequence[int],
        positions: Int[Tensor, " N"],
        rope: Rope,
        windows: Windows,
        *,
        at: Int[Tensor, " N"] | None = None,
        branches: Mapping[int | None, Branch] | None = None,
    ) -> None:
        self._cells, self._windows = cells, windows
        cosine, sine = rope.at(positions, torch.float32)
        self._rotation = (cosine.flatten(1), sine.flatten(1))
        owners = torch.tensor(slots)
        own = positions if at is None else at
        self._places = {}
        for window in set(windows):
            branch = None if branches is None else branches[window]
            first = torch.zeros_like(positions)
            self._places[window] = Places(
                slots=owners,
                cells=own,
                begins=first if window is None else (positions + 1 - window).clamp(min=0),
                ends=positions + 1 if branch is None else branch.common,
                more=None if branch is None else branch.more,
                more_at=None if branch is None else branch.more_at,
            )

    def __call__(
        self,
        layer: int,
        query: Float[Tensor, "N H D"],
        key: Float[Tensor, "N K D"],
        value: Float[Tensor, "N K D"],
    ) -> Float[Tensor, "N H D"]:
        """Attention output of every row; writes keys and values into the cache."""
        places = self._places[self._windows[layer]]
        return ops.attend((query, key, value), self._rotation, self._cells[layer], places)

    @property
    def sight(self) -> Sight:
        """The same for one kernel that goes through all layers."""
        places = [self._places[window] for window in self._windows]
        return Sight(cells=self._cells, rotation=self._rotation, places=places)
