"""Question: do a few tests tell right programs from wrong ones, and is the posterior honest?

HumanEval's reference solutions and mutants of their syntax trees (another comparison, operator,
constant or branch); the verdict of a program is that of all its tests together. For each number of
tests k, so many of an item's asserts, drawn apart for each program, give a count and a posterior,
under the default rates and under rates that `estimate_rates` finds without a verdict; as they are,
and with a fifth of each item's asserts made wrong, so that every program fails them. Printed: the
area under the ROC curve, and how far the mean posterior of a bin of tenths lies from its share of
right programs: the mean over programs (the expected calibration error), and the largest gap of a
bin of at least 50. Every assert of every program is run once; results are kept.
"""

import argparse
import ast
import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from recording import cells_file, save
from scipy.stats import rankdata

from burnish.base.log import RecordLog
from burnish.base.rng import stream
from burnish.base.stats import bootstrap
from burnish.contracts.executor import RunState, Trial
from burnish.curate.posterior import estimate_rates, posterior
from burnish.curate.programs import parse
from burnish.data.benchmarks import BenchmarkItem, load_benchmark
from burnish.sandbox.executor import SandboxExecutor

TESTS, WRONG = (1, 2, 3, 5, 8), (0.0, 0.2)
BIN, LEAST = 0.1, 50
COMPARE = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
           ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In}  # fmt: skip
OPERATOR = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Mod: ast.FloorDiv,
            ast.FloorDiv: ast.Mod, ast.Div: ast.Mult}  # fmt: skip


def mutate(node: ast.AST) -> bool:
    """Change one node in place; False where there is nothing to change."""
    match node:
        case ast.Compare() if type(node.ops[0]) in COMPARE:
            node.ops[0] = COMPARE[type(node.ops[0])]()
        case ast.BinOp() if type(node.op) in OPERATOR:
            node.op = OPERATOR[type(node.op)]()
        case ast.Constant() if type(node.value) is int:
            node.value += 1
        case ast.BoolOp():
            node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        case ast.If():
            node.test = ast.UnaryOp(op=ast.Not(), operand=node.test)
        case _:
            return False
    return True


def mutants(code: str, num: int, rng: np.random.Generator) -> Iterator[str]:
    """Programs with one change each."""
    tree = ast.parse(code)
    places = [i for i, node in enumerate(ast.walk(tree)) if mutate(copy.deepcopy(node))]
    for place in rng.permutation(places)[:num]:
        changed = copy.deepcopy(tree)
        mutate(list(ast.walk(changed))[int(place)])
        yield ast.unparse(ast.fix_missing_locations(changed))


def asserts_of(item: BenchmarkItem) -> list[str]:
    """The single asserts of an item's `check`, on the function itself."""
    tree = parse(item.asserts)
    check = next((n for n in tree.body if isinstance(n, ast.FunctionDef)), None) if tree else None
    lines = [ast.unparse(n) for n in check.body if isinstance(n, ast.Assert)] if check else []
    return [line.replace("candidate", item.entry) for line in lines if "candidate(" in line]


def programs(num_mutants: int) -> list[dict[str, Any]]:
    """Reference solutions and mutants, each with its asserts and all tests together."""
    rng, found = stream(0, "mutants"), list[dict[str, Any]]()
    for item in load_benchmark("humaneval"):
        code, tests = item.prompt + item.solution, asserts_of(item)
        if len(tests) < 2:
            continue
        for number, text in enumerate((code, *mutants(code, num_mutants, rng))):
            found.append({"id": f"{item.id}:{number}", "code": text, "tests": tests,
                          "whole": item.asserts})  # fmt: skip
    return found


