"""Claim: how well scorers without human labels rank LeetCode's difficulty, beside simple measures.

The scorer is a head over SmolLM2's states, trained on instructions (GPTeacher, MIT; MBPP, CC-BY)
that our operators evolve to levels 0 to 5; it sees no label of LeetCode. The last fifth of the
problems by question id is ranked: Easy < Medium < Hard. Beside it: length; perplexity and IFD of
the reference solution; and a ridge on TF-IDF that is trained on the labels of the other four
fifths. Cells resume. Needs ../shared/data/code and SmolLM2's weights; `--seeds N` sets the size.
"""

import argparse
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from recording import RESULTS, save
from scipy import stats
from scipy.sparse.linalg import lsqr

from burnish.base.meter import Meter
from burnish.base.rng import stream
from burnish.curate import baselines
from burnish.curate.complexity import BUNDLED, Scorer, fit_head, save_scorer
from burnish.curate.evolve import NUM_LEVELS, evolved_set
from burnish.curate.samples import read_sample
from burnish.curate.scoring import cut_tokens, embed_texts
from burnish.curate.tokens import Stemmer
from burnish.models.handle import ModelHandle

CODE = Path(__file__).parents[2] / "shared/data/code"
HARD = {"Easy": 0, "Medium": 1, "Hard": 2}
MAX_TOKENS = 160


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


def spearman(scores: Sequence[float], labels: Sequence[int]) -> dict[str, Any]:
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
    """A supervised baseline: ridge regression of the label on TF-IDF of stems."""
    stemmer, known = Stemmer(), dict[int, int]()

    def counts(texts: Sequence[str]) -> sp.csr_matrix:
        rows = [(i, known.setdefault(int(w), len(known))) for i, t in enumerate(texts)
                for w in stemmer(t) if w]  # fmt: skip
        at, columns = np.array(rows).T
        return sp.csr_matrix((np.ones(len(at)), (at, columns)), shape=(len(texts), 60000))

    left, right = counts(train), counts(test)
    weights = np.log((len(train) + 1) / ((left > 0).sum(axis=0).A1 + 1))

    def scaled(matrix: sp.csr_matrix) -> sp.csr_matrix:
        matrix = matrix @ sp.diags(weights)
        norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()) + 1e-9
        return sp.diags(1 / norms) @ matrix

    middle = np.mean(labels)
    weight = lsqr(scaled(left), np.asarray(labels) - middle, damp=1.0)[0]
    return scaled(right) @ weight + middle


def main() -> None:
    """Rank with everything, and write the scorer that ships."""
    options = argparse.ArgumentParser()
    options.add_argument("--seeds", type=int, default=400)
    options.add_argument("--layers", type=int, nargs="+", default=[8, 16, 30])
    options.add_argument("--skip-losses", action="store_true")
    given = options.parse_args()
    rows = problems()
    cut = len(rows) - len(rows) // 5
    texts = [statement(row) for row in rows]
    labels = [HARD[row["meta"]["difficulty"]] for row in rows]
    test, wanted = texts[cut:], labels[cut:]
    found: dict[str, Any] = {
        "num_test": len(test),
        "num_seeds": given.seeds,
        "length": spearman([len(t) for t in test], wanted),
        "tf-idf ridge, trained on labels": spearman(
            tfidf_ridge(texts[:cut], labels[:cut], test), wanted
        ),
    }
    print(json.dumps(found, indent=1), flush=True)
    handle, meter = ModelHandle("smollm2-135m"), Meter()
    evolved, levels = evolved_set(seeds(given.seeds))
    cut_evolved = [cut_tokens(handle, text, MAX_TOKENS) for text in evolved]
    cut_test = [cut_tokens(handle, text, MAX_TOKENS) for text in test]
    best = None
    for layer in given.layers:
        states = embed_texts(handle, cut_evolved, meter, layer=layer)
        held = np.repeat(np.arange(given.seeds) < given.seeds // 5, NUM_LEVELS)
        fitted = fit_head(states[~held], levels[~held])
        own = stats.spearmanr(fitted.score(states[held]), levels[held]).statistic
        scorer = Scorer(
            fitted.weight, fitted.bias, fitted.mean, fitted.scale, layer=layer,
            backbone=handle.key,
            info={"seeds": "GPTeacher codegen (MIT), MBPP (CC-BY 4.0)", "num_seeds": given.seeds},
        )  # fmt: skip
        ranks = spearman(scorer.score(embed_texts(handle, cut_test, meter, layer=layer)), wanted)
        found[f"scorer, layer {layer}"] = ranks | {"levels of held-out seeds": float(own)}
        print(layer, json.dumps(found[f"scorer, layer {layer}"]), flush=True)
        if best is None or own > best[0]:  # chosen by levels, never by LeetCode's labels
            best = (own, scorer)
    assert best is not None
    save_scorer(best[1], BUNDLED)
    found["bundled layer"] = best[1].layer
    if not given.skip_losses:
        pairs = [read_sample({"prompt": t, "completion": r["completion"]}, i)
                 for i, (t, r) in enumerate(zip(test, rows[cut:], strict=True))]  # fmt: skip
        for name in (baselines.PERPLEXITY, baselines.IFD):
            values = baselines.answer_losses(handle, pairs, meter, name=name)
            found[name] = spearman(values, wanted)
            print(name, json.dumps(found[name]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    save("curate_complexity", found)


if __name__ == "__main__":
    main()
