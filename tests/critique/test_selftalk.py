"""Self-talk: serialised, parsed, and masked where a step is wrong."""

import pytest
from fixtures.critics import chains
from hypothesis import given
from hypothesis import strategies as st

from burnish.base.errors import InputError
from burnish.critique import selftalk
from burnish.critique.planted import planted_solutions, scripted_critique
from burnish.critique.selftalk import Thought, corrected, parse_talk, serialise, spans, weave
from burnish.data.chains import chain_of

words = st.text("abc123+=", min_size=1, max_size=8)
thoughts = st.lists(
    st.builds(Thought, step=words, right=st.booleans(), why=words, revised=st.just("") | words),
    min_size=1,
    max_size=5,
)


@given(thoughts)
def test_parse_is_the_inverse(chain):
    assert parse_talk(serialise(chain)) == chain


def woven():
    for one in planted_solutions(chains(20), right_frac=0.2, seed=0):
        if one.kind == "skipped":
            continue
        critique = scripted_critique(one, mode="first_error")
        done = len(critique.steps) - (critique.first_error >= 0)
        yield one, weave(critique, chain_of(one.task).steps()[done:])


def check_masks():
    for one, chain in woven():
        wrong = [span.text for span in spans(chain) if not span.learned]
        assert len(wrong) == (not one.right)
        learned = "".join(span.text for span in spans(chain) if span.learned)
        assert all(text not in learned for text in wrong)


def test_wrong_steps_are_not_learned_from():
    check_masks()


def test_planted_masks_that_are_off(monkeypatch):
    real = selftalk.Span
    monkeypatch.setattr(selftalk, "Span", lambda text, learned: real(text=text, learned=True))
    with pytest.raises(AssertionError):
        check_masks()


def test_levels_of_correction_end_right():
    for one, chain in woven():
        right = "\n".join(chain_of(one.task).steps())
        assert corrected(chain, "step") == right
        assert corrected(chain, "trajectory").endswith(right)
        assert parse_talk(corrected(chain, "self-talk")) == chain


def test_marks_inside_a_step_are_refused():
    with pytest.raises(InputError, match="must not hold"):
        serialise([Thought(step="a<check>", right=True)])
    assert parse_talk("no marks") is None and parse_talk("a<check>Perhaps</check>") is None
