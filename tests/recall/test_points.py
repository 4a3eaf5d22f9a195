"""From rows to the curve: units, failures, heat."""

import json
from typing import Any

import numpy as np
import pytest
from fixtures.recalling import Reader, measured, planted_curve, random_material, rows_of

from burnish.base.errors import IncompleteError
from burnish.recall import points as module
from burnish.recall.points import accuracies, heat, make_curve
from burnish.recall.settings import RecallSettings

SETTINGS = RecallSettings(
    lengths="64,100,160", trials=4, mode="paper", least_tokens=64, cue_tokens=8
)


def test_metric_units() -> None:
    """A perfect copier reads 1, a constant the token's frequency, a uniform guess 1/V."""
    vocab, material = 20, random_material(160, 4, vocab=20)
    perfect = measured(Reader(lambda text, num: text[-num:]), material, SETTINGS)
    assert {p["copy"]["value"] for p in perfect["points"]} == {1.0}
    constant = measured(Reader(lambda text, num: [7] * num), material, SETTINGS)
    for point in constant["points"]:
        half = -(-point["length"] // 2)
        tails = [t[: point["length"]][-half:] for t in material.targets]
        share = np.mean([np.mean(np.array(tail) == 7) for tail in tails])
        assert point["copy"]["value"] == pytest.approx(share)
    rng = np.random.default_rng(0)
    guess = Reader(lambda text, num: rng.integers(1, vocab, num).tolist())
    found = accuracies(rows_of(guess, material, SETTINGS), [64, 100, 160], 4)
    num = 4 * (32 + 50 + 80)
    assert abs(np.mean(found.copy) - 1 / 19) < 4 * np.sqrt(1 / 19 / num)


def test_planted_first_half_scored() -> None:
    """A copier that fails in the second half is seen; one that fails in the first is not."""
    material = random_material(160, 4)

    def late(text: list[int], num: int) -> list[int]:
        return [*text[-num : -num // 2], *[-1] * len(text[-num // 2 :])]

    curve = measured(Reader(late), material, SETTINGS)
    assert all(0.4 < p["copy"]["value"] < 0.6 for p in curve["points"])


def test_the_curve_is_json_with_the_promised_keys() -> None:
    curve = planted_curve([[1, 1, 0.5]] * 5, [[0.5, 0.5, 0.5]] * 5, [64, 128, 256])
    assert json.loads(json.dumps(curve, allow_nan=False)) == curve
    for point in curve["points"]:
        for side in ("copy", "lm", "gap"):
            assert set(point[side]) == {"value", "low", "high", "n"}
            assert point[side]["n"] == 5
    assert (curve["fine_tokens"], curve["coarse_tokens"], curve["state"]) == (128, 128, "amnesia")
    assert curve["fine_by_share"] == {"0.95": 128, "0.99": 128, "0.999": 128}


def test_short_lengths_define_nothing() -> None:
    copy, lm = [[0.5, 1, 1]] * 4, [[0.5, 0.4, 0.4]] * 4
    curve = planted_curve(copy, lm, [8, 64, 128])
    assert (curve["fine_tokens"], curve["state"]) == (128, "fine")
    assert planted_curve(copy, lm, [8, 64, 128], least_tokens=8)["state"] == "no copying"


def failing_rows(lengths: list[int], trials: list[int]) -> list[dict[str, Any]]:
    rows = rows_of(Reader(lambda text, num: text[-num:]), random_material(160, 4), SETTINGS)
    for row in rows:
        if row["length"] in lengths and row["trial"] in trials:
            del row["hits"], row["near_ties"]
            row["error"] = "MemoryError: full"
    return rows


def test_a_failure_never_shortens_the_curve() -> None:
    curve = make_curve(failing_rows([100], [0, 1, 2]), SETTINGS)
    states = [(p["length"], p["state"], p["num_failed"]) for p in curve["points"]]
    assert states == [(64, "fine", 0), (100, "failed", 3), (160, "fine", 0)]
    assert curve["points"][1]["error"] == "MemoryError: full"
    assert (curve["fine_tokens"], curve["num_failed_lengths"]) == (160, 1)


def test_one_failed_trial_leaves_the_others() -> None:
    point = make_curve(failing_rows([100], [2]), SETTINGS)["points"][1]
    assert (point["state"], point["num_failed"], point["copy"]["n"]) == ("fine", 1, 3)


def test_nothing_measured_is_no_curve() -> None:
    with pytest.raises(IncompleteError, match="the first failure was MemoryError: full"):
        make_curve(failing_rows([64, 100, 160], [0, 1, 2, 3]), SETTINGS)


def check_heat(make: Any) -> None:
    rows = rows_of(Reader(lambda text, num: text[-num:]), random_material(160, 4), SETTINGS)
    cells = make(rows, SETTINGS)
    for length in (64, 100, 160):
        own = [cell for cell in cells if cell["length"] == length]
        assert sum(cell["n"] for cell in own) == 4 * -(-length // 2)
        layout = SETTINGS.layout().positions(length)
        assert min(cell["first"] for cell in own) <= layout.start
        assert max(cell["last"] for cell in own) >= layout.stop - 1
        assert {cell["copy"] for cell in own} == {1.0}


def test_heat_counts_every_scored_token_once() -> None:
    check_heat(heat)


def test_planted_heat_without_its_last_bin(monkeypatch: Any) -> None:
    with pytest.raises(AssertionError):
        check_heat(lambda rows, settings: heat(rows, settings)[:-1])


def test_later_rows_count() -> None:
    name = {"side": "copy", "length": 64, "trial": 0}
    rows = [name | {"error": "x"}, name | {"hits": "11", "near_ties": 1}]
    found = module.accuracies(rows, [64], 1)
    assert (found.copy[0, 0], found.num_near_ties) == (1.0, 1)
