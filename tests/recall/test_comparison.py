"""Curves side by side, by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.recalling import planted_curve

from burnish.base.errors import BurnishError
from burnish.recall import comparison as module
from burnish.recall.comparison import compare_curves, compare_page, copy_difference, read_curve
from burnish.report.html import render

LENGTHS = [64, 128, 256]
LM = [[0.5, 0.5, 0.5]] * 4


def curve(copy: list[list[float]], **changes: Any) -> dict[str, Any]:
    made = planted_curve(copy, LM, LENGTHS)
    return made | {"material": {"hash": "a"}, "model": "m", "kv": "full"} | changes


BEFORE = curve([[1, 1, 0.9], [1, 0.8, 0.6], [1, 1, 0.7], [0.9, 0.9, 0.9]])
AFTER = curve([[1, 0.9, 0.8], [1, 0.7, 0.6], [0.9, 1, 0.5], [0.9, 0.8, 0.7]])


def check_by_hand() -> None:
    found = copy_difference(BEFORE, AFTER)
    per_trial = [-0.2 / 3, -0.1 / 3, -0.3 / 3, -0.3 / 3]
    assert found.value == pytest.approx(sum(per_trial) / 4)
    assert min(per_trial) - 1e-9 <= found.low < found.value < found.high <= max(per_trial) + 1e-9
    assert found.n == 4


def test_difference_by_hand() -> None:
    check_by_hand()


def test_planted_difference_the_other_way(monkeypatch: Any) -> None:
    exact = module.paired_difference
    monkeypatch.setattr(module, "paired_difference", lambda a, b, **f: exact(b, a, **f))
    with pytest.raises(AssertionError):
        check_by_hand()


def test_other_texts_are_no_pairs() -> None:
    other = AFTER | {"material": {"hash": "b"}}
    assert copy_difference(BEFORE, other) is None
    found = compare_curves([("before", BEFORE), ("after", AFTER), ("other", other)])
    assert [row["paired"] for row in found["curves"]] == [True, True, False]
    assert found["curves"][0]["copy_minus_first"] is None
    assert found["curves"][1]["copy_minus_first"]["value"] < 0


def test_only_shared_lengths_count() -> None:
    fewer = curve([[1, 1, 0.9]] * 4)
    fewer["points"][2] |= {"copy": None, "state": "failed"}
    assert module.shared_lengths(BEFORE, fewer) == [64, 128]
    assert copy_difference(fewer, fewer).value == 0


def test_the_page_can_be_drawn() -> None:
    pairs = [("before", BEFORE), ("after", AFTER)]
    page = compare_page(compare_curves(pairs), pairs)
    assert "copy before" in render(page)


@pytest.mark.parametrize(
    ("text", "says"),
    [("[]", "must be a curve"), ('{"points": []}', "it lacks 'trials'"), ("{", "must be JSON")],
)
def test_files_that_are_no_curves(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(BurnishError) as error:
        read_curve(tmp_path / "c.json")
    assert says in str(error.value)
    with pytest.raises(BurnishError, match="does not exist"):
        read_curve(tmp_path / "d.json")


def test_a_file_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps(BEFORE))
    assert read_curve(tmp_path / "c.json") == BEFORE


def test_modes_are_not_mixed() -> None:
    with pytest.raises(BurnishError, match="different estimators"):
        compare_curves([("a", BEFORE), ("b", AFTER | {"mode": "paper"})])
    with pytest.raises(BurnishError, match="two or more"):
        compare_curves([("a", BEFORE)])
