"""Refinement: identities, planted probabilities, and failures that are counted."""

import re
from dataclasses import replace

import pytest
from fixtures.critics import actor, chains, critic

from burnish.base.stats import wilson
from burnish.critique import refinement as module
from burnish.critique.frontier import summarise
from burnish.critique.ledger import Gated
from burnish.critique.players import ProgramPlayer
from burnish.critique.refinement import RefineSettings, first_answers, refine
from burnish.critique.wording import Wording

WORDING = Wording(form="compact")
PLAN = RefineSettings(num_paths=4, num_rounds=3)


def run(settings=PLAN, num=150, critic=critic(), actor=actor()):  # noqa: B008
    return refine(chains(num), actor, critic, settings, WORDING, seed=3)


def check_closed_form():
    rounds = run(actor=actor(stays=0.5))
    start = sum(t.right for t in rounds[0]) / len(rounds[0])
    planted = Gated(right=start, passes=0.8, flags=0.7, stays=0.5, fixes=0.4)
    for number, turns in enumerate(rounds):
        found = wilson(sum(t.right for t in turns), len(turns), confidence=0.999)
        assert found.low <= planted.after(number) <= found.high, number


def test_the_closed_form_matches_the_pipeline():
    check_closed_form()


def test_planted_gate_that_is_always_open(monkeypatch):
    monkeypatch.setattr(module, "_acts", lambda turn, gate: True)
    with pytest.raises(AssertionError):
        check_closed_form()


def test_no_critic_is_self_consistency_bit_for_bit():
    tasks = chains(20)
    assert refine(tasks, actor(), None, PLAN, WORDING, seed=3) == [
        first_answers(tasks, actor(), PLAN, seed=3)
    ]


def test_a_critic_that_always_says_correct_changes_nothing():
    rounds = run(critic=critic(passes=1.0, flags=0.0), num=20)
    for turns in rounds[1:]:
        assert [t.text for t in turns] == [t.text for t in rounds[0]]
        assert not any(t.acted for t in turns)


def test_the_oracle_never_falls_and_is_an_upper_bound():
    rounds = run(replace(PLAN, gate="oracle"), num=40)
    rights = [sum(t.right for t in turns) for turns in rounds]
    assert rights == sorted(rights)


def test_always_revises_everything():
    assert all(t.acted for t in run(replace(PLAN, gate="always"), num=5)[1])


def test_an_unparsable_critique_keeps_the_answer():
    mumble = ProgramPlayer(function=lambda wish: "hm")
    rounds = run(critic=mumble, num=10)
    assert {t.state for t in rounds[1]} == {"unparsable"}
    assert [t.text for t in rounds[-1]] == [t.text for t in rounds[0]]


def test_a_refinement_that_copies_is_counted():
    def copy(wish):
        text = actor().function(wish)
        return module.steps_of("") or (
            wish.prompt.split("\n", 1)[1].split("\ncheck")[0]
            if wish.prompt.endswith("again")
            else text
        )

    rounds = run(replace(PLAN, gate="always"), num=10, actor=ProgramPlayer(function=copy))
    assert all(t.copied for t in rounds[1])
    assert sum(t.tokens for t in rounds[1]) > 0


def check_leaks():
    """A critic that tells the result; where task or answer hold it, nothing is given away."""
    results = {t.prompt: t.answer for t in chains(40)}
    tell = ProgramPlayer(
        function=lambda wish: f"answer > it is {results[wish.prompt.split(chr(10))[0]]} no"
    )
    rounds = run(replace(PLAN, num_rounds=1), num=40, critic=tell)
    answers = {task.id: task.answer for task in chains(40)}
    prompts = {task.id: task.prompt for task in chains(40)}
    for before, turn in zip(rounds[0], rounds[1], strict=True):
        known = re.findall(r"-?\d+", f"{prompts[turn.task_id]}\n{before.text}")
        known = {int(n) for n in known} | {abs(int(n)) for n in known}
        assert turn.leaked <= (not before.right)
        assert turn.leaked or int(answers[turn.task_id]) in known
    told = summarise(chains(40), rounds, dict.fromkeys(answers, 1), margin=0.01)
    assert told["num_leaking"] == sum(t.leaked for t in rounds[1]) > 20
    assert not any(t.leaked for t in rounds[0])
    assert not any(t.leaked for t in run(replace(PLAN, num_rounds=1), num=20)[1])


def test_critiques_that_tell_the_reference_are_counted():
    check_leaks()


def test_planted_leaks_of_the_revision(monkeypatch):
    """The audit reads the answer in place of the critique."""
    exact = module.gives_away
    monkeypatch.setattr(module, "gives_away", lambda critique, task, text: exact(text, task, ""))
    with pytest.raises(AssertionError):
        check_leaks()
