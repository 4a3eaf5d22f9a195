"""Claim: how well scorers without human labels rank LeetCode's difficulty, beside simple measures.

Two scorers are heads over SmolLM2's states of instructions (GPTeacher, MIT; MBPP, CC-BY); neither
sees a label of LeetCode. One is trained on levels 0 to 5, to which our operators evolve
instructions, one on the sizes of the instructions' own answers. The last fifth of LeetCode's
problems by question id is ranked: Easy < Medium < Hard; penalties are chosen on the sizes of the
other problems' solutions. Beside it: the length of the task, the size of the reference solution,
its perplexity and IFD; and a ridge on TF-IDF that is trained on the labels of the other four
fifths. Needs ../shared/data/code and SmolLM2's weights; `--seeds` and
`--sized` set how many instructions are read; what is found is kept in `build/complexity`.
"""

import argparse
import ast
import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from recording import save
from scipy import stats
from scipy.sparse.linalg import lsqr

from burnish.base.canonical import content_hash
from burnish.base.files import atomic_write
from burnish.base.log import RecordLog
from burnish.base.meter import Meter
from burnish.base.rng import stream
from burnish.curate import baselines
from burnish.curate.baselines import answer_sizes, instruction_lengths
from burnish.curate.complexity import (
    BUNDLED,
    BUNDLED_SIZES,
    Scorer,
    fit_head,
    fit_sizes,
    save_scorer,
)
from burnish.curate.evolve import NUM_LEVELS, evolved_set
from burnish.curate.programs import program_of
from burnish.curate.samples import Sample, read_sample
from burnish.curate.scoring import cut_tokens, embed_texts
from burnish.curate.tokens import Stemmer
from burnish.models.handle import ModelHandle

CODE = Path(__file__).parents[2] / "shared/data/code"
HARD = {"Easy": 0, "Medium": 1, "Hard": 2}
MAX_TOKENS, CHUNK = 160, 32
PENALTIES, NUM_OTHER = (0.01, 0.1, 1.0, 10.0, 100.0), 300
BUILD = Path(__file__).parents[1] / "build" / "complexity"
DAMPINGS = (0.5, 1.0, 2.0, 3.0, 5.0)


def problems() -> list[dict[str, Any]]:
    """LeetCode's rows by question id."""
    with gzip.open(CODE / "leetcode-v0.2.0-train.jsonl.gz") as file:
        rows = [json.loads(line) for line in file]
    return sorted(rows, key=lambda row: row["meta"]["question_id"])


def statement(row: dict[str, Any]) -> str:
    """The problem's text, without what every row ends with."""
    return row["query"].partition("Please complete the following")[0].strip()


def seeds(num: int) -> list[str]:
    """Instructions of both permissive sets, drawn by the seed."""
    teacher = json.loads((CODE / "gpteacher-codegen.json").read_text())
    texts = [f"{row['instruction']}\n{row['input']}".strip() for row in teacher]
    texts += [json.loads(x)["text"] for x in (CODE / "mbpp.jsonl").read_text().splitlines()]
    order = stream(0, "seeds").permutation(len(texts))
    return [texts[i] for i in order[:num]]


def spearman(scores: Any, labels: Any) -> dict[str, Any]:
    """Rank correlation with a bootstrap interval over problems."""
    scores, labels = np.asarray(scores, float), np.asarray(labels)
    there = np.isfinite(scores)
    scores, labels = scores[there], labels[there]
    rng = stream(0, "bootstrap")
    draws = [rng.integers(0, len(scores), len(scores)) for _ in range(1000)]
    values = [stats.spearmanr(scores[d], labels[d]).statistic for d in draws]
    low, high = np.nanquantile(values, (0.025, 0.975))
    value = stats.spearmanr(scores, labels).statistic
    return {"value": float(value), "low": float(low), "high": float(high), "n": len(scores)}


def tfidf_ridge(train: Sequence[str], labels: Sequence[int], test: Sequence[str]) -> np.ndarray:
    """A supervised baseline: ridge regression of the label on TF-IDF of stems and pairs of stems.

    Its damping is the one that ranks the last fifth of the training texts best.
    """
    labels = np.asarray(labels, float)
    inner = len(train) * 4 // 5
    ranks = {
        damp: stats.spearmanr(
            _ridge(train[:inner], labels[:inner], train[inner:], damp), labels[inner:]
        ).statistic
        for damp in DAMPINGS
    }
    return _ridge(train, labels, test, max(ranks, key=lambda damp: ranks[damp]))


