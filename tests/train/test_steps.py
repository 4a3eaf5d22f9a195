"""Sources of steps: every item once, in passes of equal size, and the same after a resumption."""

from collections.abc import Callable
from typing import Any

import pytest
from fixtures.training import SETTINGS, make_examples

from burnish.train.examples import plan_steps
from burnish.train.steps import BatchSource, IndexedSteps, StreamedSteps, example_steps


class Circle:
    """Examples one after another, for ever."""

    def __init__(self) -> None:
        self.examples, self.at = make_examples(), 0

    def take(self) -> Any:
        self.at += 1
        return self.examples[(self.at - 1) % len(self.examples)]

    def state_dict(self) -> dict[str, Any]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.at = state["at"]


def streamed() -> StreamedSteps:
    return StreamedSteps(Circle(), num_steps=6, items_per_step=5, items_per_pass=2)


def planned() -> IndexedSteps:
    examples = make_examples()
    return example_steps(examples, plan_steps(examples, SETTINGS))


def told(source: BatchSource, num: int) -> list[Any]:
    found = []
    for _ in range(num):
        batch = source.take()
        passes = [[item.id for item in one.items] for one in batch.passes]
        found.append((passes, batch.num_terms, batch.num_rows, source.num_rows))
    return found


def check_resumed(make: Callable[[], BatchSource]) -> None:
    straight = told(make(), 6)
    for num in range(6):
        first, second = make(), make()
        begun = told(first, num)
        second.load_state_dict(first.state_dict())
        assert second.num_rows == first.num_rows
        assert begun + told(second, 6 - num) == straight


@pytest.mark.parametrize("make", [planned, streamed])
def test_resumed_sources_go_on(make: Callable[[], BatchSource]) -> None:
    check_resumed(make)


def test_planted_cursor_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Circle, "load_state_dict", lambda self, state: None)
    with pytest.raises(AssertionError):
        check_resumed(streamed)


def test_a_step_holds_what_was_asked() -> None:
    examples, found = make_examples(), told(streamed(), 6)
    assert [[len(one) for one in passes] for passes, *_ in found] == [[2, 2, 1]] * 6
    ids = [name for passes, *_ in found for one in passes for name in one]
    assert ids == [examples[i % 11].id for i in range(30)]
    chosen = [examples[i] for i in range(5)]
    assert found[0][1:3] == (sum(len(e.answer) for e in chosen), sum(map(len, chosen)))
    assert found[5][3] == sum(len(examples[i % 11]) for i in range(30))