def run_all(asked: list[dict[str, Any]], log: RecordLog) -> dict[str, dict[str, Any]]:
    """States of every assert of every program, and of all tests."""
    done = {row["id"]: row for row in log.read()}
    executor = SandboxExecutor()
    missing = [row for row in asked if row["id"] not in done]
    for start in range(0, len(missing), 20):
        some = missing[start : start + 20]
        plan = [Trial(code=row["code"], asserts=test)
                for row in some for test in (row["whole"], *row["tests"])]  # fmt: skip
        states = [result.state for result in executor.run(plan)]
        for row in some:
            own, states = states[: len(row["tests"]) + 1], states[len(row["tests"]) + 1 :]
            done[row["id"]] = {"id": row["id"], "whole": own[0], "tests": own[1:]}
            log.append(done[row["id"]])
        print(f"{start + len(some)} of {len(missing)} programs", flush=True)
    return done


def auc(scores: np.ndarray, right: np.ndarray) -> float:
    """Chance that a right program scores above a wrong one; ties count half."""
    ranks = rankdata(scores)
    num = right.sum()
    return float((ranks[right].sum() - num * (num + 1) / 2) / (num * (len(right) - num)))


def gaps(values: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Mean posterior less the share of right programs, by bin."""
    bins = np.minimum((values / BIN).astype(int), round(1 / BIN) - 1)
    rows = [
        {"n": int((bins == b).sum()), "posterior": float(values[bins == b].mean()),
         "right_frac": float(right[bins == b].mean())}
        for b in np.unique(bins) if (bins == b).sum() >= LEAST
    ]  # fmt: skip
    largest = max(abs(r["posterior"] - r["right_frac"]) for r in rows)
    mean = sum(abs((values - right)[bins == b].sum()) for b in np.unique(bins)) / len(values)
    return {"bins": rows, "largest_gap": largest, "mean_gap": float(mean)}


def outcomes(row: dict[str, Any], wrong_frac: float) -> np.ndarray:
    """Whether each assert passes; the same ones are made wrong for all programs of an item."""
    item, _, _ = row["id"].rpartition(":")
    drawn = stream(0, f"wrong tests {item}").random(len(row["tests"]))
    passed = np.array([state == RunState.PASSED for state in row["tests"]])
    return passed & (drawn >= wrong_frac)


def at(k: int, rows: list[dict[str, Any]], right: np.ndarray, wrong_frac: float) -> dict[str, Any]:
    """What k tests say; programs with fewer tests give all they have."""
    rng = stream(0, f"tests {k}")
    passed, total = np.zeros(len(rows)), np.zeros(len(rows))
    for i, row in enumerate(rows):
        picked = rng.permutation(outcomes(row, wrong_frac))[:k]
        passed[i], total[i] = picked.sum(), len(picked)
    rates = estimate_rates(passed, total)
    values = {"default": posterior(passed, total), "estimated": posterior(passed, total, rates)}
    drawn = stream(0, f"auc {k}")
    places = np.arange(len(rows))
    found = bootstrap(
        places, statistic=lambda p: auc(values["default"][p.astype(int)], right[p.astype(int)]),
        rng=drawn, num_resamples=500,
    )  # fmt: skip
    return {"k": k, "wrong_frac": wrong_frac, "auc": found.to_dict(),
            "estimated_rates": vars(rates),
            "calibration": {name: gaps(v, right) for name, v in values.items()}}  # fmt: skip


def main() -> None:
    """Run what is missing, and save."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mutants", type=int, default=4)
    given = options.parse_args()
    asked = programs(given.mutants)
    done = run_all(asked, RecordLog(cells_file("curate_quality")))
    known = (RunState.PASSED, RunState.FAILED)
    rows = [done[row["id"]] for row in asked]
    scored = [row for row in rows if row["whole"] in known and set(row["tests"]) <= set(known)]
    right = np.array([row["whole"] == RunState.PASSED for row in scored])
    found = {
        "num_programs": len(rows), "num_unscored": len(rows) - len(scored),
        "right_frac": float(right.mean()),
        "rows": [at(k, scored, right, wrong) for wrong in WRONG for k in TESTS],
    }  # fmt: skip
    for row in found["rows"]:
        near = {name: round(c["mean_gap"], 3) for name, c in row["calibration"].items()}
        told = f"{row['k']} tests, {row['wrong_frac']:.0%} wrong: AUC {row['auc']['value']:.3f}"
        print(told, "mean gap", near)
    save("curate_quality", found)


if __name__ == "__main__":
    main()
