"""Claim: Epoch's 240 points are fitted in under 0.2 s, 1,000 bootstraps in under 6 s.

And at least 100 times as fast as a multi-start grid at an equal or better objective. In each of
`--rounds` rounds ours runs, then the peers on the same points: a grid of starts with L-BFGS-B and
numerical gradients, as Epoch's notes does it (`--starts` of its 4,500 are timed, the rest is
extrapolated), and PyPI `chinchilla` 0.2.0 in a virtual environment of its own (`--peer PYTHON`).

The peer runs at its best: with Chinchilla's loss (its own default fits the lower envelope), scaled
so that its optimiser does not stop early (a mean of Huber losses of 1e-6 is below its tolerance),
on all cores, from each of `--grids` values a parameter: 1 is the one start at Hoffmann's published
constants, 5 the grid of its documentation. Points: ../shared/data/scaling/epoch-chinchilla.
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

from burnish.scaling.fitting import fit_law, make_objective
from burnish.scaling.laws import laws
from burnish.scaling.settings import FitSettings

DATA = Path(__file__).parents[2] / "shared/data/scaling/epoch-chinchilla/svg_extracted_data.csv"
ALL_STARTS = 4500
PLAIN = FitSettings(resamples=0)
PEER = """
import sys, json, time, tempfile
import numpy as np, pandas as pd
from chinchilla import Chinchilla
from chinchilla._metrics import log_huber
points, grid = json.loads(sys.argv[1]), int(sys.argv[2])
hoffmann = {"e": np.log(1.69), "a": np.log(406.4), "b": np.log(410.7), "alpha": 0.34, "beta": 0.28}
spans = {"e": (-1, 1), "a": (0, 20), "b": (0, 20), "alpha": (0.1, 0.9), "beta": (0.1, 0.9)}
def loss(y_true, y_pred):
    return 1e3 * len(points) * log_huber(y_true, y_pred, delta=1e-3)
def values(name):
    return [hoffmann[name]] if grid == 1 else list(np.linspace(*spans[name], grid))
with tempfile.TemporaryDirectory() as place:
    frame = pd.DataFrame({"C": [6 * n * d for n, d, _ in points], "N": [p[0] for p in points],
                          "D": [p[1] for p in points], "loss": [p[2] for p in points]})
    frame.to_csv(place + "/df.csv", index=False)
    model = Chinchilla(place, param_grid={name: values(name) for name in spans},
                       seed_ranges={"C": (1e18, 1e20), "N_to_D": (5, 50)}, loss_fn=loss,
                       log_level=40)
    started = time.perf_counter()
    model.fit(parallel=grid > 1)
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


def scored(other: dict[str, Any], law: Any, columns: Any, loss: np.ndarray) -> dict[str, Any]:
    """A peer's answer with the objective that its parameters reach."""
    if "params" not in other:
        return other
    params = {"sigma": other["params"].pop("E"), **other["params"]}
    objective = make_objective(law.surface(columns), loss, np.ones((1, len(loss))), PLAIN)
    value = objective(law.theta(params)[None], np.zeros(1, dtype=int))[0][0]
    return other | {"params": params, "objective": float(value)}


def main() -> None:
    """Time all sides in turns, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3, help="of ours in each round")
    parser.add_argument("--starts", type=int, default=30)
    parser.add_argument("--grids", default="1,5")
    parser.add_argument("--peer", default="", help="python that has chinchilla")
    asked = parser.parse_args()
    columns, loss = points()
    law = laws.parse("chinchilla")
    ours: list[float] = []
    whole: list[float] = []
    many: list[dict[str, Any]] = []
    others: dict[str, list[dict[str, Any]]] = {}
    fit = None
    for _ in range(asked.rounds):
        fit, seconds = timed(lambda: fit_law(law, columns, loss, PLAIN), asked.repeats)
        ours += seconds
        whole += timed(lambda: fit_law(law, columns, loss, FitSettings(resamples=1000)), 1)[1]
        many.append(multi_start(columns, loss, asked.starts))
        for grid in asked.grids.split(",") if asked.peer else ():
            one = scored(peer(asked.peer, columns, loss, int(grid)), law, columns, loss)
            others.setdefault(f"{grid} values a parameter", []).append(one)
    assert fit is not None
    quick = float(np.median(ours))
    found: dict[str, Any] = {
        "ours": {"objective": fit.objective, "params": fit.natural, "seconds": median(ours)},
        "ours_with_1000_bootstraps": median(whole),
        "multi_start": many,
        "times_as_fast_as_multi_start":
            float(np.median([one["seconds_for_all"] for one in many])) / quick,
        "chinchilla": others,
        "times_as_fast_as_chinchilla": {
            name: float(np.median([one["seconds"] for one in rows])) / quick
            for name, rows in others.items() if all("seconds" in one for one in rows)
        },
    }  # fmt: skip
    print(json.dumps(found, indent=2))
    save("scaling_fit", found, peers=["scipy", *(["chinchilla 0.2.0"] if asked.peer else [])])


if __name__ == "__main__":
    main()
