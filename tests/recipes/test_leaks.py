"""The gate "not leaked": planted leaks fail it, none pass it, chance is taken off."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burnish.base.records import read_json
from burnish.contracts.task import Task
from burnish.data.overlap import Overlap, Seen, overlaps
from burnish.data.tasks import make_task
from burnish.recipes.steps import leaks
from burnish.recipes.steps.leaks import leaked_frac, not_leaked

MARGIN = 0.02


def sums(low: int, num: int) -> list[Task]:
    pairs = ((low + index, 2 * index + 13) for index in range(num))
    return [
        make_task(f"What is {a} + {b}?", str(a + b), group="sums", checker="number")
        for a, b in pairs
    ]


def gate_of(learned: list[Task], heldout: list[Task], dev: list[Task]) -> Any:
    seen = Seen((task.prompt, task.answer) for task in learned)
    found = leaked_frac(overlaps(heldout, seen), overlaps(dev, seen))
    return not_leaked(found, margin=MARGIN)


HELDOUT, DEV, TRAIN = sums(1000, 240), sums(3000, 120), sums(6000, 300)


def renamed(task: Task) -> Task:
    a, b = task.prompt.removeprefix("What is ").removesuffix("?").split(" + ")
    text = f"Ada owned {a} stamps. A friend gave her {b} more; how many has she now?"
    return replace(task, prompt=text)


def test_none_planted_passes() -> None:
    found = gate_of(TRAIN, HELDOUT, DEV)
    assert found.outcome == "pass" and found.value == 0 and found.n == 240


@pytest.mark.parametrize("planted", ["same", "renamed"])
def test_twenty_planted_leaks_fail(planted: str) -> None:
    leaks = HELDOUT[:20] if planted == "same" else [renamed(task) for task in HELDOUT[:20]]
    found = gate_of([*TRAIN, *leaks], HELDOUT, DEV)
    assert found.outcome == "fail" and found.value == pytest.approx(-20 / 240)


def test_what_chance_shares_is_taken_off() -> None:
    """Renamed development tasks are as frequent as renamed held-out ones: no leak."""
    alike = [renamed(task) for task in (*HELDOUT[:48], *DEV[:24])]
    found = gate_of([*TRAIN, *alike], HELDOUT, DEV)
    assert found.value == pytest.approx(0) and found.outcome == "undetermined"


def test_a_development_task_in_training_excuses_no_leak() -> None:
    found = gate_of([*HELDOUT[:20], *DEV[:20]], HELDOUT, DEV)
    assert found.outcome == "fail"


def test_planted_blindness_to_renaming(monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.data import overlap

    monkeypatch.setattr(overlap, "_problem", lambda text, answer: ())
    with pytest.raises(AssertionError):
        test_twenty_planted_leaks_fail("renamed")


def test_the_job_tells_what_it_learned_from(finished: Path) -> None:
    result = read_json(finished / "result.json")
    chosen = next(r for r in result["rounds"] if r["round"] == result["chosen_round"])
    assert result["leaked"]["num_learned"] == chosen["num_selected"] > 0
    assert result["leaked"]["heldout"] == {} and result["leaked"]["value"]["n"] == 24


def test_the_table_shows_what_overlaps() -> None:
    found = [
        Overlap(task_id="a", kind="", containment=0.1),
        Overlap(task_id="b", kind="near", containment=0.87654, trained="two and two"),
    ]
    tasks = [make_task(f"what is {i}?", str(i), group="g") for i in range(2)]
    (table,) = leaks._pairs(found, tasks)
    assert table.rows == [["near", "what is 1?", "two and two", 0.877]]
    assert leaks._pairs(found[:1], tasks[:1]) == []
