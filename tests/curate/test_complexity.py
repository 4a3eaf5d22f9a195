"""Expectations by hand; the head at its optimum; files."""

import numpy as np
import pytest

from burnish.base.errors import InputError, ModelError
from burnish.base.meter import Meter
from burnish.base.rng import stream
from burnish.curate import complexity
from burnish.curate.complexity import (
    BUNDLED,
    BUNDLED_SIZES,
    expected_level,
    fit_head,
    fit_sizes,
    load_scorer,
    save_scorer,
    score_texts,
)


def check_expectations():
    assert expected_level(np.zeros((1, 6)))[0] == pytest.approx(2.5)
    assert expected_level(np.full((1, 6), 700.0))[0] == pytest.approx(2.5)
    for level in range(6):
        assert expected_level(1000 * np.eye(6)[[level]])[0] == pytest.approx(level)
    logits = np.log(np.array([[0.5, 0.25, 0.25]]))
    assert expected_level(logits)[0] == pytest.approx(0.75)
    assert expected_level(logits + 3)[0] == pytest.approx(0.75)


def test_expectations_by_hand():
    check_expectations()


def test_planted_levels_from_one(monkeypatch):
    original = complexity.expected_level
    monkeypatch.setitem(globals(), "expected_level", lambda logits: original(logits) + 1)
    with pytest.raises(AssertionError):
        check_expectations()


def planted(num=300, width=5):
    rng = stream(4, "head")
    levels = rng.integers(0, 6, num)
    states = rng.normal(size=(num, width)) + 0.8 * levels[:, None] * np.eye(width)[0]
    return states, levels


def test_the_head_is_at_its_optimum():
    """The gradient by finite differences of the loss, written down here again, is zero."""
    states, levels = planted()
    found = fit_head(states, levels, penalty=0.05)
    rows = (states - found.mean) / found.scale

    def loss(weight, bias):
        logits = rows @ weight.T + bias
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return -logits[np.arange(len(rows)), levels].mean() + 0.025 * (weight**2).sum()

    for i, j in ((0, 0), (2, 3), (5, 4)):
        step = np.zeros_like(found.weight)
        step[i, j] = 1e-4
        up, down = (loss(found.weight + s * step, found.bias) for s in (1, -1))
        assert abs(up - down) / 2e-4 < 2e-4
    fresh, wanted = planted(num=200)
    assert np.corrcoef(found.score(fresh), wanted)[0, 1] > 0.6


def test_the_regression_is_at_its_optimum():
    """Least squares with the penalty as further rows, by another solver."""
    states, levels = planted()
    sizes = np.exp(levels + stream(5, "noise").normal(size=len(levels)))
    found = fit_sizes(states, sizes, penalty=0.3)
    rows = (states - states.mean(0)) / states.std(0)
    wanted = np.log(sizes)
    more = np.sqrt(0.3 * len(rows)) * np.eye(rows.shape[1])
    target = np.concatenate([wanted - wanted.mean(), np.zeros(len(more))])
    weight = np.linalg.lstsq(np.concatenate([rows, more]), target, rcond=None)[0]
    assert found.weight[0] == pytest.approx(weight, abs=1e-4)
    assert found.score(states) == pytest.approx(rows @ weight + wanted.mean(), abs=1e-3)


def test_a_file_keeps_the_scorer(tmp_path):
    states, levels = planted()
    found = fit_head(states, levels)
    save_scorer(found, tmp_path / "a" / "scorer.npz")
    assert load_scorer(tmp_path / "a" / "scorer.npz").score(states) == pytest.approx(
        found.score(states), abs=1e-4
    )
    for data in (b"PK", b"PK\x03\x04" + b"x" * 90, b"", b"{}"):
        (tmp_path / "no.npz").write_bytes(data)
        with pytest.raises(InputError):
            load_scorer(tmp_path / "no.npz")


def test_bundled_scorers_can_be_read():
    """Six levels from one file, a size from the other, and both say what they learned from."""
    for path, num_rows in ((BUNDLED, 6), (BUNDLED_SIZES, 1)):
        found = load_scorer(path)
        assert found.weight.shape == (num_rows, 576) and "MIT" in found.info["seeds"]
        assert np.isfinite(found.score(np.ones((2, 576)))).all()


def test_a_scorer_of_another_model_is_refused(tiny_folder):
    from dataclasses import replace

    from burnish.models.handle import ModelHandle

    states, levels = planted(width=28)
    scorer = replace(fit_head(states, levels), backbone="another")
    handle = ModelHandle(str(tiny_folder()), precision="fp32")
    with pytest.raises(ModelError):
        score_texts(scorer, handle, ["a"], Meter())
    found = score_texts(replace(scorer, backbone=handle.key), handle, ["sum", " ", "sum"], Meter())
    assert np.isnan(found[1]) and found[0] == found[2] and 0 <= found[0] <= 5
