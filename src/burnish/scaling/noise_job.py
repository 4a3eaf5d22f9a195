"""`burnish scaling noise`: noise scale of measured norms, or critical batch of steps to a loss."""

from pathlib import Path
from typing import Any

from burnish.base.errors import SettingError
from burnish.scaling.critical import critical_batch, rates_near, steps_in, tells_steps
from burnish.scaling.noise_scale import (
    estimate_noise,
    noise_by_part,
    norms_in,
    pairs_from_rows,
    read_norms,
)
from burnish.scaling.table import read_table


def measure_noise(
    path: Path,
    *,
    columns: str = "",
    block: int = 1,
    confidence: float = 0.95,
    rate: str | None = None,
) -> dict[str, Any]:
    """Noise scale with its quarters, and learning rates around it where one is known (`rate`).

    A table of batches and steps to one loss gives the critical batch.
    Raises: InputError, MissingFileError; SettingError, for a rate that is none or has no use.
    Source: `noise_scale` and `critical_batch`.
    Oracle: tests/scaling/test_noise_scale.py::test_noise_of_a_real_run,
    tests/scaling/test_critical.py::test_a_table_of_steps_from_the_shell
    """
    table = None if path.is_dir() else read_table(path)
    if table is not None and tells_steps(table, columns):
        steps = steps_in(table, columns)
        if rate is not None:
            rule, remedy = "needs gradient norms", "Leave --lr out for a table of steps"
            raise SettingError("--lr", rate, rule, remedy=remedy)
        return critical_batch(*steps, confidence=confidence)
    rows = read_norms(path, columns) if table is None else norms_in(table, columns)
    found = estimate_noise(pairs_from_rows(rows), block=block, confidence=confidence)
    if rate is not None:
        scale = found["noise_scale"]
        found["learning_rates"] = rates_near(scale, rate) if scale else []
    return found | {"parts": noise_by_part(rows, block=block, confidence=confidence)}
