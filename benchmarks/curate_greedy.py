"""Claim: the exact walk over 20,000 x 576 takes under 7 s on two cores, whatever its block.

Random unit vectors with planted near-duplicates; medians of interleaved repeats. Beside it: DEITA's
batched rule and distilabel's pool-wide rule (each in our own words), and how many rows each keeps.
"""

import argparse
import time
from typing import Any

import numpy as np
from recording import median, save

from burnish.base.rng import stream
from burnish.curate.greedy import budget_curve, greedy
from burnish.curate.rivals import deita_rule, distilabel_rule

THRESHOLD = 0.945


def vectors(num: int, width: int) -> np.ndarray:
    """Rows of which a third repeat an earlier one, some closer and some farther than the limit."""
    rng = stream(0, "greedy")
    rows = rng.normal(size=(num, width)).astype(np.float32)
    for i in range(0, num, 3):
        source = int(rng.integers(0, num))
        rows[i] = rows[source] + rng.uniform(0.1, 0.6) * rows[i]
    return rows


def main() -> None:
    """Time all rules in turns."""
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=20_000)
    options.add_argument("--width", type=int, default=576)
    options.add_argument("--repeats", type=int, default=5)
    given = options.parse_args()
    rows = vectors(given.rows, given.width)
    arms: dict[str, Any] = {
        "exact, blocks of 512": lambda: greedy(rows, threshold=THRESHOLD).chosen,
        "exact, blocks of 64": lambda: greedy(rows, threshold=THRESHOLD, block_rows=64).chosen,
        "exact, nothing falls": lambda: greedy(rows, threshold=2.0).chosen,
        "five thresholds": lambda: list(
            budget_curve(rows, thresholds=(0.8, 0.9, 0.945, 0.97, 0.99))
        ),
        "deita, batches of 1024": lambda: deita_rule(rows, threshold=THRESHOLD, batch_rows=1024),
        "distilabel": lambda: distilabel_rule(rows, threshold=THRESHOLD),
    }
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    kept: dict[str, Any] = {}
    for _ in range(given.repeats):
        for name, arm in arms.items():
            started = time.perf_counter()
            kept[name] = arm()
            seconds[name].append(time.perf_counter() - started)
    exact = set(kept["exact, blocks of 512"].tolist())
    assert exact == set(kept["exact, blocks of 64"].tolist())
    found = {
        name: {"seconds": median(values), "num_kept": len(kept[name])}
        for name, values in seconds.items()
    }
    for name in ("deita, batches of 1024", "distilabel"):
        found[name]["lost_of_the_exact"] = len(exact - set(kept[name].tolist()))
    save("curate_greedy", {"rows": given.rows, "width": given.width, "arms": found})


if __name__ == "__main__":
    main()
