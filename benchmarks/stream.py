"""Claims: spans bring back what matters; memory stays flat; an index saves reading again.

`--part audit` compares all policies under one budget, `ablation` changes one setting of
`triangle-dp` at a time, `passkey` asks for planted codes beyond the model's window, `tries` the
same with one of `--changes` each, `tasks` for several values and chains of variables inside it,
`lengths` takes memory and latency, `full` how fast full attention reads, `reopen` the time to the
first token from an index and from the text, `segment` the time to cut a window of 4,096. Every part
can be stopped and called again: finished cells are kept in `--runs`.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from recording import RESULTS, header, save

from burnish.base.items import ItemLog
from burnish.base.stats import wilson
from burnish.engine.session import DecoderSession
from burnish.kernels import ops
from burnish.kv.retrieval.spans import best_spans, greedy_spans, triangle_scores
from burnish.models.load import load_model
from burnish.stream.asking import Index
from burnish.stream.audit_job import AuditSettings, audit_policies
from burnish.stream.bench_job import BenchSettings, bench_stream
from burnish.stream.needles import Kind, make_haystack
from burnish.stream.policy_audit import Frame, audit_text, under_budget
from burnish.stream.reading import IngestSettings, ingest

MODEL = "smollm2-135m"
HEADS = "18.6+18.8+18.7+17.5+17.3+17.4+1.3+16.1+19.5+14.3"  # stream calibrate, on other texts
VOTED = f"triangle-dp:vote_heads={HEADS}"
POLICIES = (
    f"{VOTED},triangle-dp,triangle,triangle-dp:cut=blocks,vote_heads={HEADS},"
    f"random:what=bounds,vote_heads={HEADS},blocks,blocks:size=32,vectors=apart,quest,surprise,"
    "snapkv,expected-attention,sinks,random,oracle"
)
ABLATIONS = ",".join(
    [VOTED, f"triangle-dp:cut=greedy,vote_heads={HEADS}"]
    + [f"{VOTED},{more}" for more in (
        "vote_frac=0", "vote_keep=0", "refine=1", "aligned=false,refine=1", "static=true",
        "int8=false", "theta=0.02", "persist=0.9,persist_frac=0.25",
        "mean_tokens=32,least_tokens=8,most_tokens=128",
    )]
)  # fmt: skip


def merge(part: str, rows: Any) -> None:
    """Write one part into the benchmark's file, the others left as they are."""
    path = RESULTS / "stream.json"
    kept = json.loads(path.read_text())["results"] if path.exists() else {}
    head = header()
    made = {"cpu": head["host"]["cpu"], "commit": head["git"]["commit"], "when": head["when"]}
    save("stream", kept | {part: rows, "measured": kept.get("measured", {}) | {part: made}})


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
    sizes = {
        n: getattr(settings, n) for n in ("length", "budget", "needles", "texts", "corpus", "tail")
    }
    return sizes | {name: told[name] for name in ("policies", "first", "differences")}


def answered(
    given: argparse.Namespace, part: str, cells: Sequence[tuple[str, int, Kind]]
) -> list[dict[str, Any]]:
    """Share of right answers of each cell: a policy, a length and a kind of needles."""
    log = ItemLog(given.runs / f"{part}.jsonl", fields=("policy", "length", "kind", "text"))
    model = load_model(MODEL)
    frame = Frame(num_sinks=4, local_tokens=512, bound=0.1)
    found = []
    for spec, length, kind in cells:
        rows: list[dict[str, Any]] = []
        for number in range(given.texts):
            if (spec, length, kind, number) not in log.done:
                text = make_haystack(
                    model.tokenizer, corpus="stdlib", length=length, num_needles=given.needles,
                    tail=1024, seed=number, kind=kind,
                )  # fmt: skip
                policy = under_budget(spec, far_tokens=given.budget, local_tokens=512, num_sinks=4)
                kept = [
                    {name: row[name] for name in ("right", "evidence", "mass")}
                    for row in audit_text(model, policy, text, frame)
                ]
                cell = {"policy": spec, "length": length, "kind": kind, "text": number}
                log.keep(cell | {"rows": kept})
            rows += log.done[spec, length, kind, number]["rows"]
        means = {n: statistics.mean(row[n] for row in rows) for n in ("evidence", "mass")}
        share = wilson(int(sum(row["right"] for row in rows)), len(rows)).to_dict()
        found.append({"policy": spec, "length": length, "kind": kind, **share, **means})
        print(found[-1], flush=True)
    return found


def passkey(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Full attention inside the window, policies beyond."""
    cells: list[tuple[str, int, Kind]] = [("full", 4096, "facts")]
    lengths = [n for n in (16_384, 32_768) if n <= given.longest]
    cells += [(p, n, "facts") for n in lengths for p in (VOTED, "blocks", "sinks")]
    return answered(given, "passkey", cells)


def tries(given: argparse.Namespace) -> list[dict[str, Any]]:
    """What might bring the passkeys back at the longest length: one change at a time."""
    changes = given.changes.split("/")
    cells: list[tuple[str, int, Kind]] = [
        (f"{VOTED},{one}" if one else VOTED, given.longest, "facts") for one in changes
    ]
    return answered(given, "tries", cells)


def tasks(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Harder needles inside the window, where full attention says what can be answered."""
    kinds: tuple[Kind, ...] = ("multikey", "multivalue", "variables")
    cells = [(p, given.length, kind) for kind in kinds for p in ("full", VOTED, "blocks")]
    return answered(given, "tasks", cells)


def lengths(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Memory and latency from 8k tokens on."""
    sizes = tuple(n for n in (8192, 16_384, 32_768, 65_536, 131_072) if n <= given.longest)
    settings = BenchSettings(
        model=MODEL, policy=f"{VOTED},every_tokens={given.every}", lengths=sizes,
        budget=given.budget,
    )  # fmt: skip
    return bench_stream(settings, runs=given.runs)["lengths"]


def full(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Tokens a second that full attention reads behind so many others, in chunks like ours.

    The cells before hold random numbers, which take the same time as a text's. PyTorch's attention
    reads here, since our kernel is made for a few rows and slower with so many.
    """
    model, chunk, found = load_model(MODEL), 512, []
    network: Any = model.network
    for length in [n for n in (8192, 32_768) if n <= given.longest]:
        session = DecoderSession(
            network, num_slots=1, capacity_tokens=length, dtype=model.dtype, device=model.device
        )
        cache = session.cache
        cache.cells.normal_(generator=torch.Generator().manual_seed(0))
        ids = list(range(3, 3 + chunk))
        times = []
        for _ in range(2):
            cache.lengths[0] = length - chunk
            started = time.perf_counter()
            with mock.patch.object(ops, "usable", return_value=False):
                session.prefill([0], [ids])
            times.append(time.perf_counter() - started)
        found.append({"length": length, "prefill_tokens_per_s": chunk / statistics.median(times)})
        print(found[-1], flush=True)
    return found


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
    "tasks": tasks,
    "tries": tries,
    "lengths": lengths,
    "full": full,
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
    parser.add_argument("--answers", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--changes", default="positions=packed//refine=4")
    parser.add_argument("--runs", type=Path, default=Path("runs/stream"))
    given = parser.parse_args()
    given.runs.mkdir(parents=True, exist_ok=True)
    merge(given.part, PARTS[given.part](given))


if __name__ == "__main__":
    main()
