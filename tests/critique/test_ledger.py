"""Flips and their forecast, against a simulation."""

import numpy as np
import pytest

from burnish.base.errors import SettingError
from burnish.critique import ledger
from burnish.critique.ledger import Gated, count_flips, estimate_chain, flip, forecast, should_stop

PLANTED = Gated(right=0.35, passes=0.8, flags=0.7, stays=0.9, fixes=0.4)


def check_simulation():
    rng = np.random.default_rng(0)
    right = rng.random(200_000) < PLANTED.right
    for number in range(1, 7):
        flagged = np.where(right, rng.random(right.size) > PLANTED.passes,
                           rng.random(right.size) < PLANTED.flags)  # fmt: skip
        kept = np.where(right, rng.random(right.size) < PLANTED.stays,
                        rng.random(right.size) < PLANTED.fixes)  # fmt: skip
        right = np.where(flagged, kept, right)
        assert PLANTED.after(number) == pytest.approx(right.mean(), abs=0.005)


def test_the_closed_form_equals_a_simulation():
    check_simulation()


def test_planted_gain_without_the_gate(monkeypatch):
    monkeypatch.setattr(ledger.Gated, "gain", property(lambda self: self.fixes))
    with pytest.raises(AssertionError):
        check_simulation()


def test_identities():
    nothing = Gated(right=0.4, passes=1, flags=0, stays=0.5, fixes=0.5)
    assert nothing.after(5) == 0.4  # a critic that always says Correct
    assert forecast(0.2, 0.3, 0.1, 1000) == pytest.approx(0.75)
    with pytest.raises(SettingError):
        forecast(1.2, 0, 0, 1)


def test_flips_and_stop():
    rows = [(False, True, False)] * 3 + [(False, False, True)] * 5 + [(True, False, False)]
    flips = count_flips([rows + [(True, True, True)] * 9 + [(False, False, False)]])
    assert flips[0] == {"WR": 3, "RW": 1, "WW": 5, "RR": 9, "WW'": 1, "RR'": 0}
    chain = estimate_chain(flips)
    assert chain["fix_rate"]["value"] == pytest.approx(3 / 9)
    assert chain["limit"] == pytest.approx((3 / 9) / (3 / 9 + 1 / 10))
    assert not should_stop(0.4, flips, margin=0.01) and should_stop(0.76, flips, margin=0.01)
    assert flip(True, True, False) == "RR'"
