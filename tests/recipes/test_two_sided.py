"""Measurements of two sides: each side's step reads its own model, and is told as that side."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from burnish.contracts.step import Told
from burnish.recipes.settings import ImproveSettings, MemorySettings
from burnish.recipes.steps import two_sided
from burnish.recipes.steps.general import General
from burnish.recipes.steps.memory import Memory
from burnish.recipes.steps.two_sided import TwoSided


@dataclass(frozen=True, kw_only=True)
class Ordered(TwoSided):
    """Says which side came first."""

    is_on = True

    def side(self, name: str, model: str) -> Any:
        return {"name": name, "model": model}

    def compare(self, before: Any, after: Any) -> Any:
        return (Told(numbers={"before": before, "after": after}),)


def check_sides() -> None:
    part = Ordered(name="x", seed=0, precision="fp32")
    assert part.planned() == [
        {"name": "x-before", "model": "base"}, {"name": "x-after", "model": "chosen"},
    ]  # fmt: skip
    (told,) = part.tell({"x-before": 1, "x-after": 2}.__getitem__)
    assert told.numbers == {"before": 1, "after": 2}


def test_each_side_measures_its_own_model() -> None:
    check_sides()
    settings = ImproveSettings(tasks=("t",))
    for cls in (General, Memory):
        steps = cls.configured(settings).planned()
        assert [step.reads for step in steps] == [("base",), ("chosen",)]
        assert [[*step.writes] for step in steps] == [[step.name] for step in steps]


def test_what_is_off_measures_and_tells_nothing() -> None:
    off = Memory.configured(replace(ImproveSettings(), memory=MemorySettings(trials=0)))
    assert (off.planned(), off.tell({}.__getitem__)) == ([], ())


def test_planted_sides_in_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_sided, "SIDES", {"before": "chosen", "after": "base"})
    with pytest.raises(AssertionError):
        check_sides()
