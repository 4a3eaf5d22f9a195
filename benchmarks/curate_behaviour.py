"""Claim: tests confirm most runnable leaks, and no program that was written for another task.

Leaks: GPT-4's rephrasings of HumanEval in Python, each on its own item's tests. Non-leaks: the
reference solutions of MBPP and of LeetCode, each on the tests of the five nearest HumanEval items
that take as many arguments; nearest by the static views. A pass there is `common knowledge` where
the item is (`is_common`), else a false positive. Cells resume; `--minutes` bounds a call. Needs
../shared/data/code.
"""

import argparse
import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recording import RESULTS, save

from burnish.base.log import RecordLog
from burnish.base.stats import wilson
from burnish.curate.behaviour import Asked, is_common, run_asked
from burnish.curate.passes import score_rows
from burnish.curate.programs import Definitions, program_of, target_of
from burnish.curate.samples import Sample, read_sample
from burnish.curate.scan import BLOCK_ROWS, Shares, collect
from burnish.curate.views import static_views
from burnish.data.benchmarks import load_benchmark
from burnish.sandbox.executor import SandboxExecutor

CODE = Path(__file__).parents[2] / "shared/data/code"
CELLS = RESULTS / "curate_behaviour.cells.jsonl"
NEAREST = 5
CHUNK = 40

ITEMS = load_benchmark("humaneval")
TARGETS = {i: t for i, item in enumerate(ITEMS) if (t := target_of(item)) is not None}


def leaks() -> tuple[list[Sample], list[Asked]]:
    """Rephrasings, each asked on its own item."""
    rows = (CODE / "humaneval-rephrased-python.jsonl").read_text().splitlines()
    texts = {i: json.loads(row)["text"] for i, row in enumerate(rows)}
    texts = {i: text for i, text in texts.items() if text.strip()}
    samples = [read_sample({"text": text}, i) for i, text in texts.items()]
    return samples, [Asked(row, item) for row, item in enumerate(texts)]


def others(name: str) -> tuple[list[Sample], list[Asked]]:
    """Reference solutions of another benchmark, each asked on its nearest items."""
    if name == "mbpp":
        rows = [json.loads(line) for line in (CODE / "mbpp.jsonl").read_text().splitlines()]
        pairs = [(row["text"], row["code"]) for row in rows]
    else:
        with gzip.open(CODE / "leetcode-v0.2.0-train.jsonl.gz") as file:
            rows = [json.loads(line) for line in file]
        pairs = [(row["query"], as_functions(row["completion"])) for row in rows]
    samples = [read_sample({"prompt": q, "completion": a}, i) for i, (q, a) in enumerate(pairs)]
    views = static_views(ITEMS)
    texts = [sample.text for sample in samples]
    blocks = (texts[i : i + BLOCK_ROWS] for i in range(0, len(texts), BLOCK_ROWS))
    hits, num = collect(views, blocks)
    shares = [Shares(view, found, num) for view, found in zip(views, hits, strict=True)]
    scored = score_rows(shares, len(ITEMS), num, 0.01)
    asked = [Asked(row, item) for row, sample in enumerate(samples)
             for item in nearest(program_of(sample), scored.items[row])]  # fmt: skip
    best = {(row, int(i)): float(s) for row in range(num)
            for i, s in zip(scored.items[row], scored.scores[row], strict=True)}  # fmt: skip
    return samples, sorted(asked, key=lambda pair: -best[pair.row, pair.item])


def as_functions(code: str) -> str:
    """LeetCode's methods as plain functions: what a sample would hold."""
    import ast

    tree = ast.parse(code)
    kept: list[ast.stmt] = []
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            kept.append(node)
            continue
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef):
                inner.args.args = inner.args.args[1:]
                kept.append(inner)
    head = "from typing import *\nfrom collections import *\nfrom math import *\n"
    return head + ast.unparse(ast.Module(body=kept, type_ignores=[]))


def nearest(program: Definitions | None, items: Sequence[int]) -> Iterator[int]:
    """The first items whose tests call a function of as many arguments."""
    left = NEAREST
    for item in items if program is not None else ():
        num = TARGETS[int(item)].num_arguments
        if left and any(low <= num <= high for low, high in program.functions.values()):
            left -= 1
            yield int(item)


def told(kind: str, samples: Sequence[Sample], cells: dict[Any, str]) -> dict[str, Any]:
    """Counts of one kind."""
    states = Counter(cells.values())
    passed = [pair for pair, state in cells.items() if state == "passed"]
    found: dict[str, Any] = {"num_runs": len(cells), "states": dict(states)}
    if kind == "leaks":
        return found | {"confirmed": wilson(len(passed), len(cells)).to_dict()}
    common = [p for p in passed if is_common(ITEMS[p[1]], TARGETS[p[1]])]
    false = [p for p in passed if p not in common]
    named = [{"item": ITEMS[i].id, "question": samples[r].question[:90]} for r, i in false]
    return found | {
        "num_common_knowledge": len(common),
        "num_false_positives": len(false),
        "false_positives": named,
        "items": dict(Counter(str(ITEMS[i].id) for _, i in passed)),
    }


def main() -> None:
    """Run what is missing, and tell."""
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--kinds", nargs="+", default=["leaks", "mbpp", "leetcode"])
    given = options.parse_args()
    end = time.monotonic() + 60 * given.minutes
    log = RecordLog(CELLS)
    rows = log.read()
    results: dict[str, Any] = {}
    with log:
        for kind in given.kinds:
            samples, asked = leaks() if kind == "leaks" else others(kind)
            programs = {p.row: program for p in asked if (program := program_of(samples[p.row]))}
            asked = [pair for pair in asked if pair.row in programs]
            done = {(r["row"], r["item"]): r["state"] for r in rows if r["kind"] == kind}
            todo = [pair for pair in asked if (pair.row, pair.item) not in done]
            for start in range(0, len(todo), CHUNK):
                if time.monotonic() > end:
                    break
                some = todo[start : start + CHUNK]
                evidence = run_asked(some, programs, ITEMS, TARGETS, SandboxExecutor())
                for pair, found in evidence.items():
                    state = found.state.value
                    log.append({"kind": kind, "row": pair.row, "item": pair.item, "state": state})
                    done[pair.row, pair.item] = state
            results[kind] = told(kind, samples, done)
            results[kind]["num_asked"] = len(asked)
            print(kind, json.dumps(results[kind], indent=1), flush=True)
    save("curate_behaviour", results)


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
