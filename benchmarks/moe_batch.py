"""Question: does a mixture of experts want a smaller batch and a larger learning rate than dense?

    python benchmarks/moe_batch.py [--tokens 400000] [--seeds 2]

Dense and MoE (`--experts`, one chosen) have the same width, depth and active parameters, at most
0.2M in all, and read the same text; AdamW, cosine. Each cell is one pretraining run of a batch and
a learning rate. For each kind, validation loss is a quadratic in ln(batch) and ln(learning rate),
whose vertex is the optimum; intervals come from residuals drawn again. The dense model is trained
at one and at two budgets of tokens, so that its optimum is known at two losses: the answer at equal
loss compares the mixture with the dense optimum between them (`inside` says whether the loss of the
mixture lies there), the answer at equal tokens stands beside it, and what the Step law says. A
vertex outside the grid is said to be outside. The gradient noise scale of both kinds, from one run
each with its norms noted, stands beside them. Finished cells are kept.
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
from burnish.base.rng import stream
from burnish.base.stats import percentile_interval
from burnish.scaling.noise_scale import estimate_noise, pairs_from_rows, read_norms
from burnish.scaling.rules import published_rules

CONTEXT, TEXT_BYTES = 128, 2_000_000
BATCHES = (256, 512, 1024, 2048)
RATES = (0.001, 0.002, 0.004, 0.008)
SHARED: dict[str, Any] = {
    "depth": 2, "width": 48, "ffn_width": 128, "num_heads": 2, "vocab": 512,
    "num_kv_heads": 2, "context": CONTEXT, "optimizer": "adamw", "schedule": "cosine",
    "final_frac": 0.1, "heldout_frac": 0.05, "num_evaluations": 1, "sample_tokens": 0,
    "evaluation_tokens": 131_072, "precision": "fp32",
}  # fmt: skip
RESAMPLES = 1000
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
    """Validation loss of one run, and its size."""
    result = pretrain(settings_of(cell), folder=workplace.folder / "run", reuse=material())
    return {"loss": result["validation"]["value"], "plan": result["plan"]["values"],
            "shape": result["plan"]["shape"]}  # fmt: skip


def noise(cell: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Gradient noise scale of one run [tokens], over its last half."""
    result = pretrain(settings_of(cell, gradient_norms=True), folder=folder)
    rows = read_norms(Path(result["run"]), "")
    found = estimate_noise(pairs_from_rows(rows[len(rows) // 2 :]), block=10, confidence=0.9)
    return {"batch_tokens": cell["batch_tokens"], "learning_rate": cell["learning_rate"]} | found


def design(points: np.ndarray) -> np.ndarray:
    """Columns of a quadratic in two variables."""
    x, y = points.T
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def vertex(points: np.ndarray, loss: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Where the fitted quadratic is lowest, None where it has no minimum; and its coefficients."""
    weights, *_ = np.linalg.lstsq(design(points), loss, rcond=None)
    hessian = np.array([[2 * weights[3], weights[4]], [weights[4], 2 * weights[5]]])
    if np.linalg.eigvalsh(hessian)[0] <= 0:
        return None, weights
    return np.linalg.solve(hessian, -weights[1:3]), weights


def optimum(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Best batch and learning rate of one kind; `draws` hold ln(batch), ln(rate) and the loss."""
    raw = np.log([[row["batch_tokens"], row["learning_rate"]] for row in rows])
    centre = raw.mean(axis=0)
    points, loss = raw - centre, np.array([row["loss"] for row in rows])
    best, weights = vertex(points, loss)
    fitted = design(points) @ weights
    rest = loss - fitted
    rng, draws = stream(0, "moe_batch", name), []
    for _ in range(RESAMPLES):
        draw, drawn = vertex(points, fitted + rng.choice(rest, len(rest)))
        value = np.full(3, np.nan)
        if draw is not None:
            value = np.array([*(draw + centre), design(draw[None])[0] @ drawn])
        draws.append(value)
    inside = best is not None and bool(np.all(np.abs(best) <= points.max(axis=0)))
    floor = min(rows, key=lambda row: row["loss"])
    return {
        "draws": np.array(draws),
        "num_cells": len(rows),
        "inside_the_grid": inside,
        "batch_tokens": None if best is None else float(np.exp(best + centre)[0]),
        "learning_rate": None if best is None else float(np.exp(best + centre)[1]),
        "loss": None if best is None else float(design(best[None])[0] @ weights),
        "residual_sd": float(rest.std()),
        "lowest_cell": {k: floor[k] for k in ("batch_tokens", "learning_rate", "loss")},
    }


def ratios(moe: np.ndarray, dense: np.ndarray, num_cells: int) -> dict[str, Any]:
    """Batch and learning rate of the mixture over the dense ones; lost draws are counted."""
    found: dict[str, Any] = {}
    for index, name in enumerate(("batch_tokens", "learning_rate")):
        draws = (moe - dense)[:, index]
        low, high = percentile_interval(draws, num_units=num_cells, num_fitted=6, confidence=0.9)
        found[name] = {"value": float(np.exp(np.nanmedian(draws))), "low": float(np.exp(low)),
                       "high": float(np.exp(high))}  # fmt: skip
    return found | {"draws_without_minimum": int(np.isnan((moe - dense)[:, 0]).sum())}


def answer(rows: Sequence[dict[str, Any]], sides: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The optima, and their ratios at equal tokens and at equal loss."""
    best = {
        name: optimum([row for row in rows if side.items() <= row.items()], name)
        for name, side in sides.items()
    }
    draws = {name: one.pop("draws") for name, one in best.items()}
    dense, longer, moe = (draws[name] for name in ("dense", "dense_longer", "moe"))
    num = best["moe"]["num_cells"]
    share = (dense[:, 2] - moe[:, 2]) / (dense[:, 2] - longer[:, 2])  # 0: dense, 1: dense_longer
    between = dense + share[:, None] * (longer - dense)
    losses = [best[name]["loss"] for name in ("dense_longer", "moe", "dense")]
    return {
        "optimum": best,
        "moe_over_dense_at_equal_tokens": ratios(moe, dense, num),
        "moe_over_dense_at_equal_loss": ratios(moe, between, num)
        | {"inside": None not in losses and losses == sorted(losses)},
    }


def step_law(row: dict[str, Any]) -> dict[str, float]:
    """What the Step law says for the active size and the tokens of a cell."""
    counted = Shape(**row["shape"]).counted("non-embedding", context=CONTEXT)
    columns = {"n": np.array([counted.n_active]), "d": np.array([row["plan"]["tokens"]])}
    rules = published_rules()["step-law"]
    return {"n": float(counted.n_active), "d": float(row["plan"]["tokens"])} | {
        name: float(rule(columns)[0]) for name, rule in rules.items()
    }


def main() -> None:
    """All cells that are missing, then the answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=400_000)
    parser.add_argument("--experts", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--log", type=Path, default=cells_file("moe_batch"))
    given = parser.parse_args()
    more = {"dense": ("dense", 1), "dense_longer": ("dense", 2),
            "moe": (f"moe:experts={given.experts},top_k=1", 1)}  # fmt: skip
    sides = {name: {"block": block, "tokens": str(given.tokens * times)}
             for name, (block, times) in more.items()}  # fmt: skip
    cells = [
        side | {"batch_tokens": batch, "learning_rate": rate, "seed": seed}
        for seed, batch, rate, side in itertools.product(
            range(given.seeds), BATCHES, RATES, sides.values()
        )
    ]
    results = run_cells(cells, run_cell, log=given.log)
    rows = [dict(one.cell) | dict(one.output or {}) for one in results]
    found = answer(rows, sides)
    found["step_law"] = {
        name: step_law(next(row for row in rows if side.items() <= row.items()))
        for name, side in sides.items()
    }
    found["noise_scale"] = {
        name: noise(side | NOISE, given.log.parent / f"moe_batch_noise_{name}")
        for name, side in sides.items()
    }
    keep = ("block", "tokens", "batch_tokens", "learning_rate", "seed", "loss")
    sizes = {"tokens": given.tokens, "experts": given.experts, "seeds": given.seeds}
    save("moe_batch", found | sizes | {"cells": [{k: row[k] for k in keep} for row in rows]})
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
