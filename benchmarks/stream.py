"""Claims: spans bring back what matters; memory stays flat; an index saves reading again.

`--part audit` compares all policies under one budget, `ablation` changes one setting of
`triangle-dp` at a time, `passkey` asks for planted codes beyond the model's window, `lengths` takes
memory and latency, `reopen` the time to the first token from an index and from the text, `segment`
the time to cut a window of 4,096. Every part can be stopped and called again: finished cells are
kept in `--runs`.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from recording import RESULTS, save

from burnish.base.items import ItemLog
from burnish.base.stats import wilson
from burnish.kv.retrieval.spans import best_spans, greedy_spans, triangle_scores
from burnish.models.load import load_model
from burnish.stream.asking import Index
from burnish.stream.audit_job import AuditSettings, audit_policies
from burnish.stream.bench_job import BenchSettings, bench_stream
from burnish.stream.needles import make_haystack
from burnish.stream.policy_audit import Frame, audit_text, under_budget
from burnish.stream.reading import IngestSettings, ingest

MODEL = "smollm2-135m"
POLICIES = (
    "triangle-dp,triangle,blocks,blocks:size=32,vectors=apart,random:what=bounds,quest,surprise,"
    "snapkv,expected-attention,sinks,random,oracle"
)
ABLATIONS = (
    "triangle-dp,triangle,triangle-dp:theta=0.02,triangle-dp:mean_tokens=16,"
    "triangle-dp:mean_tokens=64,triangle-dp:static=true,triangle-dp:persist=0.9,persist_frac=0.25,"
    "triangle-dp:vote_frac=0.25"
)


def merge(part: str, rows: Any) -> None:
    """Write one part into the benchmark's file, the others left as they are."""
    path = RESULTS / "stream.json"
    kept = json.loads(path.read_text())["results"] if path.exists() else {}
    save("stream", kept | {part: rows})


def audited(policies: str, given: argparse.Namespace) -> dict[str, Any]:
    """The numbers of an audit with the given sizes."""
    settings = AuditSettings(
        model=MODEL,
        policies=policies,
        length=given.length,
        budget=given.budget,
        needles=given.needles,
        texts=given.texts,
        answers=given.answers,
    )
    told = audit_policies(settings, runs=given.runs)
    sizes = {n: getattr(settings, n) for n in ("length", "budget", "needles", "texts", "corpus")}
    return sizes | {name: told[name] for name in ("policies", "first", "differences")}


def passkey(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Share of right answers by length: full attention inside the window, policies beyond."""
    log = ItemLog(given.runs / "passkey.jsonl", fields=("policy", "length", "text"))
    cells = [("full", 4096)]
    cells += [(p, n) for n in (16_384, 32_768) for p in ("triangle-dp", "blocks", "sinks")]
    model = load_model(MODEL)
    frame = Frame(num_sinks=4, local_tokens=512, bound=0.1)
    for spec, length in cells:
        for number in range(given.texts):
            if (spec, length, number) in log.done:
                continue
            text = make_haystack(
                model.tokenizer, corpus="stdlib", length=length, num_needles=given.needles,
                tail=1024, seed=number,
            )  # fmt: skip
            policy = under_budget(spec, far_tokens=given.budget, local_tokens=512, num_sinks=4)
            rows = audit_text(model, policy, text, frame)
            right = [row["right"] for row in rows]
            log.keep({"policy": spec, "length": length, "text": number, "right": right})
    found = []
    for spec, length in cells:
        right = [x for n in range(given.texts) for x in log.done[spec, length, n]["right"]]
        share = wilson(int(sum(right)), len(right)).to_dict()
        found.append({"policy": spec, "length": length, **share})
    return found


def lengths(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Memory and latency from 8k tokens on."""
    sizes = tuple(n for n in (8192, 16_384, 32_768, 65_536, 131_072) if n <= given.longest)
    settings = BenchSettings(
        model=MODEL, policy=f"triangle-dp:every_tokens={given.every}", lengths=sizes,
        budget=given.budget,
    )  # fmt: skip
    return bench_stream(settings, runs=given.runs)["lengths"]


def reopen(given: argparse.Namespace) -> dict[str, Any]:
    """Seconds to the first token: from an open folder's index, and with reading the text."""
    model = load_model(MODEL)
    text = make_haystack(
        model.tokenizer, corpus="stdlib", length=given.length, num_needles=2, tail=1024, seed=0
    )
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "text.txt"
        file.write_text(model.tokenizer.decode(text.ids))
        started = time.perf_counter()
        ingest(IngestSettings(model=MODEL, files=(str(file),), index=f"{place}/index"))
        reading = time.perf_counter() - started
        times = []
        for _ in range(5):
            started = time.perf_counter()
            index = Index(Path(place) / "index")
            opened = time.perf_counter() - started
            first = index.ask("What is the secret code?", max_new_tokens=1)["first_token_s"]
            times.append(opened + first)
    again = statistics.median(times)
    return {"length": given.length, "read_s": reading, "reopen_s": again, "ratio": reading / again}


def segment(given: argparse.Namespace) -> dict[str, float]:
    """Median milliseconds to cut 4,096 tokens, spans of up to 128, by part."""
    band = np.random.default_rng(0).random((4096, 128)).astype("f4") ** 4 * 0.3
    scores = triangle_scores(band, 0.07)
    parts: dict[str, Callable[[], Any]] = {
        "scores": lambda: triangle_scores(band, 0.07),
        "greedy": lambda: greedy_spans(scores, 8, 128, 32),
        "best": lambda: best_spans(scores, 8, 128, 32),
    }
    found = {}
    for name, part in parts.items():
        times = []
        for _ in range(9):
            started = time.perf_counter()
            part()
            times.append(1000 * (time.perf_counter() - started))
        found[f"{name}_ms"] = statistics.median(times)
    return found


PARTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "audit": lambda given: audited(POLICIES, given),
    "ablation": lambda given: audited(ABLATIONS, given),
    "passkey": passkey,
    "lengths": lengths,
    "reopen": reopen,
    "segment": segment,
}


def main() -> None:
    """Run one part and keep its numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=sorted(PARTS), required=True)
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--longest", type=int, default=131_072)
    parser.add_argument("--budget", type=int, default=1024)
    parser.add_argument("--needles", type=int, default=50)
    parser.add_argument("--texts", type=int, default=2)
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--answers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/stream"))
    given = parser.parse_args()
    given.runs.mkdir(parents=True, exist_ok=True)
    merge(given.part, PARTS[given.part](given))


if __name__ == "__main__":
    main()
