"""Question: does choosing beat a random choice of as many tokens?

SmolLM2 is fine-tuned (LoRA, one epoch) on `--tokens` of GPTeacher's instructions, chosen at random,
by length, by complexity, by complexity and quality, and by the full rule, which is diverse too.
Three seeds. The measure is the loss [nats a token] of MBPP's held-out reference solutions after
their tasks. Cells resume, one file a cell: `scores` first (complexity, quality and vectors of the
pool, computed once), then an arm and seed at a time; `--minutes` bounds a call. The pool is drawn
from GPTeacher's rows, so that all fits in an hour of one core. Needs ../shared/data/code and the
weights.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recording import RESULTS, save

from burnish.base.meter import Meter
from burnish.base.records import read_json, write_json
from burnish.base.rng import stream
from burnish.base.stats import bootstrap, paired_difference
from burnish.contracts.generation import ScoreRequest
from burnish.curate.complexity import BUNDLED, load_scorer, score_texts
from burnish.curate.picking import Candidates, pick
from burnish.curate.pool import PoolReport, read_pool
from burnish.curate.quality import measure_quality
from burnish.curate.samples import Sample
from burnish.curate.scoring import cut_tokens, embed_texts
from burnish.curate.settings import PickSettings
from burnish.data.chat import render_example
from burnish.engine.score import score
from burnish.models.handle import ModelHandle
from burnish.sandbox.executor import SandboxExecutor
from burnish.train.examples import Example
from burnish.train.fit import fit
from burnish.train.settings import TrainSettings

CODE = Path(__file__).parents[2] / "shared/data/code"
CELLS = RESULTS / "curate_selection.cells"
BUILD = Path(__file__).parents[1] / "build" / "selection"
POOL_ROWS, TOKENS, HELDOUT, MAX_TOKENS = 600, 10_000, 60, 256
THRESHOLD = 0.945  # of the paper
ARMS = ("random", "length", "complexity", "complexity+quality", "full")


def pool() -> list[Sample]:
    """Rows with both sides, drawn by a fixed seed."""
    rows = read_pool(CODE / "gpteacher-codegen.json", PoolReport())
    found = [row for row in rows if not row.is_empty]
    chosen = stream(0, "pool").permutation(len(found))[:POOL_ROWS]
    return [found[i] for i in sorted(chosen.tolist())]


def heldout(tokenizer: Any) -> list[ScoreRequest]:
    """Tasks of MBPP with their solutions, drawn by a fixed seed."""
    rows = [json.loads(line) for line in (CODE / "mbpp.jsonl").read_text().splitlines()]
    chosen = stream(0, "heldout").permutation(len(rows))[:HELDOUT]
    found = []
    for i in sorted(chosen.tolist()):
        prompt, answer = render_example(tokenizer, rows[i]["text"], rows[i]["code"])
        found.append(ScoreRequest(id=str(i), prompt=tuple(prompt), completion=tuple(answer)))
    return found


def losses(model: Any, requests: Sequence[ScoreRequest]) -> list[float]:
    """Mean loss of every solution."""
    return [-float(np.mean(one.logprobs)) for one in score(model, requests)]


def scores(rows: Sequence[Sample], handle: ModelHandle) -> dict[str, list[Any]]:
    """Complexity, quality and vectors of the pool; a cell of its own."""
    place = BUILD / "scores.json"
    if place.is_file():
        return read_json(place)
    scorer = load_scorer(BUNDLED)
    complexity = score_texts(scorer, handle, [row.question for row in rows], Meter())
    qualities = measure_quality(rows, SandboxExecutor(), max_tests=4)
    texts = [cut_tokens(handle, row.text, MAX_TOKENS) for row in rows]
    vectors = embed_texts(handle, texts, Meter())
    found = {
        "complexity": [float(c) for c in complexity],
        "quality": [q.value for q in qualities],
        "vectors": np.round(vectors.astype(np.float64), 4).tolist(),
    }
    write_json(place, found)
    return found


def chosen(
    arm: str, rows: Sequence[Sample], known: dict[str, Any], tokens: np.ndarray, seed: int,
    budget: int,
) -> list[int]:  # fmt: skip
    """The rows of an arm. Arms that rank do so once: their seeds differ in training alone."""
    nothing = np.full(len(rows), np.nan)
    quality = np.array([np.nan if q is None else q for q in known["quality"]])
    lengths = np.array([float(len(row.question)) for row in rows])
    found = Candidates(
        complexity=lengths if arm == "length" else np.array(known["complexity"]),
        quality=quality if arm in ("complexity+quality", "full") else nothing,
        given=nothing,
        empty=[False] * len(rows),
        vectors=np.array(known["vectors"]) if arm == "full" else None,
        tokens=tokens,
    )
    settings = PickSettings(
        tokens=budget,
        rule="random" if arm == "random" else "xcoder",
        threshold=THRESHOLD if arm == "full" else 1.0,
        seed=seed,
    )
    return pick(found, settings).chosen


def run_cell(
    arm: str, seed: int, rows: Sequence[Sample], known: dict[str, Any], budget: int
) -> dict[str, Any]:
    """Train one arm with one seed, and measure."""
    handle = ModelHandle("smollm2-135m", precision="fp32")
    pairs = [render_example(handle.tokenizer, row.question, row.answer) for row in rows]
    pairs = [(p[:MAX_TOKENS], a[:MAX_TOKENS]) for p, a in pairs]
    tokens = np.array([len(p) + len(a) for p, a in pairs])
    some = chosen(arm, rows, known, tokens, seed, budget)
    examples = [Example(id=str(i), prompt=tuple(pairs[i][0]), answer=tuple(pairs[i][1]))
                for i in some]  # fmt: skip
    settings = TrainSettings(epochs=1, learning_rate=2e-4, seed=seed, examples_per_step=16)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        fit(handle.model, examples, settings, folder=Path(folder), meter=Meter())
    seconds = time.monotonic() - started
    return {
        "arm": arm,
        "seed": seed,
        "num_rows": len(some),
        "num_tokens": int(tokens[some].sum()),
        "seconds": seconds,
        "losses": losses(handle.model, heldout(handle.tokenizer)),
    }


def told(cells: Sequence[dict[str, Any]], base: Sequence[float]) -> dict[str, Any]:
    """Mean loss of every arm, and its paired difference to random, over tasks and seeds."""
    rng = stream(0, "selection")
    by_arm = {arm: [c for c in cells if c["arm"] == arm] for arm in ARMS}
    means = {arm: np.mean([c["losses"] for c in some], axis=0)
             for arm, some in by_arm.items() if some}  # fmt: skip
    found: dict[str, Any] = {"untrained": bootstrap(base, rng=rng).to_dict()}
    for arm, values in means.items():
        found[arm] = {
            "num_seeds": len(by_arm[arm]),
            "num_rows": by_arm[arm][0]["num_rows"],
            "num_tokens": by_arm[arm][0]["num_tokens"],
            "loss_nats": bootstrap(values, rng=rng).to_dict(),
        }
        if "random" in means and arm != "random":
            gain = paired_difference(means["random"], values, rng=rng)
            found[arm]["minus_random_nats"] = gain.to_dict()
    return found


def main() -> None:
    """Make the cells that are missing, and tell."""
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--tokens", type=int, default=TOKENS)
    options.add_argument("--arms", nargs="+", default=list(ARMS))
    given = options.parse_args()
    end = time.monotonic() + 60 * given.minutes
    for folder in (CELLS, BUILD):
        folder.mkdir(parents=True, exist_ok=True)
    rows = pool()
    handle = ModelHandle("smollm2-135m", precision="fp32")
    known = scores(rows, handle)
    base = CELLS / "untrained.json"
    if not base.is_file():
        write_json(base, losses(handle.model, heldout(handle.tokenizer)))
    handle.release()
    cells = []
    for seed in range(given.seeds):
        for arm in given.arms:
            place = CELLS / f"{arm.replace('+', '-')}-{seed}.json"
            if not place.is_file() and time.monotonic() < end:
                write_json(place, run_cell(arm, seed, rows, known, given.tokens))
                print(place.name, flush=True)
            cells += [read_json(place)] if place.is_file() else []
    sizes = {"pool_rows": len(rows), "budget_tokens": given.tokens, "heldout": HELDOUT}
    save("curate_selection", told(cells, read_json(base)) | {"sizes": sizes})


if __name__ == "__main__":
    main()
