"""Where the rows of drafts and their pseudo states stand, and who sees whom.

Every row has a cell of the cache behind its text: nodes first, in their order, then pseudo states.
A row sees the text, then its own branch up to itself. What a pass leaves behind the text is
forgotten, except for the nodes that were right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor

from burnish.contracts.drafter import Draft

Parents = tuple[int, ...]


def path_to(parents: Parents, node: int) -> list[int]:
    """The path of nodes from the root to a node."""
    path = [node]
    while parents[path[-1]] >= 0:
        path.append(parents[path[-1]])
    return path[::-1]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Index tensors of one pass; positions and cells are relative to each text's length.

    Rows are the nodes of all texts, text by text, then the pseudo states of offset 1 of all nodes,
    then those of offset 2 ... Row i sees its text and the cells
    `seen[seen_at[i]:seen_at[i + 1]]`, in the order of their positions, itself last; `reach` says
    how many positions before the row each of them stands, `text_of_seen` whose text it is, and
    `row_of_seen` which row sees it.
    """

    num_cells: int  # that the largest text needs behind its end
    text_of_row: Int[Tensor, " N"]
    position_of_row: Int[Tensor, " N"]
    cell_of_row: Int[Tensor, " N"]
    seen: Int[Tensor, " S"]
    reach: Int[Tensor, " S"]
    seen_at: Int[Tensor, " R"]
    text_of_seen: Int[Tensor, " S"]
    row_of_seen: Int[Tensor, " S"]

    def to(self, device: torch.device) -> "Layout":
        """The same layout with its tensors on a device."""
        tensors = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return Layout(num_cells=self.num_cells, **tensors)


@dataclass(kw_only=True)
class _Rows:
    """Rows as they are laid out, one after another."""

    texts: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)
    seen: list[list[int]] = field(default_factory=list)
    reach: list[int] = field(default_factory=list)

    def add(self, text: int, cell: int, seen: list[int], at: list[int]) -> None:
        """One more row; `at` are the positions of the cells that it sees, its own last."""
        self.texts.append(text)
        self.positions.append(at[-1])
        self.cells.append(cell)
        self.seen.append(seen)
        self.reach += [at[-1] - position for position in at]

    def layout(self) -> Layout:
        """All rows as tensors."""
        ends, texts = torch.tensor([0, *map(len, self.seen)]).cumsum(0), torch.tensor(self.texts)
        return Layout(
            num_cells=max(self.cells) + 1,
            text_of_row=texts,
            position_of_row=torch.tensor(self.positions),
            cell_of_row=torch.tensor(self.cells),
            seen=torch.tensor([cell for cells in self.seen for cell in cells]),
            reach=torch.tensor(self.reach),
            seen_at=ends,
            text_of_seen=texts.repeat_interleave(ends.diff()),
            row_of_seen=torch.arange(len(texts)).repeat_interleave(ends.diff()),
        )


def make_layout(shapes: Sequence[Parents], num_offsets: int, *, cross: bool = True) -> Layout:
    """Lay out drafts of these shapes with `num_offsets` pseudo states at each node.

    Pseudo state i of a node stands i positions behind it, and sees the node's branch and, with
    `cross`, the pseudo states before it. No node sees a pseudo state.
    Source: FIRP, arXiv 2410.20488 (reconstruction); positions are ours.
    Oracle: tests/draft/test_layout.py::test_visibility_equals_the_definition
    """
    rows = _Rows()
    for offset in range(num_offsets + 1):
        for text, parents in enumerate(shapes):
            for node in range(len(parents)):
                path = path_to(parents, node)
                first = len(parents) + node * num_offsets - 1  # cell of offset i is first + i
                offsets = range(1 if cross else max(offset, 1), offset + 1)
                cell = first + offset if offset else node
                seen = path + [first + i for i in offsets]
                at = [*range(len(path)), *(len(path) - 1 + i for i in offsets)]
                rows.add(text, cell, seen, at)
    return rows.layout()


def make_group_layout(num_texts: int, num_offsets: int, *, cross: bool = True) -> Layout:
    """Lay out pseudo states behind texts without any draft: the second of two passes.

    The anchor is the last token in the cache; pseudo state i stands i positions behind it.
    Source: ours. Oracle: tests/draft/test_passes.py::test_two_passes_equal_one
    """
    rows = _Rows()
    for offset in range(num_offsets):
        for text in range(num_texts):
            seen = list(range(0 if cross else offset, offset + 1))
            rows.add(text, offset, seen, seen)
    return rows.layout()


def shapes_of(drafts: Sequence[Draft]) -> tuple[Parents, ...]:
    """The key under which a layout is kept."""
    return tuple(draft.parents for draft in drafts)
