"""Flawed solutions of three origins, against the program that verifies steps."""

import pytest
from fixtures.critics import actor, answer_of, chain_in, chains

from burnish.base.errors import SettingError
from burnish.base.rng import stream
from burnish.critique import flaws
from burnish.critique.flaws import (
    FlawSettings,
    inserted_by,
    inserted_solutions,
    located_solutions,
    mixed,
    sampled_solutions,
)
from burnish.critique.grammar import steps_of
from burnish.critique.players import ProgramPlayer
from burnish.data.chains import chain_of, continue_chain, plant, worked

PLAN = FlawSettings(num_samples=4, num_inserted=2)


def continuing(wish):
    """An actor that goes on from a prefix, wrongly half the time."""
    chain = chain_in(wish.prompt)
    rng = stream(0, wish.id)
    if not wish.begin:
        return answer_of(chain, rng.random() < 0.6, rng)
    begun = steps_of(wish.begin)
    value = int(begun[-1].rpartition("=")[2])
    rest = continue_chain(chain, value, len(begun))
    steps = [*begun, *rest]
    if rng.random() < 0.5:
        steps = plant(chain, int(rng.integers(len(begun), len(chain.moves))), "calculation", rng)
    return worked(steps)


def check_prefixes():
    samples = sampled_solutions(chains(30), ProgramPlayer(function=continuing), PLAN, seed=0)
    found = located_solutions(samples, ProgramPlayer(function=continuing), PLAN, seed=0)
    assert len(found) > 10
    for one in found:
        truth = chain_of(one.task).steps()
        lines = steps_of(one.text)
        wrong = next(i for i, line in enumerate(lines) if line != truth[i])
        assert not one.right and one.first_error == wrong and one.origin == "located"


def test_prefixes_are_right():
    check_prefixes()


def test_planted_acceptance_of_what_stays_right(monkeypatch):
    monkeypatch.setattr(flaws, "_goes_wrong", lambda solution, place: True)
    with pytest.raises((AssertionError, StopIteration)):
        check_prefixes()


def test_three_origins():
    tasks = chains(20)
    samples = sampled_solutions(tasks, actor(), PLAN, seed=0)
    texts = [(one.task.id, one.text) for one in samples]
    assert len(set(texts)) == len(texts) and {one.origin for one in samples} == {"sampled"}
    inserted = inserted_solutions(tasks, PLAN, seed=0)
    assert all(not one.right and one.kind and one.first_error >= 0 for one in inserted)
    both = mixed(inserted, [one for one in samples if one.right], 0.3, seed=0)
    assert sum(one.right for one in both) == pytest.approx(0.3 * len(both), abs=1.5)


def test_an_editor_inserts():
    samples = [s for s in sampled_solutions(chains(20), actor(1.0), PLAN, seed=0) if s.right]

    def edit(wish):
        chain = chain_in(wish.prompt)
        at = int(wish.id.split("/")[1])
        return worked(plant(chain, at, "calculation", stream(0, wish.id)))

    found = inserted_by(samples, ProgramPlayer(function=edit), PLAN, seed=0)
    assert len(found) == len(samples) and all(one.origin == "inserted" for one in found)
    idle = ProgramPlayer(function=lambda wish: worked(chain_in(wish.prompt).steps()))
    assert inserted_by(samples, idle, PLAN, seed=0) == []


def test_wrong_share():
    with pytest.raises(SettingError):
        FlawSettings(right_frac=1.0)
