"""Filters of critiques, against planted leaks."""

import pytest
from fixtures.critics import chains

from burnish.base.errors import SettingError
from burnish.critique import filters
from burnish.critique.filters import (
    FilterSettings,
    is_kept,
    leaks,
    masked,
    shuffled,
    tells,
)
from burnish.critique.planted import planted_solutions
from burnish.critique.triples import Triple


def test_the_counterfactual_refuses_what_a_placebo_does_too():
    settings = FilterSettings()
    assert is_kept(8, 2, settings) and not is_kept(8, 7, settings) and not is_kept(2, 0, settings)
    assert is_kept(8, 7, FilterSettings(kind="rate"))
    with pytest.raises(SettingError):
        FilterSettings(min_right=11)


def triples(words):
    solutions = [s for s in planted_solutions(chains(30), right_frac=0, seed=0) if not s.right]
    return [Triple(id=str(i), solution=s, critique=words(s)) for i, s in enumerate(solutions)]


def check_leaks(leaks):
    leaking = triples(lambda s: f"the result should be {s.task.answer}")
    sound = triples(lambda s: "step 2 is wrong")
    known = [
        t
        for t in leaking
        if not tells(t.solution.task.prompt + t.solution.text, t.solution.task.answer)
    ]
    assert len(known) > 20 and all(leaks(t) for t in known)
    assert not any(leaks(t) for t in sound)


def test_planted_leaks_are_found():
    check_leaks(leaks)


def test_planted_audit_by_text_only(monkeypatch):
    monkeypatch.setattr(filters, "tells", lambda text, answer: f" {answer}\n" in text)
    with pytest.raises(AssertionError):
        check_leaks(leaks)


def test_masked_critiques_tell_nothing():
    text = "the result is 1,234, not 12; 1234 again, or 1234.0"
    assert not tells(masked(text, "1234"), "1234") and "12" in masked(text, "1234")
    assert masked("it is Monday", "monday") == "it is ?"


def test_shuffled_takes_another_tasks_critique():
    rows = triples(lambda s: s.task.id)
    assert all(c != t.critique for c, t in zip(shuffled(rows), rows, strict=True))
    assert shuffled(rows[:1]) == [""]
