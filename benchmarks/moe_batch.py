"""Question: does a mixture of experts want a smaller batch and a larger learning rate than dense?

    python benchmarks/moe_batch.py [--tokens 160000] [--seeds 3]

Dense and MoE (`--experts`, one chosen) have the same width, depth and active parameters, at most
0.2M in all, and read the same text; AdamW, a constant rate after a warm-up. Each cell is one
pretraining run of a batch and a learning rate; larger batches get more tokens. The question is
asked at equal loss: how many steps each run took to one validation loss, the lowest that every
kind, batch and seed reaches at its best rate. The steps at the best rates give the critical batch
(steps = S_min + E_min / batch). The best learning rate is the vertex of a
parabola, ln(steps) in ln(rate), at the largest batch, where it lies inside of the grid, to the loss
that all its runs reach; both kinds share the curvature. Residuals are resampled. The critical
batch at other losses, what the Step law says, and the gradient noise scale of both kinds, from one
run each with its norms noted, stand beside them. Finished cells are kept.
"""

import argparse
import itertools
import json
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recording import cells_file, save

from burnish.arch.plan import Shape
from burnish.arch.pretrain_job import pretrain
from burnish.arch.settings import PretrainSettings
from burnish.base.items import Workplace, run_cells
from burnish.base.records import read_records
from burnish.base.rng import stream
from burnish.base.stats import percentile_interval
from burnish.scaling.critical import trade_off
from burnish.scaling.noise_scale import estimate_noise, pairs_from_rows, read_norms
from burnish.scaling.rules import published_rules

CONTEXT, TEXT_BYTES = 128, 2_000_000
BATCHES = (128, 512, 2048)
RATES = (0.002, 0.004, 0.008, 0.016)
HALF_BATCH = 1024  # tokens of a run double here
SHARED: dict[str, Any] = {
    "depth": 2, "width": 48, "ffn_width": 128, "num_heads": 2, "vocab": 512,
    "num_kv_heads": 2, "context": CONTEXT, "optimizer": "adamw", "schedule": "constant",
    "warmup_frac": 0.1, "heldout_frac": 0.05, "num_evaluations": 30, "sample_tokens": 0,
    "evaluation_tokens": 16_384, "precision": "fp32",
}  # fmt: skip
RESAMPLES = 1000
OTHER_LOSSES = (0.1, 0.2, 0.3, 0.5)  # above the lowest that all reach
NOISE = {"batch_tokens": 1024, "learning_rate": RATES[1], "seed": 0}


def corpus() -> Path:
    """Modules of Python's own library, one document each, up to TEXT_BYTES in all."""
    path = cells_file("moe_batch").with_suffix(".texts.jsonl")
    if not path.exists():
        files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
        texts = [file.read_text(encoding="utf-8") for file in files]
        ends = itertools.accumulate(map(len, texts))
        rows = [json.dumps({"text": text}) for text, end in zip(texts, ends, strict=True)
                if end <= TEXT_BYTES]  # fmt: skip
        path.write_text("\n".join(rows) + "\n")
    return path


def settings_of(cell: dict[str, Any], **more: Any) -> PretrainSettings:
    """The pretraining run of a cell."""
    names = ("block", "tokens", "batch_tokens", "learning_rate", "seed")
    return PretrainSettings(
        corpus=str(corpus()), **SHARED, **{name: cell[name] for name in names}, **more
    )


def material() -> Path:
    """A run of a few steps, whose tokenizer and shards all cells take."""
    folder = corpus().with_suffix(".material")
    if not (folder / "result.json").is_file():
        few = {"tokens": "4096", "batch_tokens": 512, "learning_rate": RATES[0], "seed": 0}
        pretrain(settings_of({"block": "dense", **few}), folder=folder)
    return folder


def run_cell(cell: dict[str, Any], workplace: Workplace) -> dict[str, Any]:
    """Validation losses of one run by step, and its size."""
    result = pretrain(settings_of(cell), folder=workplace.folder / "run", reuse=material())
    rows = read_records(Path(result["run"]) / "stages" / "train" / "evaluations.jsonl")
    curve = [(row["step"], row["nats_per_token"]) for row in rows]
    return {"curve": curve, "plan": result["plan"]["values"],
            "shape": result["plan"]["shape"]}  # fmt: skip


