"""The order of training: whole epochs, passes within bounds, and a function of the seed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from fixtures.training import SETTINGS, make_examples

from burnish.base.errors import InputError
from burnish.train.examples import Example, Step, plan_steps
from burnish.train.settings import TrainSettings

Plan = Callable[[Sequence[Example], TrainSettings], list[Step]]


def members(step: Step) -> list[int]:
    return [index for one in step for index in one]


def check_plan(plan: Plan, num: int) -> None:
    """Every epoch holds each example once, in steps of equal size but for the epoch's last."""
    examples = make_examples(num)
    settings = replace(SETTINGS, epochs=3, examples_per_step=4)
    steps = plan(examples, settings)
    sizes = [4] * (num // 4) + [num % 4] * (num % 4 > 0)
    assert [len(members(step)) for step in steps] == sizes * 3
    for epoch in range(3):
        own = steps[epoch * len(sizes) : (epoch + 1) * len(sizes)]
        assert Counter(i for step in own for i in members(step)) == Counter(range(num))
    for one in (one for step in steps for one in step):
        assert sum(len(examples[i].prompt) + len(examples[i].answer) for i in one) <= 24


@pytest.mark.parametrize("num", [1, 4, 11, 40])
def test_every_example_once_an_epoch(num: int) -> None:
    check_plan(plan_steps, num)


def test_planted_last_step_dropped() -> None:
    with pytest.raises(AssertionError):
        check_plan(lambda examples, settings: plan_steps(examples, settings)[:-1], 11)


def test_planted_examples_drawn_with_replacement() -> None:
    def drawn(examples: Sequence[Example], settings: TrainSettings) -> list[Step]:
        return [((0, 1), (2, 3))] * len(plan_steps(examples, settings))

    with pytest.raises(AssertionError):
        check_plan(drawn, 40)


@pytest.mark.parametrize("num_steps", [1, 3, 7, 8])
def test_a_number_of_steps_instead_of_epochs(num_steps: int) -> None:
    examples = make_examples(11)  # three steps an epoch
    whole = plan_steps(examples, replace(SETTINGS, epochs=3))
    steps = plan_steps(examples, replace(SETTINGS, epochs=1, num_steps=num_steps))
    assert steps == whole[:num_steps]


def test_order_is_a_function_of_the_seed() -> None:
    examples = make_examples(40)
    steps = plan_steps(examples, SETTINGS)
    assert steps == plan_steps(examples, SETTINGS)
    assert steps != plan_steps(examples, replace(SETTINGS, seed=12))
    first, second = (Counter(members(step)) for step in (steps[0], steps[10]))
    assert first != second  # each epoch has an order of its own


def test_size_of_passes_moves_no_example_to_another_step() -> None:
    examples = make_examples(40)
    small, large = (
        [sorted(members(step)) for step in plan_steps(examples, replace(SETTINGS, pass_tokens=n))]
        for n in (24, 10_000)
    )
    assert small == large


def test_sets_and_examples_that_cannot_be_learned() -> None:
    with pytest.raises(InputError, match="training set must contain an example, got 0"):
        plan_steps([], SETTINGS)
    long = [Example(id="a", prompt=(3,) * 20, answer=(4,) * 5)]
    with pytest.raises(InputError, match="between 1 and 24 tokens, got 25"):
        plan_steps(long, SETTINGS)
    for prompt, answer in [((), (4,)), ((3,), ())]:
        with pytest.raises(InputError, match="example b must have a prompt and an answer"):
            Example(id="b", prompt=prompt, answer=answer)
