"""Claim: Epoch's 240 points are fitted in under 0.2 s, 1,000 bootstraps in under 6 s.

And at least 100 times as fast as a multi-start grid at an equal or better objective. Ours, then two
peers on the same points: a grid of starts with L-BFGS-B and numerical gradients, as Epoch's notes
does it (`--starts` of its 4,500 are timed, the rest is extrapolated), and PyPI `chinchilla` 0.2.0
in a virtual environment of its own (`--peer PYTHON`, with its default grid reduced to `--grid`
values a parameter). Points: ../shared/data/scaling/epoch-chinchilla.
"""

import argparse
import csv
import itertools
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from recording import median, save
from scipy.optimize import minimize
from scipy.special import huber, logsumexp

from burnish.scaling.fit import fit_law, make_objective
from burnish.scaling.laws import laws
from burnish.scaling.settings import FitSettings

DATA = Path(__file__).parents[2] / "shared/data/scaling/epoch-chinchilla/svg_extracted_data.csv"
ALL_STARTS = 4500
PEER = """
import sys, json, time, tempfile
import numpy as np, pandas as pd
from chinchilla import Chinchilla
points, grid = json.loads(sys.argv[1]), int(sys.argv[2])
with tempfile.TemporaryDirectory() as place:
    frame = pd.DataFrame({"C": [6 * n * d for n, d, _ in points], "N": [p[0] for p in points],
                          "D": [p[1] for p in points], "loss": [p[2] for p in points]})
    frame.to_csv(place + "/df.csv", index=False)
    span = lambda low, high: list(np.linspace(low, high, grid))
    model = Chinchilla(place, param_grid={"e": span(-1, 1), "a": span(0, 25), "b": span(0, 25),
                                          "alpha": span(0.1, 1), "beta": span(0.1, 1)},
                       seed_ranges={"C": (1e18, 1e20), "N_to_D": (5, 50)})
    started = time.perf_counter()
    model.fit(parallel=False)
    seconds = time.perf_counter() - started
    found = {k: float(getattr(model, k)) for k in ("E", "A", "B", "alpha", "beta")}
print("RESULT" + json.dumps({"seconds": seconds, "params": found}))
"""


def points() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The 240 points of lowest loss."""
    with DATA.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("Model Size", "Training FLOP", "loss")
    n, c, loss = (np.array([float(row[name]) for row in rows]) for name in names)
    keep = np.argsort(loss)[:240]
    return {"n": n[keep], "d": (c / (6 * n))[keep]}, loss[keep]


def timed(work: Any, repeats: int) -> tuple[Any, list[float]]:
    """What `work` gives, and its seconds each time."""
    seconds, found = [], None
    for _ in range(repeats):
        started = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - started)
    return found, seconds


def multi_start(columns: dict[str, np.ndarray], loss: np.ndarray, num: int) -> dict[str, Any]:
    """Epoch's way: a grid of starts, L-BFGS-B, numerical gradients."""
    log_n, log_d, target = np.log(columns["n"]), np.log(columns["d"]), np.log(loss)

    def objective(x: np.ndarray) -> float:
        a, b, e, alpha, beta = x
        parts = [a - alpha * log_n, b - beta * log_d, np.full_like(log_n, e)]
        return 1e3 * float(huber(1e-3, target - logsumexp(parts, axis=0)).sum())

    grid = list(itertools.product(range(0, 30, 5), range(0, 30, 5), np.arange(-1, 1.5, 0.5),
                                  np.arange(0, 2.5, 0.5), np.arange(0, 2.5, 0.5)))  # fmt: skip
    assert len(grid) == ALL_STARTS
    picks = np.random.default_rng(0).choice(len(grid), num, replace=False)
    started = time.perf_counter()
    values = [minimize(objective, grid[i], method="L-BFGS-B").fun for i in picks]
    seconds = time.perf_counter() - started
    return {"num_starts": num, "seconds": seconds, "objective": min(values) / 1e3,
            "seconds_for_all": seconds * ALL_STARTS / num}  # fmt: skip


def peer(python: str, columns: dict[str, np.ndarray], loss: np.ndarray, grid: int) -> Any:
    """PyPI `chinchilla` in another environment."""
    rows = [[float(a), float(b), float(c)] for a, b, c in
            zip(columns["n"], columns["d"], loss, strict=True)]  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(
            [python, "-c", PEER, json.dumps(rows), str(grid)],
            capture_output=True, text=True, cwd=place, env={"PATH": "", "MPLBACKEND": "agg"},
        )  # fmt: skip
    lines = [x for x in done.stdout.splitlines() if x.startswith("RESULT")]
    return json.loads(lines[0][6:]) if lines else {"failed": done.stderr[-400:]}


def main() -> None:
    """Time all sides and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--starts", type=int, default=90)
    parser.add_argument("--grid", type=int, default=3)
    parser.add_argument("--peer", default="", help="python that has chinchilla")
    asked = parser.parse_args()
    columns, loss = points()
    law = laws.parse("chinchilla")
    plain, draws = FitSettings(resamples=0), FitSettings(resamples=1000)
    fit, seconds = timed(lambda: fit_law(law, columns, loss, plain), asked.repeats)
    _, whole = timed(lambda: fit_law(law, columns, loss, draws), max(2, asked.repeats // 3))
    found: dict[str, Any] = {
        "ours": {"objective": fit.objective, "params": fit.natural, "seconds": median(seconds)},
        "ours_with_1000_bootstraps": median(whole),
        "multi_start": multi_start(columns, loss, asked.starts),
    }
    many = found["multi_start"]["seconds_for_all"]
    found["times_as_fast_as_multi_start"] = many / float(np.median(seconds))
    if asked.peer:
        other = peer(asked.peer, columns, loss, asked.grid)
        if "params" in other:
            params = {"sigma": other["params"].pop("E"), **other["params"]}
            score = make_objective(law.surface(columns), loss, np.ones((1, len(loss))), plain)
            other["objective"] = float(score(law.theta(params)[None], np.zeros(1, dtype=int))[0][0])
            other["times_as_long"] = other["seconds"] / float(np.median(seconds))
        found["chinchilla"] = other
    print(json.dumps(found, indent=2))
    save("scaling_fit", found, peers=["scipy", *(["chinchilla 0.2.0"] if asked.peer else [])])


if __name__ == "__main__":
    main()
