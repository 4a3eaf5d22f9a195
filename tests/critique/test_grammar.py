"""Critiques are written and read back; malformed ones are states of their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.critique import grammar
from burnish.critique.grammar import Critique, State, StepVerdict, parse, read, render, steps_of

words = st.text("abc 123+=-", min_size=1, max_size=12).map(str.strip).filter(bool)
steps = st.lists(st.builds(StepVerdict, sentence=words, right=st.booleans(), why=words), max_size=4)
critiques = st.builds(Critique, steps=steps.map(tuple), right=st.booleans(), why=words)


@given(critiques, st.sampled_from(["full", "compact"]))
def test_read_is_the_inverse_of_render(critique, form):
    sentences = [step.sentence for step in critique.steps]
    if form == "compact" and "answer" in sentences:
        return
    if form == "compact" and any(s.right and s.why == s.sentence for s in critique.steps):
        return  # that a step stands beside itself is no explanation
    assert parse(render(critique, form), form) == critique


def test_steps_that_contain_the_mark():
    steps = (StepVerdict(sentence="3 > 2", right=True),
             StepVerdict(sentence="2 > 3", right=False, why="2 < 3"))  # fmt: skip
    critique = Critique(steps=steps, right=False)
    text = render(critique, "compact")
    assert text == "3 > 2 > 3 > 2 ok\n2 > 3 > 2 < 3 no\nanswer no"
    found = read(text, ["3 > 2", "2 > 3"], "compact")
    assert (found.state, found.critique) == (State.SOUND, critique)


def test_the_compact_form():
    steps = (StepVerdict(sentence="a", right=True), StepVerdict(sentence="b", right=False, why="c"),
             StepVerdict(sentence="d", right=False))  # fmt: skip
    critique = Critique(steps=steps, right=False, why="e")
    assert render(critique, "compact") == "a > a ok\nb > c no\nd no\nanswer > e no"
    assert parse("a > a ok\nb > c no\nd no\nanswer > e no", "compact") == critique
    assert parse("a ok\nanswer ok", "compact") == Critique(
        steps=(StepVerdict(sentence="a", right=True),), right=True)  # fmt: skip


GOOD = "1+1=2 > 1+1=2 ok\n2+2=5 > 2+2=4 no\nanswer no"
STATES = [
    (GOOD, State.SOUND),
    ("1+1=2 ok\n2+2=5 ok\nanswer ok", State.SOUND),
    ("1+1=2 > 1+1=3 no\nanswer no", State.SOUND),
    ("1+1=2 > 1+1=3 no\nanswer ok", State.CONTRADICTS),
    ("1+1=2 ok\n2+2=5 no\nanswer ok", State.CONTRADICTS),
    ("1+1=2 ok\n2+2=5 ok\nanswer no", State.CONTRADICTS),
    ("1+1=2 ok\n9+9=9 no\nanswer no", State.RAMBLES),
    ("1+1=2 ok\nanswer ok", State.RAMBLES),
    ("1+1=2 ok\n1+1=2 ok\n2+2=5 no\nanswer no", State.RAMBLES),
    ("1+1=2 ok\n2+2=5 no", State.UNPARSABLE),
    ("Well, it is fine.", State.UNPARSABLE),
    (GOOD + "\nand more", State.UNPARSABLE),
    ("", State.UNPARSABLE),
]


def check_states(read):
    for text, state in STATES:
        assert read(text, ["1+1=2", "2+2=5"], "compact").state == state, text


def test_states_of_planted_texts():
    check_states(read)


def test_planted_contradictions_that_pass(monkeypatch):
    monkeypatch.setattr(grammar.Critique, "first_error", property(lambda self: -1))
    with pytest.raises(AssertionError):
        check_states(read)


def test_the_published_form_with_several_lines():
    text = (
        "Step sentence: a\nCorrectness of the step: Wrong.\nExplanation: one\ntwo\n\n"
        "Correctness of the final answer: wrong\nExplanation: so"
    )
    critique = parse(text)
    assert critique.steps[0].why == "one\ntwo" and not critique.right
    assert critique.first_error == 0


def test_steps_are_lines():
    assert steps_of("1+1=2\n\n 2+2=4 \n#### 4") == ["1+1=2", "2+2=4"]
