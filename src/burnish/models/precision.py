"""Choice of the fastest number format by a short probe; the user may overrule it."""

import functools
import time

import torch
import torch.nn.functional as F

from burnish.base.errors import SettingError
from burnish.kernels.build import build

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
BITS = {"int8": 8, "int4": 4}  # of a weight; rows, keys and values are fp32 then


NUM_ROWS = (8, 128)  # as in a decode step, and as in a prompt or in training


@functools.cache
def probe() -> dict[str, float]:
    """Seconds of two small matrix products in each format: the best of several short runs.

    Few rows alone would mislead: without instructions for bf16, half the memory traffic makes up
    for slow arithmetic there, and prompts and training take several times as long.
    """
    return {name: sum(_seconds(dtype, num) for num in NUM_ROWS) for name, dtype in DTYPES.items()}


def _seconds(dtype: torch.dtype, num_rows: int) -> float:
    rows, weight = torch.ones(num_rows, 1024, dtype=dtype), torch.ones(4096, 1024, dtype=dtype)
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        F.linear(rows, weight)
        best = min(best, time.perf_counter() - start)
    return best


def choose_precision(precision: str, device: torch.device) -> tuple[torch.dtype, int | None]:
    """The type of rows, and the bits of a weight where weights are quantised.

    `auto` takes bf16 where it is at least 1.2x faster than fp32; it never quantises.
    """
    if precision in DTYPES:
        return DTYPES[precision], None
    if precision in BITS:
        _check_quantised(precision, device)
        return torch.float32, BITS[precision]
    if precision != "auto":
        names = ", ".join(("auto", *DTYPES))
        raise SettingError(
            "precision",
            precision,
            f"must be {names}, {' or '.join(BITS)}",
            remedy="auto probes the machine",
        )
    if device.type != "cpu":
        return torch.bfloat16, None
    times = probe()
    fast = times["bf16"] * 1.2 < times["fp32"]
    return (torch.bfloat16 if fast else torch.float32), None


def trainable_precision(precision: str) -> str:
    """The precision in which to train a model that answers in `precision`: not quantised."""
    return "auto" if precision in BITS else precision


def _check_quantised(precision: str, device: torch.device) -> None:
    built = build()
    if device.type == "cpu" and built.library is not None:
        return
    reason = built.reason if device.type == "cpu" else f"the device is {device}"
    raise SettingError(
        "precision",
        precision,
        f"needs burnish's compiled kernels on a CPU ({reason})",
        remedy="Install a C compiler (gcc), or use bf16",
    )
