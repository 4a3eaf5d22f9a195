"""Who sees whom, against the definition written out for every pair of rows."""

import itertools
from typing import Any

import pytest

from burnish.draft import layout as layout_module
from burnish.draft.layout import Layout, make_group_layout, make_layout

SHAPES = [(-1, 0, 0, 1, 1, 2, 5), (-1,), (-1, 0, 1)]


def rows_of(found: Layout) -> list[tuple[int, int, int, list[int]]]:
    """Text, position, cell and seen cells of every row."""
    ends = found.seen_at.tolist()
    seen = [found.seen[a:b].tolist() for a, b in itertools.pairwise(ends)]
    parts = (found.text_of_row, found.position_of_row, found.cell_of_row)
    return list(zip(*(part.tolist() for part in parts), seen, strict=True))


def is_ancestor(parents: tuple[int, ...], one: int, node: int) -> bool:
    """Whether `one` lies on the way to `node`, or is it."""
    while node != one and node >= 0:
        node = parents[node]
    return node == one


def check_visibility(make: Any, cross: bool) -> None:
    num_offsets = 2
    found = rows_of(make(SHAPES, num_offsets, cross=cross))
    names = [  # (text, node, offset) of every row, in the documented order
        (text, node, offset)
        for offset in range(num_offsets + 1)
        for text, parents in enumerate(SHAPES)
        for node in range(len(parents))
    ]
    at = dict(zip(names, found, strict=True))
    cells = {
        (text, row[2]): name for (text, *_), (name, row) in zip(names, at.items(), strict=True)
    }
    assert len(cells) == len(names)  # a cell each
    for (text, node, offset), (owner, position, cell, seen) in at.items():
        parents = SHAPES[text]
        depth = sum(is_ancestor(parents, v, node) for v in range(len(parents))) - 1
        assert (owner, position) == (text, depth + offset)
        wanted = {
            (text, v, i)
            for (other, v, i) in names
            if other == text
            and (
                (i == 0 and is_ancestor(parents, v, node))
                or (v == node and 0 < i <= offset and (cross or i == offset))
            )
        }
        assert {cells[text, c] for c in seen} == wanted
        positions = [at[cells[text, c]][1] for c in seen]
        assert positions == sorted(positions)
        assert seen[-1] == cell


@pytest.mark.parametrize("cross", [True, False])
def test_visibility_equals_the_definition(cross: bool) -> None:
    check_visibility(make_layout, cross)


def test_planted_siblings_that_see_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout_module, "path_to", lambda parents, node: list(range(node + 1)))
    with pytest.raises(AssertionError):
        check_visibility(make_layout, True)


def test_planted_position_of_the_tree_index() -> None:
    def by_index(shapes: Any, num_offsets: int, *, cross: bool) -> Layout:
        found = make_layout(shapes, num_offsets, cross=cross)
        found.position_of_row.copy_(found.cell_of_row)
        return found

    with pytest.raises(AssertionError):
        check_visibility(by_index, True)


def test_groups_behind_texts() -> None:
    found = rows_of(make_group_layout(2, 3))
    assert found[:2] == [(0, 0, 0, [0]), (1, 0, 0, [0])]
    assert found[-1] == (1, 2, 2, [0, 1, 2])
    assert rows_of(make_group_layout(2, 3, cross=False))[-1] == (1, 2, 2, [2])
