"""Algorithm 1 by hand, and what its settings do."""

import numpy as np
import pytest

from burnish.base.errors import SettingError
from burnish.base.rng import stream
from burnish.curate import picking as module
from burnish.curate.picking import Candidates, joined, normalised, pick
from burnish.curate.settings import PickSettings

NAN = float("nan")


def candidates(num=60, seed=3, runs=0.7):
    rng = stream(seed, "pick")
    quality = rng.random(num)
    quality[rng.random(num) > runs] = NAN
    return Candidates(
        complexity=rng.normal(size=num),
        quality=quality,
        given=np.full(num, NAN),
        empty=[i % 11 == 5 for i in range(num)],
        vectors=rng.normal(size=(num, 3)),
        tokens=rng.integers(5, 60, num),
    )


def by_hand(found, settings):
    """The walk of the paper, one row at a time, from the joined scores."""
    scores = joined(found, settings)
    order = sorted((i for i in range(len(scores)) if not found.empty[i]), key=lambda i: -scores[i])
    unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    walk, left = [], settings.tokens
    for i in order:
        if any(unit[i] @ unit[j] > settings.threshold for j in walk):
            continue
        walk.append(i)
        if settings.budget and len(walk) == settings.budget:
            break
    if settings.budget:
        return walk
    kept = []
    for i in walk:
        if found.tokens[i] <= left:
            kept.append(i)
            left -= found.tokens[i]
    return kept


def check_walk():
    found = candidates()
    for given in ({"budget": 7}, {"budget": 50}, {"tokens": 200}):
        settings = PickSettings(threshold=0.8, **given)
        picked = pick(found, settings)
        assert picked.chosen == by_hand(found, settings)
        reasons = [r["reason"] for r in picked.reasons]
        assert [i for i, r in enumerate(reasons) if r == "chosen"] == sorted(picked.chosen)
        assert [r == "empty" for r in reasons] == found.empty
        assert set(reasons) <= {"chosen", "near", "budget", "empty"}


def test_equals_a_walk_by_hand():
    check_walk()


def test_planted_order_from_the_worst(monkeypatch):
    original = module.joined
    monkeypatch.setattr(module, "joined", lambda *given: -original(*given))
    with pytest.raises(AssertionError):
        check_walk()


def test_normalised_by_hand():
    values = np.array([3.0, NAN, 1.0, 3.0, 9.0])
    assert normalised(values, "rank")[[0, 2, 3, 4]].tolist() == [0.5, 0.125, 0.5, 0.875]
    assert normalised(values, "minmax")[[0, 2, 3, 4]].tolist() == [0.25, 0, 0.25, 1]
    assert np.isnan(normalised(values, "rank")[1])
    assert normalised(5 * values - 2, "minmax")[0] == pytest.approx(0.25)


def ranking(scores, some):
    return np.argsort(-scores[some], kind="stable").tolist()


def test_alpha_at_its_ends_gives_single_rankings():
    found = candidates()
    runs = np.isfinite(found.quality)
    for how in ("rank", "minmax"):
        only_c = joined(found, PickSettings(budget=1, alpha=1, normalise=how))
        only_q = joined(found, PickSettings(budget=1, alpha=0, normalise=how))
        assert ranking(only_c, runs) == ranking(found.complexity, runs)
        assert ranking(only_q, runs) == ranking(found.quality, runs)
        assert ranking(only_q, ~runs) == ranking(found.complexity, ~runs)


def test_a_row_without_quality_is_neither_punished_nor_preferred():
    found = candidates(num=4000, runs=0.5)
    settings = PickSettings(budget=1, alpha=1)
    scores, runs = joined(found, settings), np.isfinite(found.quality)
    assert scores[runs].mean() == pytest.approx(scores[~runs].mean(), abs=0.01)


def test_other_rules():
    found = candidates()
    random = [pick(found, PickSettings(budget=9, rule="random", seed=s)).chosen for s in (1, 1, 2)]
    assert random[0] == random[1] != random[2]
    deita = joined(found, PickSettings(budget=1, rule="deita"))
    product = found.complexity * np.where(np.isfinite(found.quality), found.quality, 1)
    assert deita.tolist() == product.tolist()
    assert len(pick(found, PickSettings(budget=9, rule="deita", threshold=0.9)).chosen) == 9


def test_scores_that_rows_bring():
    found = candidates(num=4)
    found.given = np.array([NAN, 9.0, 8.0, 7.0])
    found.vectors = None
    assert pick(found, PickSettings(budget=2)).chosen == [1, 2]
    found.complexity[:] = NAN
    assert pick(found, PickSettings(budget=9)).reasons[0] == {"reason": "unscored"}


@pytest.mark.parametrize("given", [{}, {"budget": 1, "tokens": 1}, {"budget": 1, "alpha": 2}])
def test_wrong_settings(given):
    with pytest.raises(SettingError):
        PickSettings(**given)
