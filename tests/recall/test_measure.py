"""The schedule against texts that are written out one by one, as the paper's code does."""

from collections.abc import Sequence
from typing import Any

import pytest
from fixtures.recalling import Reader, random_material, rows_of, suffix_rule

from burnish.base.errors import ModelError, RemoteError
from burnish.recall import measure
from burnish.recall.geometry import Layout
from burnish.recall.material import Material
from burnish.recall.reader import Predicted
from burnish.recall.settings import RecallSettings

SETTINGS = {
    mode: RecallSettings(
        lengths="9,16,30", trials=3, mode=mode, cue_tokens=4, scored_tokens=6, least_tokens=2
    )
    for mode in ("paper", "probe")
}


class Recorder(Reader):
    """Notes every whole text and how much of it is scored."""

    def __init__(self) -> None:
        super().__init__(lambda text, num: text[-num:])
        self.asked: list[tuple[tuple[int, ...], int]] = []

    def predict(self, tokens: Sequence[int], num_scored: int) -> Predicted:
        self.asked.append(((*self.text, *tokens), num_scored))
        return super().predict(tokens, num_scored)


def written_out(material: Material, settings: RecallSettings) -> set[tuple[tuple[int, ...], int]]:
    """Every text of the measure, by its definition."""
    found, sep = set(), material.separator
    for length in (9, 16, 30):
        again, scored = length, -(-length // 2)
        if settings.mode == "probe":
            again = min(length, min(4, length // 2) + 6)
            scored = again - min(4, length // 2)
        for target in material.targets:
            for prefix in (target, material.irrelevant):
                text = (sep, *prefix[:length], sep, *target[:again])
                found.add((text, scored))
    return found


def check_schedule(material: Material, settings: RecallSettings) -> None:
    reader = Recorder()
    rows = rows_of(reader, material, settings)
    assert set(reader.asked) == written_out(material, settings)
    assert len(reader.asked) == 2 * 3 * 3 == len(rows)
    assert reader.num_extended == 31 * (1 + 3)  # each prefix is read once


@pytest.mark.parametrize("mode", ["paper", "probe"])
def test_shared_schedule_equals_separate_texts(mode: str) -> None:
    check_schedule(random_material(30, 3), SETTINGS[mode])


def test_planted_repetition_one_token_late(monkeypatch: Any) -> None:
    exact = Layout.repeated
    monkeypatch.setattr(Layout, "repeated", lambda self, length: exact(self, length) - 1)
    with pytest.raises(AssertionError):
        check_schedule(random_material(30, 3), SETTINGS["paper"])


def test_planted_prefix_one_token_short(monkeypatch: Any) -> None:
    plan = measure.plan_walks

    def short(*args: Any) -> list[measure.Walk]:
        return [
            measure.Walk(prefix=(walk.prefix[0], *walk.prefix[2:], 9), asks=walk.asks)
            for walk in plan(*args)
        ]

    monkeypatch.setattr(measure, "plan_walks", short)
    with pytest.raises(AssertionError):
        check_schedule(random_material(30, 3), SETTINGS["paper"])


def test_irrelevant_prefix_that_is_the_target_makes_both_sides_equal() -> None:
    """With r = s the language-model curve is the copy curve, hit by hit."""
    plain = random_material(30, 3)
    for trial in range(3):
        same = Material(**(vars(plain) | {"irrelevant": plain.targets[trial]}))
        rows = rows_of(Reader(suffix_rule(12)), same, SETTINGS["probe"])
        own = {(r["side"], r["length"]): r["hits"] for r in rows if r["trial"] == trial}
        assert all(own["copy", n] == own["lm", n] for n in (9, 16, 30))


class Failing(Reader):
    """Fails to read past a length, or to predict there."""

    def __init__(self, at: int, error: Exception) -> None:
        super().__init__(lambda text, num: text[-num:])
        self.at, self.error = at, error

    def extend(self, tokens: Sequence[int]) -> None:
        super().extend(tokens)
        if len(self.text) == self.at + 1:
            raise self.error


@pytest.mark.parametrize(
    "error", [MemoryError("full"), RuntimeError("no room"), IndexError("position"),
              RemoteError("server", "x", "must answer", remedy="Wait")],
)  # fmt: skip
def test_a_failed_length_is_recorded_there(error: Exception) -> None:
    """16 fails on both sides; 9 and 30 are measured, the text being read anew."""
    material, settings = random_material(30, 3), SETTINGS["probe"]
    rows = rows_of(Failing(16, error), material, settings)
    failed = {(r["side"], r["length"], r["trial"]) for r in rows if "error" in r}
    assert failed == {(side, 16, trial) for side in ("copy", "lm") for trial in range(3)}
    good = [row for row in rows if "hits" in row]
    assert {row["length"] for row in good} == {9, 30}
    assert all(set(row["hits"]) == {"1"} for row in good)


def test_what_the_user_can_mend_is_not_a_failed_length() -> None:
    error = ModelError("server", "x", "returns nothing", remedy="Use another")
    with pytest.raises(ModelError):
        rows_of(Failing(16, error), random_material(30, 3), SETTINGS["probe"])


def test_done_rows_are_not_asked_again() -> None:
    material, settings = random_material(30, 3), SETTINGS["probe"]
    straight = rows_of(Recorder(), material, settings)
    reader, rows = Recorder(), []
    for plan in measure.plan_walks(material, settings.layout(), settings.grid(), range(3)):
        done = [(r["side"], r["length"], r["trial"]) for r in straight[::2]]
        measure.walk(reader, plan, done=done, keep=rows.append)
    assert rows == straight[1::2]
    assert len(reader.asked) == len(rows)