def _ridge(
    train: Sequence[str], labels: np.ndarray, test: Sequence[str], damp: float
) -> np.ndarray:
    stemmer, known = Stemmer(), dict[tuple[int, ...], int]()

    def counts(texts: Sequence[str]) -> sp.csr_matrix:
        found = list[tuple[int, int]]()
        for i, text in enumerate(texts):
            words = [int(w) for w in stemmer(text) if w]
            grams = [(w,) for w in words] + list(pairwise(words))
            found += [(i, known.setdefault(gram, len(known))) for gram in grams]
        at, columns = np.array(found).T
        matrix = sp.csr_matrix((np.ones(len(at)), (at, columns)), shape=(len(texts), 1 << 19))
        matrix.data = 1 + np.log(matrix.data)
        return matrix

    left, right = counts(train), counts(test)
    weights = np.log((len(train) + 1) / ((left > 0).sum(axis=0).A1 + 1)) + 1

    def scaled(matrix: sp.csr_matrix) -> sp.csr_matrix:
        matrix = matrix @ sp.diags(weights)
        norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()) + 1e-9
        return sp.diags(1 / norms) @ matrix

    middle = labels.mean()
    return scaled(right) @ lsqr(scaled(left), labels - middle, damp=damp)[0] + middle


def sized(num: int, programs: bool) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Instructions of both permissive sets, and their answers' sizes: tokens, and syntax nodes.

    With `programs`, of rows whose answer is a Python program with a function; else nodes are 0.
    """
    teacher = json.loads((CODE / "gpteacher-codegen.json").read_text())
    pairs = [(f"{row['instruction']}\n{row['input']}".strip(), row["response"]) for row in teacher]
    mbpp = [json.loads(x) for x in (CODE / "mbpp.jsonl").read_text().splitlines()]
    pairs += [(row["text"], row["code"]) for row in mbpp]
    order = stream(0, "sized").permutation(len(pairs))
    some = [read_sample({"prompt": pairs[i][0], "completion": pairs[i][1]}, 0)
            for i in order if pairs[i][0].strip()]  # fmt: skip
    sizes, nodes = answer_sizes(some), np.array([num_nodes(sample) for sample in some])
    there = np.flatnonzero(np.isfinite(sizes) & (nodes > 0 if programs else True))[:num]
    return [some[i].question for i in there], sizes[there], nodes[there]


def num_nodes(sample: Sample) -> float:
    """Nodes of the syntax tree of a sample's Python program, 0 without one."""
    program = program_of(sample)
    return 0.0 if program is None else float(len(list(ast.walk(ast.parse(program.code)))))


class States:
    """Pooled states of texts at one layer; kept in a file for each set of texts."""

    def __init__(self, layer: int, folder: Path) -> None:
        self.handle, self.layer, self.folder = ModelHandle("smollm2-135m"), layer, folder
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """States of the texts, each cut at MAX_TOKENS."""
        cut = [cut_tokens(self.handle, text, MAX_TOKENS) for text in texts]
        place = self.folder / f"{content_hash([self.layer, *cut])[:16]}.npy"
        if not place.is_file():
            states = embed_texts(self.handle, cut, Meter(), layer=self.layer)
            with atomic_write(place, "wb") as file:
                np.save(file, states)
        return np.load(place)


def trained(
    states: np.ndarray, wanted: np.ndarray, held: np.ndarray, fit: Callable[..., Scorer],
    other: tuple[np.ndarray, np.ndarray],
) -> tuple[Scorer, float, float]:  # fmt: skip
    """The scorer, its penalty, and how it ranks held-out instructions.

    The penalty is the one that ranks `other`, states and answers' sizes of LeetCode's problems
    before the last fifth, best: penalties that suit an instruction's own kind suit others less.
    """
    found = {p: fit(states[~held], wanted[~held], penalty=p) for p in PENALTIES}
    ranks = {p: stats.spearmanr(f.score(other[0]), other[1]).statistic for p, f in found.items()}
    best = max(ranks, key=lambda penalty: ranks[penalty])
    own = stats.spearmanr(found[best].score(states[held]), wanted[held]).statistic
    return found[best], best, float(own)


