"""Plans of a fine-tuning: a planted law gives its optimum, and noise keeps the default."""

from dataclasses import replace

import numpy as np
import pytest

from burnish.scaling import tuning
from burnish.scaling.tuning import LAW, Cell, Option, Terms, make_cells, plan_tuning, untold

PLANTED = {"A": 0.8, "B": 2.0, "alpha": 0.7, "beta": 0.5, "sigma": 0.3}
CELLS = make_cells(160, 3, 32)
OPTIONS = [Option(num_samples=k, num_examples=600 * (1 - 0.8**k), sampling_tokens=12_000 * k)
           for k in range(1, 9)]  # fmt: skip
TERMS = Terms(step_tokens=3840)
DEFAULT = (OPTIONS[7], 10)


def planted_loss(steps, examples):
    return 0.8 / steps**0.7 + 2.0 / examples**0.5 + 0.3


def losses(noise, num_tasks=40, seed=0):
    rng = np.random.default_rng(seed)
    law = np.array([planted_loss(cell.steps, cell.examples) for cell in CELLS])
    tasks = rng.normal(0, 0.2, (num_tasks, 1))
    return law + tasks + rng.normal(0, noise, (num_tasks, len(CELLS)))


def best_by_hand(budget):
    """The optimum by trying all: every number of samples with every number of steps."""
    found = []
    for option in OPTIONS:
        most = int((budget - option.sampling_tokens) / TERMS.step_tokens)
        passes = max(cell.steps / cell.examples for cell in CELLS)
        most = min(most, int(passes * option.num_examples + 1))
        found += [(planted_loss(steps, option.num_examples), option.num_samples, steps)
                  for steps in range(1, most + 1)]  # fmt: skip
    return min(found)


def check_planted():
    found = plan_tuning(CELLS, losses(0.0), OPTIONS, DEFAULT, TERMS)
    usual = 8 * 12_000 + 10 * TERMS.step_tokens
    loss, num_samples, num_steps = best_by_hand(usual)
    assert found.plan is not None and found.default is not None and found.regret is not None
    assert (found.plan.num_samples, found.plan.num_steps) == (num_samples, num_steps)
    assert found.plan.tokens <= usual == found.default.tokens
    regret = planted_loss(10, OPTIONS[7].num_examples) - loss
    assert found.regret.value == pytest.approx(regret, rel=0.02)
    assert found.regret.low > 0 and found.rmse_log_loss == pytest.approx(0.0, abs=0.01)


def test_a_planted_optimum_is_planned():
    check_planted()


def test_the_interval_holds_the_regret():
    covered = 0
    for seed in range(4):
        noisy = losses(0.05, seed=seed)
        found = plan_tuning(CELLS, noisy, OPTIONS, DEFAULT, replace(TERMS, seed=seed))
        assert found.best is not None and found.regret is not None
        true = planted_loss(10, OPTIONS[7].num_examples) - planted_loss(
            found.best.num_steps, found.best.num_examples
        )
        covered += found.regret.low <= true <= found.regret.high
    assert covered >= 3


def test_the_design_identifies_the_law():
    assert len(CELLS) == 9 and untold(CELLS, 40) == ""
    assert {cell.examples for cell in CELLS} == {40, 80, 160}
    assert Cell(steps=15, examples=160) in CELLS  # three passes over 160 answers, 32 a step


@pytest.mark.parametrize(
    ("cells", "num_tasks", "says"),
    [
        (CELLS, 7, "right answers to 7 development tasks"),
        (make_cells(6, 1, 32), 40, "too small for its law: steps takes one value"),
        (CELLS[:5], 40, "examples takes 2 values"),
    ],
)
def test_what_does_not_tell_keeps_the_default(cells, num_tasks, says):
    found = plan_tuning(cells, np.ones((num_tasks, len(cells))), OPTIONS, DEFAULT, TERMS)
    assert found.plan is None and found.regret is None and says in found.why


def test_noise_keeps_the_default():
    flat = 1 + np.random.default_rng(0).normal(0, 0.2, (12, len(CELLS)))
    found = plan_tuning(CELLS, flat, OPTIONS, DEFAULT, TERMS)
    assert found.plan is None
    assert "do not tell" in found.why or "is the best" in found.why


def test_beyond_the_pilot_nothing_is_planned():
    far = (Option(num_samples=8, num_examples=5000, sampling_tokens=96_000), 10)
    assert "raise scaling.pilot_tasks" in plan_tuning(
        CELLS, losses(0.0), OPTIONS, far, TERMS).why  # fmt: skip
    near = plan_tuning(CELLS, losses(0.0), OPTIONS, DEFAULT, replace(TERMS, extrapolate=1.0))
    assert near.plan is None  # the default learns from 499 answers, and the pilot from 160
    wide = plan_tuning(CELLS, losses(0.0), OPTIONS, DEFAULT, replace(TERMS, budget=20.0))
    assert wide.best is not None
    passes = wide.best.num_steps / wide.best.num_examples
    assert passes <= max(cell.steps / cell.examples for cell in CELLS) + 0.01


def test_the_best_default_is_kept():
    _, num_samples, num_steps = best_by_hand(8 * 12_000 + 10 * TERMS.step_tokens)
    default = (OPTIONS[num_samples - 1], num_steps)
    found = plan_tuning(CELLS, losses(0.0), OPTIONS, default, TERMS)
    assert found.plan is None and "is the best" in found.why


def test_planted_plan_that_overspends(monkeypatch):
    exact = tuning._affordable
    monkeypatch.setattr(tuning, "_affordable", lambda fit, cells, option, budget, terms: exact(
        fit, cells, option, 2 * budget, terms))  # fmt: skip
    with pytest.raises(AssertionError):
        check_planted()


def test_planted_law_without_answers(monkeypatch):
    monkeypatch.setattr(tuning, "_columns", lambda cells: {
        "steps": np.array([float(c.steps) for c in cells]),
        "examples": np.array([float(c.steps) for c in cells])})  # fmt: skip
    with pytest.raises(AssertionError):
        check_planted()


def test_parameters_have_names():
    assert set(LAW.params) == set(PLANTED)
