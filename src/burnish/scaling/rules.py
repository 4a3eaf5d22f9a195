"""Batch and learning rate as power laws: published ones, and our own from runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.base.errors import InputError, UnknownNameError
from burnish.base.naming import suggest
from burnish.contracts.law import Column, Columns
from burnish.scaling.runs import Runs

MOST_LR = 1e-2  # of published rules, which were fitted to models of 60M parameters and more
LEAST_CELL = 3  # runs of one (n, d, e, k) whose minimum counts as tuned


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`factor * product of column ** exponent`; batches are tokens. The log's base is e."""

    name: str
    target: str
    factor: float
    exponents: Mapping[str, float]
    source: str

    def __call__(self, columns: Columns) -> Column:
        """The value for each run of the columns."""
        logs = sum(power * np.log(columns[name]) for name, power in self.exponents.items())
        return self.factor * np.exp(logs)


def fit_rule(
    target: str, names: Sequence[str], columns: Columns, *, source: str = "these runs"
) -> Rule:
    """Least squares of the log of `target` on the logs of columns.

    Raises: InputError, where the columns do not tell the exponents.
    Source: Li et al. 2025 (Step Law), arXiv 2503.04715, section 4.
    Oracle: tests/scaling/test_rules.py::test_a_published_rule_is_refitted
    """
    logs = np.stack([np.log(columns[name]) for name in names], axis=1)
    centre = logs.mean(axis=0)
    design = np.concatenate([logs - centre, np.ones((len(logs), 1))], axis=1)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        rule = f"needs runs that vary {', '.join(names)} independently"
        raise InputError(f"rule for {target}", len(logs), rule, remedy="Add tuned runs")
    found, *_ = np.linalg.lstsq(design, np.log(columns[target]), rcond=None)
    factor = float(np.exp(found[-1] - found[:-1] @ centre))
    exponents = dict(zip(names, map(float, found[:-1]), strict=True))
    return Rule(name="own", target=target, factor=factor, exponents=exponents, source=source)


def tuned(runs: Runs) -> tuple[Runs, str]:
    """The run of least loss of every (n, d, e, k) that has several, and which rows were used."""
    keys = np.stack([runs.columns[name] for name in ("n", "d", "e", "k")], axis=1)
    _, cell = np.unique(keys, axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    counts = np.bincount(cell)
    if counts.max() < LEAST_CELL:
        return runs, f"all {len(cell)} rows (no size and data has {LEAST_CELL} runs)"
    best = [
        members[np.argmin(runs.loss[members])]
        for members in (np.flatnonzero(cell == i) for i in np.flatnonzero(counts >= LEAST_CELL))
    ]
    return runs.take(np.array(best)), f"the least loss of each of {len(best)} cells"


def rules_of(runs: Runs) -> dict[str, Any] | None:
    """Rules for batch and learning rate from runs that vary them; None without such columns."""
    targets = [name for name in ("batch", "lr") if name in runs.columns]
    if not targets:
        return None
    best, rows = tuned(runs)
    found: dict[str, Any] = {"rows": rows, "log_base": "e"}
    for target in targets:
        for names in (("n", "d"), ("loss",)):
            try:
                rule = fit_rule(target, names, best.columns)
            except InputError as error:
                found[f"{target} in {' and '.join(names)}"] = {"why": error.rule}
                continue
            found[f"{target} in {' and '.join(names)}"] = {
                "factor": rule.factor, "exponents": dict(rule.exponents),
            }  # fmt: skip
    return found


def published_rules() -> dict[str, dict[str, Rule]]:
    """Pairs of rules by name; exponents as their sources print them.

    `step-law` counts N without embeddings; `deepseek` takes C, FLOPs without embeddings.
    Source: arXiv 2503.04715 (Step Law); arXiv 2401.02954 (DeepSeek, recalled); arXiv 2001.08361
    (Kaplan, recalled); arXiv 2502.05172 (joint MoE).
    Oracle: tests/scaling/test_rules.py::test_step_law_bootstrap_means
    """
    steps = "Step Law, arXiv 2503.04715"
    deep = "DeepSeek LLM, arXiv 2401.02954 (recalled)"
    joint = "joint MoE laws, arXiv 2502.05172 (signs recalled)"
    kaplan = "Kaplan et al., arXiv 2001.08361 (recalled): the critical batch, in the loss"
    rows = [
        ("step-law", "lr", 1.79, {"n": -0.713, "d": 0.307}, steps),
        ("step-law", "batch", 0.58, {"d": 0.571}, steps),
        ("deepseek", "lr", 0.3118, {"c": -0.125}, deep),
        ("deepseek", "batch", 0.2920, {"c": 0.3271}, deep),
        ("joint-moe", "lr", float(np.exp(8.39)), {"n": -0.81, "e": -0.25}, joint),
        ("kaplan", "batch", 2e8, {"loss": -1 / 0.21}, kaplan),
    ]
    found: dict[str, dict[str, Rule]] = {}
    for name, target, factor, exponents, source in rows:
        rule = Rule(name=name, target=target, factor=factor, exponents=exponents, source=source)
        found.setdefault(name, {})[target] = rule
    return found


def rules_named(name: str) -> dict[str, Rule]:
    """The pair of rules with a name. Raises: UnknownNameError."""
    known = published_rules()
    if name not in known:
        raise UnknownNameError("rule", name, "is not known", remedy=suggest(name, known))
    return known[name]
