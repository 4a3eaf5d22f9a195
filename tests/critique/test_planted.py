"""The planted-error bench: exact labels, and what a perfect and a blind critic score."""

from collections import Counter

import numpy as np
import pytest
from fixtures.critics import chains

from burnish.critique import planted
from burnish.critique.grammar import State, read, render, steps_of
from burnish.critique.planted import measure_critic, planted_solutions, scripted_critique
from burnish.data.chains import chain_of


def reads(solutions, mode="first_error"):
    found = []
    for one in solutions:
        text = render(scripted_critique(one, mode=mode), "compact")
        found.append(read(text, steps_of(one.text), "compact"))
    return found


def check_scores_one(mode="first_error"):
    solutions = planted_solutions(chains(60, steps=5), right_frac=0.3, seed=1)
    numbers = measure_critic(reads(solutions, mode), solutions)
    assert numbers["localisation"]["value"] == 1.0
    assert numbers["discriminability"] == 1.0 and numbers["false_alarm"]["value"] == 0.0
    assert numbers["states"] == {"sound": 60}


@pytest.mark.parametrize("mode", ["first_error", "full"])
def test_a_scripted_critic_scores_one(mode):
    check_scores_one(mode)


def test_planted_label_one_step_late(monkeypatch):
    real = planted.labelled

    def late(*args):
        found = real(*args)
        return type(found)(**{**vars(found), "first_error": (found.first_error or 0) + 1})

    monkeypatch.setattr(planted, "labelled", late)
    with pytest.raises(AssertionError):
        check_scores_one()


def test_places_are_uniform_and_labels_exact():
    solutions = planted_solutions(chains(400, steps=5), right_frac=0.3, seed=2, per_task=2)
    right = sum(one.right for one in solutions)
    assert abs(right / len(solutions) - 0.3) < 0.05
    places = Counter(
        one.first_error for one in solutions if one.kind != "skipped" and not one.right
    )
    counts = np.array([places[i] for i in range(5)])
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 18.5  # chi-squared, p = 0.001
    for one in solutions:
        truth = chain_of(one.task).steps()
        lines = steps_of(one.text)
        differ = [i for i, line in enumerate(lines) if i >= len(truth) or line != truth[i]]
        assert (differ[0] if differ else -1) == one.first_error or one.kind == "skipped"


def test_a_critic_that_always_says_correct_scores_a_half():
    solutions = planted_solutions(chains(80), right_frac=0.5, seed=3)
    texts = ["\n".join([*(f"{s} ok" for s in steps_of(o.text)), "answer ok"]) for o in solutions]
    found = [read(t, steps_of(o.text), "compact") for t, o in zip(texts, solutions, strict=True)]
    numbers = measure_critic(found, solutions)
    assert numbers["discriminability"] == 0.5
    assert numbers["chance"] == pytest.approx(1 / 4, abs=0.02)


def test_an_unusable_critique_is_never_right():
    solutions = planted_solutions(chains(20), right_frac=0.5, seed=4)
    found = [read("rubbish", steps_of(one.text), "compact") for one in solutions]
    numbers = measure_critic(found, solutions)
    assert numbers["localisation"]["value"] == 0 and numbers["states"] == {State.UNPARSABLE: 20}
