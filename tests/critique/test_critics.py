"""Players by their spec, and files of triples."""

import pytest
from fixtures.critics import chains

from burnish.base.errors import InputError
from burnish.contracts.generation import Sampling
from burnish.critique import critics
from burnish.critique.critics import read_triples, scripted_critic
from burnish.critique.grammar import read, steps_of
from burnish.critique.planted import planted_solutions
from burnish.critique.players import Wish
from burnish.critique.wording import Wording


def check_never_wrong(form):
    solutions = planted_solutions(chains(20), right_frac=0.4, seed=0)
    wording = Wording(form=form)
    critic = scripted_critic([one.task for one in solutions], wording)
    wishes = [
        Wish(id=f"{one.task.id}/{i}", sampling=Sampling(),
             prompt=wording.critique_prompt(one.task.prompt, one.text))
        for i, one in enumerate(solutions)
    ]  # fmt: skip
    for one, text in zip(solutions, critic.write("critiques", wishes), strict=True):
        found = read(text.text, steps_of(one.text), form)
        assert found.usable and found.critique.right == one.right


@pytest.mark.parametrize("form", ["full", "compact"])
def test_a_scripted_critic_is_never_wrong(form):
    check_never_wrong(form)


def test_planted_critic_that_reads_the_problem(monkeypatch):
    monkeypatch.setattr(critics.Wording, "solution_in", lambda self, prompt, problem: problem)
    with pytest.raises(AssertionError):
        check_never_wrong("compact")


def test_rows_that_are_no_triples_are_named(tmp_path):
    path = tmp_path / "triples.jsonl"
    path.write_text('{"id": "a"}\n')
    with pytest.raises(InputError, match="row 1"):
        read_triples(path)
    path.write_text("")
    with pytest.raises(InputError):
        read_triples(path)
