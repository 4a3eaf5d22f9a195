"""Claim: laws fitted to the smaller runs predict the largest within 1% in the median.

Each set is split by training compute: the lowest two thirds are fitted, the top third is predicted.
Sets that ship with the tests (Gadre on three corpora, OLMo's ladder, Clark's routers) always run;
Epoch's digitised points and Step Law's tuned minima only beside ../shared. Each source's own split
and published error stand beside ours.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recording import save

from burnish.base.errors import InputError
from burnish.scaling.holdout import holdout_error
from burnish.scaling.laws import laws
from burnish.scaling.runs import Runs
from burnish.scaling.settings import FitSettings

SETTINGS = FitSettings(resamples=0)
HERE = Path(__file__).parents[1]
FIXTURES, SHARED = HERE / "tests/fixtures/scaling", HERE.parent / "shared/data/scaling"
DENSE = ("chinchilla", "gadre", "kaplan", "compute")
SPARSE = ("routed", "clark", "size")
MIXED = ("experts", "experts:variable=e", "experts:families=separate", "joint", *DENSE)
PUBLISHED = {
    "gadre rpj": "0.71% and 0.73% on its own split (5 runs, to 1.4B and 6.9B)",
    "olmo": "-1.98% and -3.83% on its own split (16 runs, to 7B-4T and 13B-5T)",
}


def rows_of(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def runs_of(rows: Sequence[Any], loss: str, names: dict[str, str]) -> Runs:
    """Rows as runs; C = 6ND where the rows have none."""
    columns = {k: np.array([float(row[v] or 1) for row in rows]) for k, v in names.items()}
    columns["loss"] = np.array([float(row[loss]) for row in rows])
    ones = np.ones(len(rows))
    columns = {"d": ones, "e": ones, "k": ones} | columns
    columns.setdefault("c", 6 * columns["n"] * columns["d"])
    return Runs(columns=columns, given=list(names), lines=range(len(rows)), counts="as the source")


def shipped() -> Iterator[tuple[str, Runs, Sequence[str]]]:
    """Sets whose licence lets them ship."""
    plain = {"n": "n", "d": "d"}
    gadre = rows_of(FIXTURES / "gadre.csv")
    for name in sorted({row["train_set"] for row in gadre}):
        rows = [row for row in gadre if row["train_set"] == name and row["loss_c4_val"]]
        yield f"gadre {name}", runs_of(rows, "loss_c4_val", plain), DENSE
    olmo = [row for row in rows_of(FIXTURES / "olmo.csv")]
    yield "olmo", runs_of(olmo, "loss", plain | {"c": "c"}), DENSE
    clark = rows_of(FIXTURES / "clark.csv")
    for router in ("S-Base", "RL-R", "Hash"):
        rows = [row for row in clark if row["router"] in (router, "Dense") and row["seed"] == "42"
                and (row["k"], row["routing_frequency"]) == ("1", "0.5")]  # fmt: skip
        yield f"clark {router}", runs_of(rows, "loss", {"n": "n", "e": "e"}), SPARSE


def at_hand() -> Iterator[tuple[str, Runs, Sequence[str]]]:
    """Sets without a stated licence."""
    epoch = SHARED / "epoch-chinchilla/svg_extracted_data.csv"
    if epoch.exists():
        rows = sorted(rows_of(epoch), key=lambda row: float(row["loss"]))[:240]
        for row in rows:
            row["d"] = str(float(row["Training FLOP"]) / 6 / float(row["Model Size"]))
        names = {"n": "Model Size", "d": "d", "c": "Training FLOP"}
        yield "epoch", runs_of(rows, "loss", names), DENSE
    best: dict[tuple[str, ...], dict[str, str]] = {}
    for name, size in (("dense", "N"), ("moe", "Na")):
        path = SHARED / f"steplaw/{name}_lr_bs_loss.csv"
        for row in rows_of(path) if path.exists() else []:
            row |= {"n": row[size], "e": row.get("nume") or "1", "k": row.get("topk") or "1"}
            key = tuple(row[k] for k in ("n", "D", "e", "k"))
            if key not in best or float(row["smooth loss"]) < float(best[key]["smooth loss"]):
                best[key] = row
    if best:
        names = {"n": "n", "d": "D", "e": "e", "k": "k"}
        yield "step-law minima", runs_of(list(best.values()), "smooth loss", names), MIXED


def main() -> None:
    """Hold out, fit, predict, rank, save."""
    found = {}
    for name, runs, specs in (*shipped(), *at_hand()):
        rows = []
        for spec in specs:
            try:
                told = holdout_error(spec, laws.parse(spec), runs, SETTINGS)
            except InputError as error:
                told = {"median": None, "why": error.rule}
            rows.append({"law": spec, **told})
        rows.sort(key=lambda row: (row["median"] is None, row["median"] or 0))
        found[name] = {"num_runs": len(runs.loss), "laws": rows, "source": PUBLISHED.get(name)}
        best = rows[0]
        share = "none" if best["median"] is None else f"{100 * best['median']:.2f}%"
        print(f"{name:18} {len(runs.loss):4} runs  {best['law']:26} median {share}")
    print(json.dumps({k: [(r["law"], r["median"]) for r in v["laws"]] for k, v in found.items()}))
    save("scaling_leaderboard", found)


if __name__ == "__main__":
    main()
