"""Claim: leaks of HumanEval that were rephrased or translated are found at 1% false positives.

The clean pool is GPTeacher's code instructions; GPT-4's rephrasings of HumanEval are planted, in
Python as they are and, translated by our own printer with its examples and names changed, in
JavaScript and C. A translation into a language is looked for without the references of that very
printer target (`held out`), since those would recognise their own output; and with them. Beside
ours: the paper's TLI score, and any shared 13-gram. `--embed` adds arms with the embedding view, in
the states of `--layer` of the embedded model; `--clean` takes so many of the clean rows. Needs
../shared/data/code.
"""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recording import save

from burnish.curate import views
from burnish.curate.embedding import Embedder
from burnish.curate.leaks import find_leaks, scan_pool
from burnish.curate.pool import PoolReport, read_pool
from burnish.curate.settings import LeakageSettings
from burnish.curate.tli import TestLeakage
from burnish.curate.translate import TARGETS, translate
from burnish.data.benchmarks import BenchmarkItem, load_benchmark
from burnish.distrib import launchers
from burnish.models.handle import ModelHandle

CODE = Path(__file__).parents[2] / "shared/data/code"
RATES = (0.01, 0.001)


def camel(text: str) -> str:
    """Names as other languages write them, and examples without Python's prompt."""
    text = re.sub(r"_(\w)", lambda m: m[1].upper(), text)
    return text.replace(">>> ", "")


def leaks() -> dict[str, dict[int, str]]:
    """Planted texts by kind; keys are HumanEval's numbers."""
    rows = (CODE / "humaneval-rephrased-python.jsonl").read_text().splitlines()
    texts = {i: json.loads(row)["text"] for i, row in enumerate(rows)}
    python = {i: text for i, text in texts.items() if text.strip()}
    found = {"python": python}
    for target in TARGETS:
        made = {i: camel(translate(text, target)) for i, text in python.items()}
        found[target] = {i: text for i, text in made.items() if text}
    return found


def recall(best: np.ndarray, num_clean: int) -> dict[str, float]:
    """Share of leaks above the clean rows' own quantiles."""
    clean, planted = best[:num_clean], best[num_clean:]
    return {f"recall_at_{r:g}": float((planted > np.quantile(clean, 1 - r)).mean()) for r in RATES}


def ours(
    rows: Sequence[dict[str, Any]],
    items: Sequence[BenchmarkItem],
    num: int,
    embedder: Embedder | None = None,
) -> dict:
    """The command's own scan, its threshold and its flags."""
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.jsonl"
        pool.write_text("".join(json.dumps(row) + "\n" for row in rows))
        settings = LeakageSettings(pool=str(pool), run=False)
        started = time.process_time()
        launcher = launchers.parse("serial")
        scan = scan_pool(items, settings, launcher=launcher, embedder=embedder)
        seconds = time.process_time() - started
        found = find_leaks(scan, settings, None)
    flagged = {row["row"]: row["benchmark_id"] for row in found["flagged"]}
    ids = [row["id"] for row in rows]
    right = sum(flagged.get(i) == ids[i] for i in range(num, len(rows)))
    size = sum(len(row["text"]) for row in rows)
    return recall(scan.scored.scores[:, 0], num) | {
        "flagged_leaks": sum(i >= num for i in flagged) / (len(rows) - num),
        "flagged_clean": sum(i < num for i in flagged) / num,
        "right_source": right / (len(rows) - num),
        "scan_mb_per_cpu_second": size / 1e6 / seconds,
        "check": found["check"]["outcome"],
        "tli": found["tli"],
    }


def paper(texts: Sequence[str], items: Sequence[BenchmarkItem], lengths: Sequence[int]) -> Any:
    """The largest TLI share of each row."""
    tli = TestLeakage([item.prompt for item in items], lengths)
    started = time.process_time()
    best = np.concatenate(list(tli.add(texts)))
    return best, sum(map(len, texts)) / 1e6 / (time.process_time() - started)


def any_gram(texts: Sequence[str], items: Sequence[BenchmarkItem], n: int) -> np.ndarray:
    """Which texts share any n words in a row with a prompt, as filters of pretraining do."""

    def grams(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    known = {gram for item in items for gram in grams(item.prompt)}
    return np.array([bool(grams(text) & known) for text in texts])


def main() -> None:
    """Measure all arms on all kinds of leak."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--embed", action="store_true")
    options.add_argument("--layer", type=int, default=0)
    options.add_argument("--clean", type=int, default=0, help="rows; 0: all")
    given = options.parse_args()
    model = ModelHandle("smollm2-135m")
    embedder = Embedder(handle=model, layer=given.layer, max_tokens=256) if given.embed else None
    items = load_benchmark("humaneval")
    clean = list(read_pool(CODE / "gpteacher-codegen.json", PoolReport()))
    rows = [{"id": s.id, "text": s.text} for s in clean]
    if given.clean:
        drawn = np.random.default_rng(0).permutation(len(rows))[: given.clean]
        rows = [rows[i] for i in sorted(drawn)]
    num = len(rows)
    found: dict[str, Any] = {"num_clean": num, "unplanted": ours([*rows], items, num - 1)}
    for kind, texts in leaks().items():
        planted = [{"id": items[i].id, "text": text} for i, text in texts.items()]
        pool = [*rows, *planted]
        everything = [row["text"] for row in pool]
        best, speed = paper(everything, items, (4, 5))
        grams = any_gram(everything, items, 13)
        arms: dict[str, Any] = {"num_leaks": len(planted), "ours": ours(pool, items, num)}
        arms["tli"] = recall(best, num) | {"mb_per_cpu_second": speed}
        arms["tli"]["filter_misses"] = float((best[num:] < 0.05).mean())
        arms["tli"]["filter_drops_clean"] = float((best[:num] >= 0.05).mean())
        arms["any 13-gram"] = {"recall": float((grams[num:] > 0).mean()),
                               "clean": float((grams[:num] > 0).mean())}  # fmt: skip
        if embedder is not None:
            arms["ours, with states"] = ours(pool, items, num, embedder)
        if kind in TARGETS:
            views.TARGETS = tuple(t for t in TARGETS if t != kind)
            arms["ours, held out"] = ours(pool, items, num)
            if embedder is not None:
                arms["ours, held out, with states"] = ours(pool, items, num, embedder)
            views.TARGETS = TARGETS
        found[kind] = arms
        print(kind, json.dumps(arms, indent=1))
    save("curate_leakage", found)


if __name__ == "__main__":
    main()
