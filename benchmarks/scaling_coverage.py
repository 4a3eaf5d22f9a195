"""Claim: 90% intervals of a fit cover a planted truth in 85 to 95% of replicas; where not, why.

Chinchilla's law with 0.5% noise on a grid of 36 (or 12) runs, fitted under least squares and under
Huber's default delta of 1e-3. Told are the coverage of alpha, beta, sigma and a, and the ratio of
the bootstrap's standard deviation (median over replicas) to that of the estimates over replicas:
above 1 the bootstrap scatters more than new data would. Finished cells of 50 replicas are kept: a
run that was cut off goes on. 200 replicas take about five minutes on one core.
"""

import argparse
from typing import Any

import numpy as np
from recording import RESULTS, save

from burnish.base.log import RecordLog
from burnish.base.stats import percentile_interval, wilson
from burnish.scaling.analyse import num_widened
from burnish.scaling.fitting import fit_law
from burnish.scaling.laws import laws
from burnish.scaling.settings import FitSettings

TRUTH = {"A": 400.0, "B": 2000.0, "alpha": 0.34, "beta": 0.37, "sigma": 1.8}
NAMES = ("alpha", "beta", "sigma", "a")
GRIDS = {36: (6, 6), 12: (4, 3)}
NOISE, CELL, CONFIDENCE = 0.005, 50, 0.9


def grid(num_runs: int) -> dict[str, np.ndarray]:
    """Sizes and tokens of the runs."""
    sizes, tokens = GRIDS[num_runs]
    n, d = np.meshgrid(np.geomspace(1e7, 1e9, sizes), np.geomspace(2e8, 2e10, tokens))
    return {"n": n.ravel(), "d": d.ravel(), "c": 6 * n.ravel() * d.ravel()}


def wanted(natural: np.ndarray) -> np.ndarray:
    """The four quantities of parameter vectors."""
    alpha, beta, sigma = natural[:, 2], natural[:, 3], natural[:, 4]
    return np.stack([alpha, beta, sigma, beta / (alpha + beta)])


def replica(columns: dict[str, np.ndarray], settings: FitSettings) -> dict[str, Any]:
    """One data set: estimates, deviations of the draws, and which intervals hold the truth."""
    law = laws.parse("chinchilla")
    truth = law.theta(TRUTH)[None]
    noise = np.random.default_rng(settings.seed).standard_normal(len(columns["n"]))
    loss = np.exp(law.surface(columns).evaluate(truth)[0][0] + NOISE * noise)
    fit = fit_law(law, columns, loss, settings)
    draws, right = wanted(law.natural(fit.draws)), wanted(law.natural(truth))[:, 0]
    num = {"num_units": len(loss), "num_fitted": num_widened(fit, settings)}
    ends = [percentile_interval(d, **num, confidence=CONFIDENCE) for d in draws]
    return {
        "estimate": wanted(law.natural(fit.theta[None]))[:, 0].tolist(),
        "deviation": draws.std(axis=1).tolist(),
        "covers": [bool(low <= t <= high) for (low, high), t in zip(ends, right, strict=True)],
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Coverage and the ratio of deviations, by quantity."""
    estimates, deviations, covers = (
        np.array([row[name] for row in rows]) for name in ("estimate", "deviation", "covers")
    )
    ratio = np.median(deviations, axis=0) / estimates.std(axis=0)
    shares = [wilson(int(hits), len(rows)).to_dict() for hits in covers.sum(axis=0)]
    return {name: {"coverage": share, "deviation_ratio": float(one)}
            for name, share, one in zip(NAMES, shares, ratio, strict=True)}  # fmt: skip


def main() -> None:
    """Fit all replicas that are missing, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=200)
    asked = parser.parse_args()
    found = {}
    with RecordLog(RESULTS / "scaling_coverage.cells.jsonl") as log:
        done = {(r["runs"], r["delta"], r["resamples"], r["first"]): r["rows"] for r in log.read()}
        for num_runs in GRIDS:
            for delta in (0.0, 1e-3):
                rows: list[dict[str, Any]] = []
                for first in range(0, asked.replicas, CELL):
                    key = (num_runs, delta, asked.resamples, first)
                    if key not in done:
                        given = {"delta": delta, "resamples": asked.resamples}
                        done[key] = [replica(grid(num_runs), FitSettings(seed=seed, **given))
                                     for seed in range(first, first + CELL)]  # fmt: skip
                        names = ("runs", "delta", "resamples", "first")
                        log.append(dict(zip(names, key, strict=True)) | {"rows": done[key]})
                    rows += done[key]
                found[f"{num_runs} runs, delta {delta:g}"] = summary(rows[: asked.replicas])
    save("scaling_coverage", found)


if __name__ == "__main__":
    main()