def ship(scorer: Scorer, states: States, about: dict[str, Any], target: Path) -> None:
    """Write a scorer that burnish brings along."""
    info = {"seeds": "GPTeacher codegen (MIT), MBPP (CC-BY 4.0)", **about}
    scorer = replace(scorer, layer=states.layer, backbone=states.handle.key, info=info)
    save_scorer(scorer, target)


def main() -> None:
    """Rank with everything, and write the scorers that ship."""
    options = argparse.ArgumentParser()
    options.add_argument("--seeds", type=int, default=120)
    options.add_argument("--sized", type=int, default=1500)
    options.add_argument("--layer", type=int, default=16)
    options.add_argument("--skip-losses", action="store_true")
    given = options.parse_args()
    rows = problems()
    cut = len(rows) - len(rows) // 5
    labels = [HARD[row["meta"]["difficulty"]] for row in rows]
    test, wanted = rows[cut:], labels[cut:]
    pairs = [read_sample({"prompt": statement(row), "completion": row["completion"]}, i)
             for i, row in enumerate(test)]  # fmt: skip
    queries = [row["query"] for row in rows]
    ridge = tfidf_ridge(queries[:cut], labels[:cut], queries[cut:])
    found: dict[str, Any] = {
        "num_test": len(test),
        "num_seeds": given.seeds,
        "num_sized": given.sized,
        "layer": given.layer,
        "length of the task": spearman(instruction_lengths(pairs), wanted),
        "size of the answer": spearman(answer_sizes(pairs), wanted),
        "tf-idf ridge, trained on labels": spearman(ridge, wanted),
    }
    print(json.dumps(found, indent=1), flush=True)
    states = States(given.layer, BUILD)
    mine = states([pair.question for pair in pairs])
    earlier = [read_sample({"prompt": statement(row), "completion": row["completion"]}, 0)
               for row in rows[:cut][:: max(1, cut // NUM_OTHER)]]  # fmt: skip
    other = states([sample.question for sample in earlier]), answer_sizes(earlier)
    evolved, levels = evolved_set(seeds(given.seeds))
    every, any_sizes, _ = sized(given.sized, programs=False)
    texts, sizes, nodes = sized(given.sized, programs=True)
    for name, some, target, num_each, fit, path in (
        ("scorer of evolved levels", evolved, levels, NUM_LEVELS, fit_head, BUNDLED),
        ("scorer of programs' sizes", texts, sizes, 1, fit_sizes, BUNDLED_SIZES),
        ("the same of syntax nodes", texts, nodes, 1, fit_sizes, None),
        ("the same of any answers' sizes", every, any_sizes, 1, fit_sizes, None),
    ):
        num = len(some) // num_each  # instructions; a fifth of them is held out
        held = np.repeat(np.arange(num) < num // 5, num_each)
        scorer, penalty, rank = trained(states(some), target, held, fit, other)
        if path is not None:
            ship(scorer, states, {"num_texts": len(some), "penalty": penalty}, path)
        found[name] = spearman(scorer.score(mine), wanted) | {"penalty": penalty, "own rank": rank}
        print(name, json.dumps(found[name]), flush=True)
    if not given.skip_losses:
        for name, values in losses(states.handle, pairs).items():
            found[name] = spearman(values, wanted)
            print(name, json.dumps(found[name]), flush=True)
    save("curate_complexity", found)


def losses(handle: ModelHandle, pairs: Sequence[Sample]) -> dict[str, np.ndarray]:
    """Perplexity and IFD of the reference solutions, in chunks that are kept."""
    log = RecordLog(BUILD / "losses.jsonl")
    known = {row["id"]: row for row in log.read()}
    with log:
        for start in range(0, len(pairs), CHUNK):
            some = [pair for pair in pairs[start : start + CHUNK] if pair.id not in known]
            if some:
                both = baselines.perplexities(handle, some, Meter())
                for pair, after, alone in zip(some, *both, strict=True):
                    known[pair.id] = {"id": pair.id, "after": after, "alone": alone}
                    log.append(known[pair.id])
    after, alone = (np.array([known[pair.id][n] for pair in pairs]) for n in ("after", "alone"))
    return {"perplexity of the answer": after, "IFD": after / alone}


if __name__ == "__main__":
    main()