def noise(cell: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Gradient noise scale of one run [tokens], over its last half."""
    result = pretrain(settings_of(cell, gradient_norms=True), folder=folder)
    rows = read_norms(Path(result["run"]), "")
    found = estimate_noise(pairs_from_rows(rows[len(rows) // 2 :]), block=10, confidence=0.9)
    return {"batch_tokens": cell["batch_tokens"], "learning_rate": cell["learning_rate"]} | found


def steps_to(curve: Sequence[tuple[int, float]], loss: float) -> float:
    """Steps after which the lowest loss so far is `loss`, between evaluations by a line; or inf."""
    lowest = list(itertools.accumulate((value for _, value in curve), min))
    for (before, _), (after, _), high, low in zip(
        curve, curve[1:], lowest, lowest[1:], strict=False
    ):
        if low <= loss < high:
            return before + (after - before) * (high - loss) / (high - low)
    return float("inf")


def best_steps(rows: Sequence[dict[str, Any]], loss: float) -> tuple[np.ndarray, np.ndarray]:
    """Batch, and steps at the best rate, of each batch and seed."""
    best: dict[tuple[int, int], float] = {}
    for row in rows:
        key = (row["batch_tokens"], row["seed"])
        best[key] = min(best.get(key, np.inf), steps_to(row["curve"], loss))
    return np.array([batch for batch, _ in best], dtype=float), np.array(list(best.values()))


def critical_draws(rows: Sequence[dict[str, Any]], loss: float, name: str) -> np.ndarray:
    """Logarithm of the critical batch, then the same with relative residuals drawn again."""
    batch, steps = best_steps(rows, loss)
    s_min, e_min = trade_off(batch, steps)
    fitted = s_min + e_min / batch
    rest, rng = np.log(steps / fitted), stream(0, "moe_batch", name)
    draws = [steps, *(fitted * np.exp(rng.choice(rest, len(rest))) for _ in range(RESAMPLES))]
    found = np.array([trade_off(batch, draw) for draw in draws])
    good = (found > 0).all(axis=1)
    return np.where(good, np.log(np.abs(found[:, 1] / found[:, 0])), np.nan)


def rate_draws(rows: Sequence[dict[str, Any]], loss: float) -> dict[str, np.ndarray]:
    """Logarithm of the best rate of each block, likewise, from residuals drawn again.

    A level of each block and seed, a slope of each block, and one curvature are fitted.
    """
    took = np.log([steps_to(row["curve"], loss) for row in rows])
    x = np.log([row["learning_rate"] / RATES[1] for row in rows])
    names = np.unique([row["block"] for row in rows])
    block = np.array([row["block"] for row in rows])[:, None] == names
    seed = np.array([row["seed"] for row in rows])
    levels = [(seed == one)[:, None] * block for one in np.unique(seed)]
    columns = np.concatenate([*levels, x[:, None] * block, x[:, None] ** 2], axis=1).astype(float)
    solve = np.linalg.pinv(columns)
    fitted = columns @ (solve @ took)
    rng = stream(0, "moe_batch", "rate")
    draws = [took, *(fitted + rng.choice(took - fitted, len(took)) for _ in range(RESAMPLES))]
    found = np.array([solve @ draw for draw in draws])[:, -1 - len(names) :]
    best = -found[:, :-1] / (2 * np.where(found[:, -1:] > 0, found[:, -1:], np.nan))
    return {str(name): best[:, i] + np.log(RATES[1]) for i, name in enumerate(names)}


def lowest_common(kinds: dict[str, list[dict[str, Any]]]) -> float:
    """The lowest loss that every kind, batch and seed reaches at its best rate."""
    lowest: dict[tuple[Any, ...], float] = {}
    for kind, rows in kinds.items():
        for row in rows:
            key = (kind, row["batch_tokens"], row["seed"])
            least = min(value for _, value in row["curve"])
            lowest[key] = min(lowest.get(key, np.inf), least)
    return max(lowest.values())


def compared(draws: dict[str, np.ndarray], num_units: int, num_fitted: int) -> dict[str, Any]:
    """Value and 90% interval of both kinds, and of the mixture over the dense."""
    draws = draws | {"moe_over_dense": draws["moe"] - draws["dense"]}
    found = {}
    for name, values in draws.items():
        ends = percentile_interval(
            values[1:], num_units=num_units, num_fitted=num_fitted, confidence=0.9
        )
        low, high = np.exp(ends)
        lost = int(np.isnan(values[1:]).sum())
        found[name] = {"value": float(np.exp(values[0])), "low": float(low), "high": float(high),
                       "draws_without": lost}  # fmt: skip
    return found


def critical(kinds: dict[str, list[dict[str, Any]]], loss: float) -> dict[str, Any]:
    """Critical batches at a loss, with the steps that they come from."""
    draws = {kind: critical_draws(rows, loss, kind) for kind, rows in kinds.items()}
    steps = {}
    for kind, rows in kinds.items():
        batch, took = best_steps(rows, loss)
        steps[kind] = {str(one): [round(n, 1) for n in took[batch == one]] for one in BATCHES}
    num = len(batch)
    return {"loss": loss, "steps": steps} | compared(draws, num, 2)


def rates(kinds: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Best learning rates at the largest batch, to the loss that all its runs reach."""
    runs = [row for rows in kinds.values() for row in rows if row["batch_tokens"] == BATCHES[-1]]
    loss = max(min(value for _, value in row["curve"]) for row in runs)
    found = rate_draws(runs, loss)
    num_levels = len({(row["block"], row["seed"]) for row in runs})
    draws = {kind: found[rows[0]["block"]] for kind, rows in kinds.items()}
    told = compared(draws, len(runs), num_levels + len(kinds) + 1)
    return {"loss": loss, "batch_tokens": BATCHES[-1]} | told


def step_law(row: dict[str, Any], tokens: float) -> dict[str, float]:
    """What the Step law says for the active size of a cell and some tokens."""
    counted = Shape(**row["shape"]).counted("non-embedding", context=CONTEXT)
    columns = {"n": np.array([counted.n_active]), "d": np.array([tokens])}
    rules = published_rules()["step-law"]
    return {"n": float(counted.n_active), "d": tokens} | {
        name: float(rule(columns)[0]) for name, rule in rules.items()
    }


def main() -> None:
    """All cells that are missing, then the answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=160_000, help="as the batch goes to zero")
    parser.add_argument("--experts", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--log", type=Path, default=cells_file("moe_batch"))
    given = parser.parse_args()
    blocks = {"dense": "dense", "moe": f"moe:experts={given.experts},top_k=1"}
    cells = [
        {"block": block, "tokens": str(round(given.tokens * (1 + batch / HALF_BATCH))),
         "batch_tokens": batch, "learning_rate": rate, "seed": seed}
        for seed, batch, rate, block in itertools.product(
            range(given.seeds), BATCHES, RATES, blocks.values()
        )
    ]  # fmt: skip
    results = run_cells(cells, run_cell, log=given.log)
    rows = [dict(one.cell) | dict(one.output or {}) for one in results]
    kinds = {name: [row for row in rows if row["block"] == block]
             for name, block in blocks.items()}  # fmt: skip
    loss = lowest_common(kinds)
    found: dict[str, Any] = {"critical_batch": critical(kinds, loss), "learning_rate": rates(kinds)}
    found["other_losses"] = [critical(kinds, loss + more) for more in OTHER_LOSSES]
    found["step_law"] = {
        name: step_law(rows[0], trade_off(*best_steps(rows, loss))[1])
        for name, rows in kinds.items()
    }
    found["noise_scale"] = {
        name: noise({"block": block, "tokens": str(given.tokens)} | NOISE,
                    given.log.parent / f"moe_batch_noise_{name}")
        for name, block in blocks.items()
    }  # fmt: skip
    keep = ("block", "tokens", "batch_tokens", "learning_rate", "seed")
    sizes = {"tokens": given.tokens, "experts": given.experts, "seeds": given.seeds}
    told = [{k: row[k] for k in keep} | {"lowest_loss": min(v for _, v in row["curve"]),
            "steps": row["plan"]["steps"]} for row in rows]  # fmt: skip
    save("moe_batch", found | sizes | {"cells": told})
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
