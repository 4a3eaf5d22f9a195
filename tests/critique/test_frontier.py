"""Accuracy against tokens: levels, equal tokens, and what is printed of critics."""

import pytest
from fixtures.critics import actor, chains, critic

from burnish.critique import frontier
from burnish.critique.frontier import (
    compare,
    equal_votes,
    ladder,
    levels_of,
    mean_tokens,
    summarise,
)
from burnish.critique.refinement import RefineSettings, Turn, first_answers, refine
from burnish.critique.wording import Wording

WORDING = Wording(form="compact")
PLAN = RefineSettings(num_paths=4, num_rounds=2)


def turn(task, right, tokens=1, **fields):
    base = {"path": 0, "round": 0, "text": "", "verdict": "right" if right else "wrong"}
    answer = "a" if right else "b"
    return Turn(
        task_id=task, right=right, answer_class=answer, actor_tokens=tokens, **base, **fields
    )


def test_levels_are_fifths_of_pass_rates():
    turns = [turn(str(i), j < i) for i in range(10) for j in range(10)]
    levels = levels_of(turns)
    assert levels["9"] == 1 and levels["0"] == 5
    assert sorted(levels.values()) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def check_equal():
    plain = [turn("t", True, tokens=10)]
    revised = [turn("t", True, tokens=5, critic_tokens=7, prefilled_tokens=18)]
    assert mean_tokens([plain, revised]) == 40
    assert equal_votes(4, [plain, revised]) == 16


def test_equal_tokens_by_hand():
    check_equal()


def test_planted_tokens_without_prefill(monkeypatch):
    monkeypatch.setattr(frontier.Turn, "tokens", property(lambda self: self.actor_tokens))
    with pytest.raises(AssertionError):
        check_equal()


def test_one_path_is_pass_at_one():
    tasks = chains(30)
    rounds = refine(tasks, actor(), critic(), PLAN, WORDING, seed=1)
    plain = first_answers(tasks, actor(), RefineSettings(num_paths=16), seed=1)
    rows = compare(tasks, rounds, plain, levels_of(plain), seed=0)
    assert [row["k"] for row in rows] == [1, 2, 4]
    rate = sum(t.right for t in rounds[-1]) / len(rounds[-1])
    assert rows[0]["refined"]["value"] == pytest.approx(rate)
    assert all(row["plain_votes"] > row["k"] for row in rows)
    assert set(rows[0]["by_level"]) == {"1", "2", "3", "4", "5"}


def test_numbers_of_the_critic_are_apart():
    tasks = chains(120)
    rounds = refine(tasks, actor(), critic(), PLAN, WORDING, seed=1)
    numbers = summarise(tasks, rounds, levels_of(rounds[0]), margin=0.01)
    assert numbers["detection"]["value"] == pytest.approx(0.7, abs=0.08)
    assert numbers["false_alarm"]["value"] == pytest.approx(0.2, abs=0.08)
    assert numbers["helpfulness"]["value"] == pytest.approx(0.4, abs=0.1)
    assert numbers["states"] == {"sound": 120 * 4 * 2}
    assert numbers["tokens"]["critic"] > 0 and len(numbers["flips"]) == 2


def test_ladder():
    assert ladder(1) == [1] and ladder(6) == [1, 2, 4, 6] and ladder(8) == [1, 2, 4, 8]
