"""Filters on planted critiques: useful, useless and leaking ones."""

import pytest
from fixtures.critics import chain_in, chains

from burnish.base.rng import stream
from burnish.critique import filtering
from burnish.critique.annotate import annotate
from burnish.critique.filtering import filter_triples
from burnish.critique.filters import FilterSettings, leaks
from burnish.critique.planted import planted_solutions
from burnish.critique.players import ProgramPlayer
from burnish.critique.triples import Triple
from burnish.critique.wording import Wording
from burnish.data.chains import plant, worked

WORDING = Wording(form="compact")
PLAN = FilterSettings(num_refinements=6, min_right=3, min_gain=0.5)


def follows(wish):
    """A refiner that gets it right where the critique names the right line."""
    chain = chain_in(wish.prompt)
    critique = wish.prompt.split("\ncheck\n", 1)[1]
    if any(f" > {line} no" in critique for line in chain.steps()):
        return worked(chain.steps())
    return worked(plant(chain, 0, "calculation", stream(0, wish.id)))


def planted():
    solutions = [s for s in planted_solutions(chains(30), right_frac=0.2, seed=0)
                 if s.kind not in ("skipped",)]  # fmt: skip
    written = annotate(solutions, None, WORDING, name="critiques")
    useful = [Triple(id=f"u{i}", solution=s, critique=w.text)
              for i, (s, w) in enumerate(zip(solutions, written, strict=True))]  # fmt: skip
    wrong = [t for t in useful if not t.solution.right]
    useless = [Triple(id=f"v{i}", solution=t.solution, critique="it is wrong")
               for i, t in enumerate(wrong)]  # fmt: skip
    telling = [Triple(id=f"w{i}", solution=t.solution, critique=f"it is {t.solution.task.answer}")
               for i, t in enumerate(wrong)]  # fmt: skip
    return useful, useless, [t for t in telling if leaks(t)]


def check_caught():
    useful, useless, telling = planted()
    useful = [t for t in useful if not leaks(t)]
    every = [*useful, *useless, *telling]
    kept, numbers = filter_triples(every, ProgramPlayer(function=follows), PLAN, WORDING)
    assert {t.id for t in kept} == {t.id for t in useful}
    assert numbers["num_leaking"] == len(telling) and numbers["num_useless"] == len(useless)
    assert numbers["rate_with"] > numbers["rate_placebo"]


def test_planted_useless_and_leaking_critiques_are_caught():
    check_caught()


def test_planted_filter_that_keeps_all(monkeypatch):
    monkeypatch.setattr(filtering, "is_kept", lambda right, other, settings: True)
    with pytest.raises(AssertionError):
        check_caught()


def test_a_leak_may_be_masked():
    _, _, telling = planted()
    plan = FilterSettings(kind="none", leaks="mask")
    kept, _ = filter_triples(telling, ProgramPlayer(function=follows), plan, WORDING)
    assert len(kept) == len(telling) and not any(leaks(t) for t in kept)
