"""Where scored tokens stand, by hand."""

import pytest

from burnish.base.errors import SettingError
from burnish.recall.geometry import Layout, parse_lengths


def check_by_hand(layout_of) -> None:
    """Length, tokens repeated, tokens scored, positions of the rows that predict them."""
    paper, probe = layout_of(mode="paper"), layout_of(mode="probe", cue_tokens=3, scored_tokens=4)
    table = [
        (paper, 5, 5, 3, [8, 9, 10]),  # 0 | 1-5 | 6 | 7-11: rows 8 to 10 predict 9 to 11
        (paper, 8, 8, 4, [13, 14, 15, 16]),
        (probe, 20, 7, 4, [24, 25, 26, 27]),  # 0 | 1-20 | 21 | 22-28: 25 to 28 are scored
        (probe, 5, 5, 3, [8, 9, 10]),  # the cue is L // 2 = 2
        (probe, 4, 4, 2, [7, 8]),
    ]
    for layout, length, repeated, scored, rows in table:
        assert layout.repeated(length) == repeated
        assert layout.scored(length) == scored
        assert list(layout.positions(length)) == rows


def test_scored_tokens_by_hand() -> None:
    check_by_hand(Layout)


def test_the_published_formula() -> None:
    """In paper mode the last scored row stands at 2L, and ceil(L/2) are scored."""
    for length in range(2, 40):
        rows = Layout(mode="paper").positions(length)
        assert (rows.stop - 1, len(rows)) == (2 * length, (length + 1) // 2)


def test_planted_floor_for_ceil() -> None:
    class Floor(Layout):
        def scored(self, length: int) -> int:
            return length // 2 if self.mode == "paper" else super().scored(length)

    with pytest.raises(AssertionError):
        check_by_hand(Floor)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("64:1024:x2", [64, 128, 256, 512, 1024]),
        ("64:1000:x2", [64, 128, 256, 512, 1000]),
        ("10:35:x1.5", [10, 15, 22, 34, 35]),
        ("8:20:+6", [8, 14, 20]),
        ("8:21:+6", [8, 14, 20, 21]),
        ("8:4500:32", [round(8 + 4492 * i / 31) for i in range(32)]),
        ("64,100,512", [64, 100, 512]),
    ],
)
def test_lengths(text: str, lengths: list[int]) -> None:
    assert parse_lengths(text) == lengths


@pytest.mark.parametrize(
    "text", ["", "64:1024", "a:b:c", "64:32:x2", "64:128:x1", "64:128:+0", "9,3", "1,2", "0:9:3",
             "64:128:xnan", "5,5", "64:128:1"],
)  # fmt: skip
def test_lengths_that_are_refused(text: str) -> None:
    with pytest.raises(SettingError, match="lengths must"):
        parse_lengths(text)


@pytest.mark.parametrize("fields", [{"mode": "both"}, {"cue_tokens": 0}, {"scored_tokens": 0}])
def test_layouts_that_are_refused(fields: dict) -> None:
    with pytest.raises(SettingError):
        Layout(**fields)
