"""Choice of the fastest number format by a short probe; the user may overrule it."""

import functools
import time

import torch
import torch.nn.functional as F

from burnish.base.errors import SettingError
from burnish.kernels.build import build

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
BITS = {"int8": 8, "int4": 4}  # of a weight; rows, keys and values are fp32 then


@functools.cache
def probe() -> dict[str, float]:
    """Seconds of one small matrix product in each format: the best of several short runs."""
    times = {}
    for name, dtype in DTYPES.items():
        rows, weight = torch.ones(8, 1024, dtype=dtype), torch.ones(4096, 1024, dtype=dtype)
        best = float("inf")
        for _ in range(8):
            start = time.perf_counter()
            F.linear(rows, weight)
            best = min(best, time.perf_counter() - start)
        times[name] = best
    return times


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
