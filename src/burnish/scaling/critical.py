"""Critical batch size: steps and examples that reach a loss, and learning rates at a batch."""

from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.base.rng import stream
from burnish.base.stats import percentile_interval
from burnish.contracts.law import Column


def critical_batch(
    batch: Column, steps: Column, *, resamples: int = 1000, confidence: float = 0.9, seed: int = 0
) -> dict[str, Any]:
    """S_min, E_min and B_crit = E_min / S_min of (S / S_min - 1)(E / E_min - 1) = 1, E = B S.

    That is S = S_min (1 + B_crit / B): relative least squares of steps on 1 / B, bootstrapped.
    Raises: InputError, for fewer than three batch sizes, or no trade-off.
    Source: McCandlish et al. 2018, arXiv 1812.06162, equation 2.11.
    Oracle: tests/scaling/test_critical.py::test_a_noisy_quadratic_has_this_trade_off
    """
    if len(np.unique(batch)) < 3:
        rule = "must take at least three values"
        raise InputError("batch sizes", len(np.unique(batch)), rule, remedy="Train at more sizes")
    s_min, slope = _fit(batch, steps)
    if s_min <= 0 or slope <= 0:
        rule = "must fall with the batch towards a positive floor"
        remedy = "Train at batches below and above the critical one"
        raise InputError("steps", [s_min, slope], rule, remedy=remedy)
    rng, draws = stream(seed, "scaling", "critical"), []
    for _ in range(resamples):
        pick = rng.integers(0, len(batch), len(batch))
        if len(np.unique(batch[pick])) > 1:
            a, b = _fit(batch[pick], steps[pick])
            draws.append(b / a if a > 0 else np.inf)
    low, high = percentile_interval(
        np.array(draws), num_units=len(batch), num_fitted=2, confidence=confidence
    )
    return {"critical_batch": slope / s_min, "low": low, "high": high, "min_steps": s_min,
            "min_examples": slope}  # fmt: skip


def _fit(batch: Column, steps: Column) -> tuple[float, float]:
    design = np.stack([1 / steps, 1 / (batch * steps)], axis=1)
    found, *_ = np.linalg.lstsq(design, np.ones(len(steps)), rcond=None)
    return float(found[0]), float(found[1])


def sgd_lr(largest: float, batch: Column, noise_scale: float) -> Column:
    """Best learning rate of SGD at a batch: largest / (1 + B_noise / B).

    Source: McCandlish et al. 2018, equation 2.7.
    Oracle: tests/scaling/test_critical.py::test_sgd_rate_is_the_best_step
    """
    return largest / (1 + noise_scale / batch)


def adam_lr(largest: float, batch: Column, noise_scale: float) -> Column:
    """Best learning rate of Adam, largest at B = B_noise and falling on both sides.

    Source: Li et al. 2024, arXiv 2405.14578 (recalled).
    Oracle: tests/scaling/test_critical.py::test_adam_rate_is_largest_at_the_noise_scale
    """
    ratio = np.sqrt(noise_scale / batch)
    return largest * 2 / (ratio + 1 / ratio)
