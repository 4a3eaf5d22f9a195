"""Rewards by hand."""

import itertools

import pytest

from burnish.sandbox.reward import RewardScheme
from burnish.sandbox.verdict import Status, worst

S = Status
PAPER = {S.ACCEPTED: 1.0, S.WRONG_ANSWER: -0.3, S.RUNTIME_ERROR: -0.6, S.COMPILE_ERROR: -1.0}
ROWS = [
    ([S.ACCEPTED, S.ACCEPTED], 1.0),
    ([S.ACCEPTED, S.WRONG_ANSWER], -0.3),
    ([S.RUNTIME_ERROR, S.WRONG_ANSWER, S.ACCEPTED], -0.6),
    ([S.ACCEPTED, S.TIME_LIMIT], -0.6),
    ([S.MEMORY_LIMIT, S.PRESENTATION_ERROR], -0.6),
    ([S.OUTPUT_LIMIT], -0.6),
    ([S.SECURITY_VIOLATION, S.ACCEPTED], -1.0),
    ([S.ACCEPTED, S.INFRASTRUCTURE_ERROR], None),
    ([S.COMPILE_ERROR, S.INFRASTRUCTURE_ERROR], None),
]


def check_worst_stage(reward):
    for statuses, value in ROWS:
        for order in itertools.permutations(statuses):
            assert reward(order) == value, order


def test_rewards_of_the_paper():
    assert {s: RewardScheme().of(s) for s in PAPER} == PAPER


def test_worst_stage_by_hand():
    check_worst_stage(RewardScheme().of_tests)


@pytest.mark.parametrize("pick", [-1, 0])
def test_planted_reward_of_one_test(pick):
    """The official code keeps the reward of the last test alone."""
    with pytest.raises(AssertionError):
        check_worst_stage(lambda statuses: RewardScheme().of(statuses[pick]))


def test_values_are_settings():
    assert RewardScheme(failed=0.0, limited=-0.2).of_tests([S.WRONG_ANSWER, S.TIME_LIMIT]) == -0.2


def test_no_tests_are_no_success():
    assert worst([]) is S.INFRASTRUCTURE_ERROR
