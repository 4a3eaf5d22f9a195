"""A ladder: cells as plans, trained one by one, read back, and checked on the largest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import SettingError
from burnish.base.records import RecordLog
from burnish.contracts.law import Columns
from burnish.contracts.training_plan import TrainingPlan
from burnish.scaling.analyse import analyse
from burnish.scaling.design import next_run
from burnish.scaling.fitting import fit_law
from burnish.scaling.holdout import split_by_compute
from burnish.scaling.laws import laws
from burnish.scaling.rules import MOST_LR, rules_named
from burnish.scaling.runs import Runs
from burnish.scaling.settings import DataSettings, FitSettings

Train = Callable[[TrainingPlan, Path], Mapping[str, Any]]
NEXT_SHOWN = 5
CELLS = "cells.jsonl"
FACTORS = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, kw_only=True)
class LadderSettings:
    """Cells of a ladder, and how their results are read and fitted.

    Every size of `sizes` [active parameters] is trained on every ratio of `ratios` [tokens a
    parameter] with every number of `experts`, `seeds` times; `factor` times the largest cell's
    compute is held out. `data.path`: results, to fit instead of to emit; `corpus`: texts, to train
    the cells on, with one tokenizer of `vocab` entries and windows of `context` tokens. `train`
    holds further settings of the trainer, as `arch pretrain --set` takes them.
    """

    sizes: tuple[float, ...] = (5e4, 1e5, 2e5, 4e5)
    ratios: tuple[float, ...] = (10.0, 20.0, 40.0)
    experts: tuple[int, ...] = (1,)
    top_k: int = 2
    expert_frac: float = 2 / 3
    seeds: int = 1
    factor: float = 4.0
    rule: str = "step-law"
    target_flops: float | None = None
    corpus: str = ""
    vocab: int = 512
    context: int = 128
    train: tuple[str, ...] = ()
    data: DataSettings = field(default_factory=DataSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("sizes", "ratios", "experts"):
            values = getattr(self, name)
            if not values or min(values) <= 0:
                raise SettingError(name, values, "must be positive numbers", remedy="Give some")
        if self.factor <= 1:
            rule, remedy = "must be above 1", "4 is usual"
            raise SettingError("factor", self.factor, rule, remedy=remedy)
        if self.corpus and self.data.path:
            rule = "must be only one of the two: results are given, or the cells are trained"
            got = f"{self.data.path}, {self.corpus}"
            raise SettingError("results and corpus", got, rule, remedy="Leave one out")
        if self.seeds < 1:
            raise SettingError("seeds", self.seeds, "must be at least 1", remedy="1 is usual")


def ladder_cells(settings: LadderSettings) -> list[TrainingPlan]:
    """Plans of all cells, cheapest first; the last ones, `held-out-*`, are to be predicted.

    Source: ours. Oracle: tests/scaling/test_ladder_cells.py::test_cells_are_all_there_and_in_order
    """
    cells = [
        _cell(settings, size, size * ratio, experts, seed, name="cell")
        for size in settings.sizes
        for ratio in settings.ratios
        for experts in settings.experts
        for seed in range(settings.seeds)
    ]
    cells.sort(key=lambda cell: (cell.train_flops, cell.name))
    top = cells[-1]
    grow = float(np.sqrt(settings.factor * top.train_flops / (6 * top.n * top.d_tokens)))
    held = [
        _cell(settings, top.n * grow, top.d_tokens * grow, experts, 0, name="held-out")
        for experts in settings.experts
    ]
    return [*cells, *held]


def _cell(
    settings: LadderSettings, n: float, d: float, experts: int, seed: int, *, name: str
) -> TrainingPlan:
    top_k = min(settings.top_k, experts)
    step, rules = rules_named("step-law"), rules_named(settings.rule)
    columns = {"n": np.array([n]), "d": np.array([d]), "c": np.array([6 * n * d]),
               "e": np.array([float(experts)])}  # fmt: skip
    batch, lr = (float(rules.get(t, step[t])(columns)[0]) for t in ("batch", "lr"))
    batch, lr = min(batch, d), min(lr, MOST_LR)
    return TrainingPlan(
        name=f"{name}-n{n:.3g}-d{d:.3g}-e{experts}-s{seed}", law="none: a cell of a ladder",
        counts=settings.data.counts, n=n,
        n_total=n * (1 + settings.expert_frac * (experts / top_k - 1)), experts=experts,
        top_k=top_k, d_tokens=d, batch_tokens=batch, num_steps=max(1, round(d / batch)), lr=lr,
        train_flops=6 * n * d, seed=settings.seed + seed,
    )  # fmt: skip


def train_cells(
    cells: Sequence[TrainingPlan], train: Train, folder: Path
) -> Iterator[Mapping[str, Any]]:
    """Train the cells that `folder/cells.jsonl` does not hold yet; yields every cell's row.

    `train` gets a plan and a folder of its own, and returns what was measured, `loss` at least;
    its entries replace the plan's (`n`, `d`, ...). A cell is written when it is done, so that an
    interrupted ladder resumes at the first that is missing.
    Source: ours. Oracle: tests/scaling/test_ladder_cells.py::test_an_interrupted_ladder_resumes
    """
    with RecordLog(folder / CELLS) as log:
        done = {row["name"]: row for row in log.read()}
        for cell in cells:
            if cell.name not in done:
                measured = dict(train(cell, folder / cell.name))
                row = cell_row(cell) | measured
                log.append(row)
                done[cell.name] = row
            yield done[cell.name]


def cell_row(cell: TrainingPlan) -> dict[str, Any]:
    """The columns of a cell in a table of runs."""
    return {"name": cell.name, "n": cell.n, "d": cell.d_tokens, "c": cell.train_flops,
            "e": cell.experts, "k": cell.top_k, "batch": cell.batch_tokens, "lr": cell.lr,
            "counts": cell.counts, "plan": asdict(cell)}  # fmt: skip


def climb(settings: LadderSettings, runs: Runs) -> dict[str, Any]:
    """Fit all but the largest runs, predict those, and propose the most informative next run.

    `prediction.error` is relative and signed, beside that of a power law in compute alone.
    Raises: InputError, where the smaller runs do not identify the law.
    Source: ours. Oracle: tests/scaling/test_ladder_cells.py::test_a_planted_ladder_predicts_its_top
    """
    compute = runs.columns["c"]
    top = compute >= compute.max() * (1 - 1e-9)
    below, above = runs.take(~top), runs.take(top)
    found = analyse(settings.fit.law, below, settings.fit)
    base = fit_law(laws.parse("compute"), below.columns, below.loss, settings.fit)
    said, plain = found.fit.predict(above.columns), base.predict(above.columns)
    told = {**found.told, "notes": [*runs.notes, *found.told["notes"]]}
    aim = _target(settings, runs)
    told["prediction"] = {
        "n": float(above.columns["n"][0]), "d": float(above.columns["d"][0]),
        "factor": float(compute.max() / below.columns["c"].max()),
        "actual": float(above.loss.mean()), "predicted": float(said.mean()),
        "error": float((said / above.loss - 1).mean()),
        "compute_law_error": float((plain / above.loss - 1).mean()),
        "num_held_out": len(above.loss),
    }  # fmt: skip
    offers = next_run(found.fit, below, candidates(runs), aim)
    told["next"] = offers[:NEXT_SHOWN]
    told["target"] = {name: float(values[0]) for name, values in aim.items()}
    return told


def candidates(runs: Runs) -> Columns:
    """Candidates for the next run: around the existing ones, up to twice the largest compute."""
    sizes = np.unique(runs.columns["n"])
    ratios = np.unique(np.round(runs.columns["d"] / runs.columns["n"], 6))
    pairs = np.unique(np.stack([runs.columns["e"], runs.columns["k"]], axis=1), axis=0)
    n = np.unique(np.outer(sizes, FACTORS))
    ratio = np.unique(np.outer([ratios.min(), np.median(ratios), ratios.max()], FACTORS))
    grid = [(a, a * r, e, k) for a in n for r in ratio for e, k in pairs]
    columns: dict[str, np.ndarray] = dict(zip("ndek", np.array(grid).T, strict=True))
    columns["c"] = 6 * columns["n"] * columns["d"]
    chosen = columns["c"] <= 2 * runs.columns["c"].max()
    return {name: values[chosen] for name, values in columns.items()}


def _target(settings: LadderSettings, runs: Runs) -> Columns:
    """The run that is to be predicted: the largest one grown to the target's compute."""
    _, above = split_by_compute(runs, 1e-9)
    n, d = float(above.columns["n"][0]), float(above.columns["d"][0])
    flops = settings.target_flops or settings.factor * 6 * n * d
    grow = np.sqrt(flops / (6 * n * d))
    columns = {"n": n * grow, "d": d * grow, "c": flops,
               "e": above.columns["e"][0], "k": above.columns["k"][0]}  # fmt: skip
    return {name: np.array([value]) for name, value in columns.items()}
