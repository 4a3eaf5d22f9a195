"""Non-negative least squares against scipy's."""

import numpy as np
import pytest
from scipy.optimize import nnls

from burnish.scaling import projection


def check_scipy(nonnegative):
    rng = np.random.default_rng(5)
    for num_params in (1, 2, 3, 4):
        basis = rng.standard_normal((20, 11, num_params))
        found, rest = nonnegative(basis)
        for one, x, left in zip(basis, found, rest, strict=True):
            wanted, norm = nnls(one, np.ones(11))
            assert x == pytest.approx(wanted, abs=1e-8)
            assert left == pytest.approx(norm**2, abs=1e-8)


def test_equals_scipy():
    check_scipy(projection.nonnegative)


def test_planted_clipping():
    def clipped(basis):
        found = np.stack([np.linalg.lstsq(b, np.ones(11), rcond=None)[0] for b in basis])
        found = np.maximum(found, 0)
        return found, np.square(np.einsum("gnt,gt->gn", basis, found) - 1).sum(axis=1)

    with pytest.raises(AssertionError):
        check_scipy(clipped)
