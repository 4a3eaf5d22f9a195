"""Memory before and after, and its gate."""

from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import IncompleteError
from burnish.base.meter import Meter
from burnish.base.stages import Stage
from burnish.base.stats import Estimate
from burnish.models.handle import ModelHandle
from burnish.recall.settings import MemorySettings
from burnish.recipes import remembering as module
from burnish.recipes.remembering import (
    memory_change,
    memory_chart,
    not_more_forgetful,
    remember,
    unmeasured_lengths,
)

SETTINGS = MemorySettings(lengths="64,90", trials=3)


def measured(folder: Path, place: Path, *, seed: int = 1) -> dict[str, Any]:
    actor = ModelHandle(str(folder), precision="fp32", device="cpu")
    place.mkdir(parents=True, exist_ok=True)
    stage = Stage(name="memory", path=place, resumed=False, record=lambda *a, **f: None)
    meter = Meter()
    found = remember(stage, actor, SETTINGS, meter, seed=seed)
    assert meter.totals()["scored"] == 2 * 3 * (32 + 58)
    return found["curve"]


def test_a_model_is_as_forgetful_as_itself(tiny_folder: Any, tmp_path: Path) -> None:
    before, after = (measured(tiny_folder("llama"), tmp_path / name) for name in ("a", "b"))
    assert before == after
    change = memory_change(before, after, seed=0)
    assert change.value == 0
    assert change.low <= 0 <= change.high
    gate = not_more_forgetful(change, margin=1.0)
    assert (gate.name, gate.outcome) == ("not more forgetful", "pass")
    assert [series.name for series in memory_chart(before, after).series] == [
        "copy before", "lm before", "copy after", "lm after"
    ]  # fmt: skip


def check_worse(curve: dict[str, Any], change: Any) -> None:
    worse = curve | {"trials": {"copy": [[0.0, 0.1], [0.1, 0.0], [0.05, 0.0]]}}
    better = curve | {"trials": {"copy": [[1.0, 0.9], [0.9, 1.0], [1.0, 1.0]]}}
    assert not_more_forgetful(change(better, worse, seed=0), margin=0.05).outcome == "fail"
    assert not_more_forgetful(change(worse, better, seed=0), margin=0.05).outcome == "pass"


def test_forgetting_fails_the_gate(tiny_folder: Any, tmp_path: Path) -> None:
    check_worse(measured(tiny_folder("llama"), tmp_path), memory_change)


def test_planted_change_the_wrong_way(tiny_folder: Any, tmp_path: Path) -> None:
    curve = measured(tiny_folder("llama"), tmp_path)
    with pytest.raises(AssertionError):
        check_worse(curve, lambda before, after, seed: memory_change(after, before, seed=seed))


def test_other_texts_are_no_pairs(tiny_folder: Any, tmp_path: Path) -> None:
    before = measured(tiny_folder("llama"), tmp_path / "a")
    after = measured(tiny_folder("llama"), tmp_path / "b", seed=2)
    with pytest.raises(IncompleteError, match="must share texts"):
        memory_change(before, after, seed=0)


def test_a_second_call_measures_nothing(tiny_folder: Any, tmp_path: Path, monkeypatch: Any) -> None:
    first = measured(tiny_folder("llama"), tmp_path)
    monkeypatch.setattr(module, "open_reader", None)  # would fail
    assert measured(tiny_folder("llama"), tmp_path) == first


def test_a_failed_length_cannot_pass(tiny_folder: Any, tmp_path: Path) -> None:
    curve = measured(tiny_folder("llama"), tmp_path)
    assert unmeasured_lengths(curve, curve) == []
    points = [dict(point) for point in curve["points"]]
    points[1]["copy"] = None
    part = {"copy": [[0.5, 0.5], [0.5, 0.5], [None, 0.5]]}
    assert unmeasured_lengths(curve, curve | {"points": points}) == [90]
    assert unmeasured_lengths(curve | {"trials": part}, curve) == [64]
    change = memory_change(curve, curve, seed=0)
    gate = not_more_forgetful(change, margin=1.0, unmeasured=[90])
    assert gate.outcome == "undetermined" and "Not measured at 90 tokens" in gate.sentence
    worse = Estimate(value=-0.5, low=-0.6, high=-0.4, n=9)
    assert not_more_forgetful(worse, margin=0.05, unmeasured=[90]).outcome == "fail"
