"""Position limit and distance limit: the published numbers, and planted ones."""

import json
from typing import Any

import numpy as np
import pytest
from fixtures.recalling import planted_curve

from burnish.base.errors import InputError
from burnish.recall import limits as module
from burnish.recall.geometry import Layout
from burnish.recall.limits import fit_limits, read_curves, share_below

# Llama-3-8B, as published with the paper's code (methods page, section 2)
LENGTHS = [523, 2071, 4134, 4650, 5166, 5682, 6198, 9293]
COPY = [0.999, 1.000, 0.999, 0.845, 0.502, 0.229, 0.092, 0.069]
LM = [0.509, 0.527, 0.527, 0.437, 0.280, 0.129, 0.066, 0.050]


def published() -> dict[str, Any]:
    rows = zip(LENGTHS, COPY, LM, strict=True)
    points = [{"length": n, "copy": {"value": c}, "lm": {"value": m}} for n, c, m in rows]
    return {"mode": "paper", "points": points}


def check_published() -> None:
    found = fit_limits(published())
    assert abs(found["position_limit"] - 8940) <= 10
    assert found["cause"] == "position"
    assert found["r2"] > 0.999
    assert found["r2_lm"] > 0.998
    assert found["rmse"] < 0.01
    assert found["distance_r2"] < 0.9


def test_refit_of_the_published_curve() -> None:
    check_published()


def test_planted_formula_without_the_half(monkeypatch: Any) -> None:
    """Judged at the last position only, the limit comes out elsewhere and fits worse."""

    def whole(layout: Layout, lengths: Any, limits: np.ndarray) -> np.ndarray:
        return (np.array([2 * n for n in lengths]) < limits[:, None]).astype(float)

    monkeypatch.setattr(module, "share_below", whole)
    with pytest.raises(AssertionError):
        check_published()


def test_share_below_is_the_formula() -> None:
    lengths, limits = [9, 40, 523], np.array([15, 60, 100, 900])
    found = share_below(Layout(mode="paper"), lengths, limits)
    for i, limit in enumerate(limits):
        for j, length in enumerate(lengths):
            half = -(-length // 2)
            wanted = min(max((limit - 2 * length - 1 + half) / half, 0), 1)
            assert found[i, j] == pytest.approx(wanted)


def test_share_below_counts_rows_in_probe_mode() -> None:
    layout, limits = Layout(mode="probe"), np.arange(50, 900, 37)
    found = share_below(layout, [64, 300, 700], limits)
    for j, length in enumerate([64, 300, 700]):
        rows = np.array(layout.positions(length))
        assert np.allclose(found[:, j], [(rows < limit).mean() for limit in limits])


def ramp(limit: int, lengths: list[int], inside: float, outside: float) -> list[float]:
    shares = share_below(Layout(mode="paper"), lengths, np.array([limit]))[0]
    return [round(outside + (inside - outside) * s, 2) for s in shares]


def check_causes(fit: Any) -> None:
    lengths = list(range(64, 1024, 48))
    position = planted_curve(
        [ramp(1200, lengths, 1.0, 0.1)] * 4, [ramp(1200, lengths, 0.5, 0.1)] * 4, lengths,
        mode="paper",
    )  # fmt: skip
    found = fit(position)
    assert found["cause"] == "position"
    assert abs(found["position_limit"] - 1200) <= 5
    step = [1.0 if n <= 500 else 0.5 for n in lengths]
    distance = planted_curve([step] * 4, [[0.5] * len(lengths)] * 4, lengths, mode="paper")
    found = fit(distance)
    assert found["cause"] == "distance"
    assert found["distance_limit"] <= 500 <= found["distance_high"]
    assert found["distance_high"] - found["distance_limit"] == 47
    flat = [[1.0] * len(lengths)] * 4
    found = fit(planted_curve(flat, [[0.5] * len(lengths)] * 4, lengths, mode="paper"))
    assert (found["cause"], found["position_limit"], found["distance_limit"]) == ("none",) + (
        None,
    ) * 2


def test_planted_causes_are_told_apart() -> None:
    check_causes(fit_limits)


def test_planted_fits_exchanged(monkeypatch: Any) -> None:
    position, distance = module.fit_position, module.fit_distance
    monkeypatch.setattr(module, "fit_position", distance)
    monkeypatch.setattr(module, "fit_distance", position)
    with pytest.raises(AssertionError):
        check_causes(fit_limits)


def test_the_interval_holds_the_planted_limit() -> None:
    lengths, rng = list(range(64, 1024, 48)), np.random.default_rng(8)
    copy = [np.clip(np.array(ramp(1200, lengths, 0.95, 0.1)) + e, 0, 1).tolist()
            for e in rng.normal(0, 0.03, (6, len(lengths)))]  # fmt: skip
    lm = [np.clip(np.array(ramp(1200, lengths, 0.5, 0.1)) + e, 0, 1).tolist()
          for e in rng.normal(0, 0.03, (6, len(lengths)))]  # fmt: skip
    found = fit_limits(planted_curve(copy, lm, lengths, mode="paper"))
    assert found["position_low"] <= 1200 <= found["position_high"]
    assert 1 < found["position_high"] - found["position_low"] < 100


@pytest.mark.parametrize(
    "curve", [{}, {"points": 3}, {"points": published()["points"][:3], "mode": "paper"},
              {"points": [{"length": 5}]},
              {"mode": "paper", "points": published()["points"][::-1]}],
)  # fmt: skip
def test_what_is_no_curve_is_refused(curve: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="curve must"):
        read_curves(curve)


def test_failed_lengths_are_left_out() -> None:
    curve = published()
    curve["points"].insert(3, {"length": 4400, "copy": None, "lm": None})
    assert abs(fit_limits(json.loads(json.dumps(curve)))["position_limit"] - 8940) <= 10
