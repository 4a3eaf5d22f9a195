"""No text of a model is run as a program by a scorer."""

import inspect
import re

import pytest

from burnish.contracts.task import Verdict
from burnish.data.checkers import judge
from burnish.data.checkers import reasoning_gym as gym_checker
from burnish.data.grammar import GRAMMARS, is_harmless
from burnish.data.gym import datasets
from burnish.data.sources.reasoning_gym import ReasoningGymSource

PROGRAMS = [
    "__import__('pathlib').Path({path!r}).touch()",
    "[open({path!r}, 'w')]",
    "exec(chr(111)+chr(112)+'en({path!r}, \"w\")')",
    "[x for x in [open({path!r}, 'w')]]",
    "open({path!r}, 'w') or 24",
]
BOMBS = [
    "9**9**9",
    "9**(9**9)",
    "((9**99)**99)**99",
    "9**(99*99*99)",
    "9**99999",
    "99999999!",
    "x" * 500,
]
SUMS = ["2*x + C", "x**2/2 - 3*x + C", "sin(x)**2*exp(-x)/3", "(x + 1)**3", "x**(3/2)", "log(x)"]


def check_no_program_runs(folder):
    for dataset in GRAMMARS:
        made = ReasoningGymSource(dataset=dataset, size=1).load(0)[0]
        for number, program in enumerate(PROGRAMS):
            path = folder / f"{dataset}-{number}"
            text = program.format(path=str(path))
            assert judge(text, made).verdict != Verdict.RIGHT
            assert not path.exists(), (dataset, text)


def test_no_planted_program_runs(tmp_path):
    check_no_program_runs(tmp_path)


def test_planted_open_door(tmp_path, monkeypatch):
    monkeypatch.setattr(gym_checker, "is_harmless", lambda dataset, answer: True)
    with pytest.raises(AssertionError):
        check_no_program_runs(tmp_path)


@pytest.mark.parametrize("text", BOMBS)
def test_towers_of_powers_are_refused(text):
    for dataset in ("simple_integration", "polynomial_multiplication", "countdown"):
        assert not is_harmless(dataset, text), dataset


def test_the_largest_power_is_a_thousand():
    for text, harmless in (("9**99", True), ("(x**30)**30", True), ("(x**40)**40", False)):
        assert is_harmless("simple_integration", text) == harmless, text


@pytest.mark.parametrize("text", SUMS)
def test_ordinary_expressions_pass(text):
    assert is_harmless("simple_integration", text)


@pytest.mark.parametrize("dataset", sorted(GRAMMARS))
def test_every_reference_passes(dataset):
    for made in ReasoningGymSource(dataset=dataset, size=20).load(1):
        unsolved = "Integral(" in made.answer  # repeats the problem, and is refused on purpose
        assert is_harmless(dataset, made.answer) is not unsolved, made.answer


def test_all_scorers_that_evaluate_are_known():

    evaluating = {
        name
        for name, (dataset, _) in datasets().items()
        if re.search(
            r"\b(?:eval|exec|parse_expr|sympify)\(", inspect.getsource(dataset.score_answer)
        )
    }
    assert evaluating - {"number_sorting"} == set(GRAMMARS)  # it evaluates its own reference only
