"""What annotators are told, and the program that needs no telling."""

import pytest
from fixtures.critics import chains

from burnish.critique import annotate as module
from burnish.critique.annotate import annotate, hint
from burnish.critique.grammar import parse
from burnish.critique.planted import planted_solutions
from burnish.critique.players import ProgramPlayer
from burnish.critique.wording import Wording


def solutions(origin="inserted"):
    found = [s for s in planted_solutions(chains(10), right_frac=0, seed=0) if not s.right]
    return [type(s)(**{**vars(s), "origin": origin}) for s in found]


def check_hints(hint):
    for origin, step, kind in (("sampled", False, False), ("located", True, False),
                               ("inserted", True, True)):  # fmt: skip
        told = hint(solutions(origin)[0])
        assert "reference answer is" in told
        assert ("first wrong step" in told, "type of the error" in told) == (step, kind)


def test_hints_by_origin():
    check_hints(hint)


def test_planted_hints_that_tell_all():
    with pytest.raises(AssertionError):
        check_hints(lambda s: hint(type(s)(**{**vars(s), "origin": "inserted"})))


def test_a_model_is_told_and_a_program_is_not():
    seen = []
    model = ProgramPlayer(function=lambda wish: seen.append(wish.prompt) or "x")
    annotate(solutions(), model, Wording(), name="critiques")
    assert all("Do not tell it" in prompt for prompt in seen)
    written = annotate(solutions(), None, Wording(), name="critiques")
    assert all(parse(one.text) is not None for one in written)
    assert module.SCRIPTED == "scripted"
