"""Critical batch size: steps and examples that reach a loss, and learning rates at a batch."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from burnish.base.errors import InputError, SettingError
from burnish.base.rng import stream
from burnish.base.stats import percentile_interval
from burnish.contracts.law import Column
from burnish.scaling.table import Table, numbers_in, parse_columns

STEP_COLUMNS: Mapping[str, Sequence[str]] = {
    "batch": ("batchsize", "batchtokens", "examples"),
    "steps": ("numsteps", "stepstoloss", "stepstogoal"),
}
AROUND = (0.125, 0.25, 0.5, 1, 2, 4, 8)  # batches over the noise scale, at which rates are told


def tells_steps(table: Table, columns: str) -> bool:
    """Whether a table has steps, or a column whose name is nearly that: it is then suggested.

    Source: ours. Oracle: tests/scaling/test_critical.py::test_a_table_of_steps_from_the_shell
    """
    names = {*map(str.lower, table.header), *parse_columns(columns)}
    near = difflib.get_close_matches("steps", names - {"step"}, cutoff=0.75)
    return "steps" in names or bool(near and not names & {"step", "sq_norm"})


def steps_in(table: Table, columns: str) -> tuple[Column, Column]:
    """Batches, and the steps that each took to one loss. Raises: InputError, for a bad cell."""
    rows = numbers_in(table, columns, STEP_COLUMNS, ("batch", "steps"), ("batch", "steps"))
    return np.array([row["batch"] for row in rows]), np.array([row["steps"] for row in rows])


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
    s_min, slope = trade_off(batch, steps)
    if s_min <= 0 or slope <= 0:
        rule = "must fall with the batch towards a positive floor"
        remedy = "Train at batches below and above the critical one"
        raise InputError("steps", [s_min, slope], rule, remedy=remedy)
    rng, draws = stream(seed, "scaling", "critical"), []
    for _ in range(resamples):
        pick = rng.integers(0, len(batch), len(batch))
        if len(np.unique(batch[pick])) > 1:
            a, b = trade_off(batch[pick], steps[pick])
            draws.append(b / a if a > 0 else np.inf)
    low, high = percentile_interval(
        np.array(draws), num_units=len(batch), num_fitted=2, confidence=confidence
    )
    return {"critical_batch": slope / s_min, "low": low, "high": high, "min_steps": s_min,
            "min_examples": slope}  # fmt: skip


def trade_off(batch: Column, steps: Column) -> tuple[float, float]:
    """S_min and E_min, by least squares of relative errors; unchecked, for resampling.

    Source: McCandlish et al. 2018, equation 2.11; the weights are ours.
    Oracle: tests/scaling/test_critical.py::test_a_noisy_quadratic_has_this_trade_off
    """
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


def rates_near(noise_scale: float, rate: str) -> list[dict[str, float]]:
    """Best learning rates at batches around the noise scale, from one that is known.

    `rate` is RATE@BATCH, the best rate at a batch in the units of the noise scale; `sgd` follows
    equation 2.7 of McCandlish et al., `adam` Li et al. Raises: SettingError.
    Source: ours. Oracle: tests/scaling/test_critical.py::test_rates_pass_through_the_known_one
    """
    lr, _, batch = rate.partition("@")
    try:
        known, at = float(lr), float(batch)
    except ValueError:
        known = at = 0.0
    if not (0 < known < np.inf and 0 < at < np.inf):
        rule = "must be RATE@BATCH, both above zero"
        raise SettingError("--lr", rate, rule, remedy="Write --lr 0.002@4096")
    sizes, one = noise_scale * np.array(AROUND), np.array([at])
    told = [known * law(1.0, sizes, noise_scale) / law(1.0, one, noise_scale)
            for law in (sgd_lr, adam_lr)]  # fmt: skip
    return [{"batch": float(size), "sgd": float(sgd), "adam": float(adam)}
            for size, sgd, adam in zip(sizes, *told, strict=True)]  # fmt: skip
