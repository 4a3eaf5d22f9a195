"""Claims: a curve on shared prefixes costs a fraction of the paper's procedure and says the same.

`--part speed` runs the paper's procedure (our own words for its semantics: every text in one
forward pass of transformers' model, all logits kept, argmax of all of them) and ours on one grid,
length by length, taking turns. `policies`, `toys`, `robust` and `probe` measure what the curves of
models say that are known: KV policies on the same weights, tiny models trained on copying, one
model on several corpora. Every part can be stopped and called again: finished cells are kept.
"""

import argparse
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recording import RESULTS, header, save

from burnish.base.records import RecordLog
from burnish.data.corpora import parse_corpus
from burnish.models.load import load_model, resolve_folder
from burnish.recall.geometry import Layout, parse_lengths
from burnish.recall.logits import NEAR_TIE
from burnish.recall.material import Material, draw_material
from burnish.recall.readers import open_reader
from burnish.recall.run import measure_curve
from burnish.recall.separators import separator_id
from burnish.recall.settings import RecallSettings

MODEL = "smollm2-135m"


@functools.cache
def measured() -> dict[str, Any]:
    """Machine, versions and commit, before this run has written anything."""
    return header(["transformers"])


def merge(part: str, rows: dict[str, Any]) -> None:
    """Write one part into the benchmark's file, the others left as they are.

    Each part says for itself where it was measured.
    """
    path = RESULTS / "recall_curve.json"
    kept = json.loads(path.read_text())["results"] if path.exists() else {}
    rows = rows | {"measured": measured()}
    save("recall_curve", kept | {part: rows}, peers=["transformers"])


def material(tokenizer: Any, length: int, trials: int) -> Material:
    """Texts of the standard library."""
    return draw_material(
        tokenizer,
        parse_corpus("stdlib"),
        length=length,
        trials=trials,
        separator=separator_id(tokenizer),
    )


# ---- speed: the paper's procedure and ours, one trial, length by length ----


class Naive:
    """[SEP] s [SEP] s [EOS] in one forward pass, logits of every position, their argmax."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM

        self.network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.logits_bytes = 0

    def __call__(self, prefix: list[int], target: list[int], sep: int, eos: int) -> np.ndarray:
        """The token predicted for each token of the repetition, and how close the second was."""
        ids = torch.tensor([[sep, *prefix, sep, *target, eos]])
        with torch.no_grad():
            logits = self.network(input_ids=ids, use_cache=False).logits
            self.logits_bytes = logits.numel() * logits.element_size()
            predicted = logits.argmax(-1)[0]
            best = logits[0, -len(target) - 2 : -2].topk(2).values
        own = predicted[-len(target) - 2 : -2]
        return np.stack([own.numpy(), (best[:, 0] - best[:, 1]).numpy()])


class Ours:
    """Two readers that go along the grid: the target as prefix, and the irrelevant text."""

    def __init__(self, model: Any, texts: Material, mode: str) -> None:
        self.layout, self.texts, self.read = Layout(mode=mode), texts, 0
        self.readers = [open_reader(model) for _ in range(2)]
        self.prefixes = [(texts.separator, *t) for t in (texts.targets[0], texts.irrelevant)]

    def go_to(self, length: int) -> None:
        """Read both prefixes on to a length."""
        for reader, prefix in zip(self.readers, self.prefixes, strict=True):
            reader.extend(prefix[self.read : length + 1])
        self.read = length + 1

    def __call__(self, length: int) -> list[tuple[int, ...]]:
        """Predictions of both sides at the next length."""
        self.go_to(length)
        again = self.texts.targets[0][: self.layout.repeated(length)]
        tokens, num_scored = (self.texts.separator, *again), self.layout.scored(length)
        return [reader.predict(tokens, num_scored).tokens for reader in self.readers]


def timed(call: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds of the clock, seconds of the processor (all threads), and what the call gave."""
    start, busy = time.perf_counter(), time.process_time()
    found = call()
    return time.perf_counter() - start, time.process_time() - busy, found


def differences(
    layout: Layout, length: int, found: list[tuple[int, ...]], wanted: list[np.ndarray]
) -> tuple[int, int]:
    """Scored places where the argmax differs, and how many of these are near-ties."""
    last = layout.repeated(length)
    rows = slice(last - layout.scored(length), last)
    differs = ties = 0
    for ours, theirs in zip(found, wanted, strict=True):
        wrong = np.array(ours) != theirs[0, rows]
        differs += int(wrong.sum())
        ties += int((wrong & (theirs[1, rows] < NEAR_TIE)).sum())
    return differs, ties


def speed(options: argparse.Namespace) -> None:
    """One trial on every n-th length of the grid: the paper's procedure, and ours beside it.

    Ours is timed from the grid's previous length on, so a cell costs what it costs in the whole
    grid; what was left out in between is read untimed.
    """
    grid = parse_lengths(options.lengths)
    chosen = grid[options.every - 1 :: options.every]
    model = load_model(MODEL, precision="fp32", device="cpu")
    texts, eos = material(model.tokenizer, grid[-1], 2), model.tokenizer.eos_token_id
    log = RecordLog(options.work / f"speed-{options.lengths.replace(':', '-')}.jsonl")
    done = {row["length"] for row in log.read()}
    naive = Naive(resolve_folder(MODEL))
    ours = {mode: Ours(model, texts, mode) for mode in ("probe", "paper")}
    target, sep = texts.targets[0], texts.separator
    deadline = time.monotonic() + 60 * options.minutes
    for turn, length in enumerate(chosen):
        if length in done or time.monotonic() > deadline:
            continue
        for one in ours.values():
            one.go_to(grid[grid.index(length) - 1] if length != grid[0] else 0)

        def theirs(length: int = length) -> list[np.ndarray]:
            sides = (target, texts.irrelevant)
            return [naive([*s[:length]], [*target[:length]], sep, eos) for s in sides]

        arms: dict[str, Callable[[], Any]] = {"naive": theirs}
        arms |= {mode: lambda one=one, length=length: one(length) for mode, one in ours.items()}
        order = list(arms) if turn % 2 else list(reversed(arms))
        took = {name: timed(arms[name]) for name in order}
        row: dict[str, Any] = {"length": length, "naive_logits_bytes": naive.logits_bytes}
        row |= {f"{name}_s": took[name][0] for name in arms}
        row |= {f"{name}_cpu_s": took[name][1] for name in arms}  # other work does not count here
        for mode, one in ours.items():
            differs, ties = differences(one.layout, length, took[mode][2], took["naive"][2])
            row |= {f"{mode}_scored": 2 * one.layout.scored(length)}
            row |= {f"{mode}_differs": differs, f"{mode}_near_ties": ties}
            row[f"{mode}_logits_bytes"] = max(reader.peak.num_bytes for reader in one.readers)
        log.append(row)
        print(row, flush=True)
    summarise_speed(log.read(), grid, chosen)


def summarise_speed(rows: list[dict[str, Any]], grid: list[int], chosen: list[int]) -> None:
    """Sum the cells over the lengths that were timed."""

    def sums(mode: str) -> dict[str, Any]:
        total = {n: sum(row[f"{mode}_{n}"] for row in rows) for n in
                 ("s", "cpu_s", "scored", "differs", "near_ties")}  # fmt: skip
        peak = max(row[f"{mode}_logits_bytes"] for row in rows)
        faster = {
            f"speedup_{kind}": sum(row[f"naive_{kind}"] for row in rows) / total[kind]
            for kind in ("s", "cpu_s")
        }
        return total | faster | {"peak_logits_bytes": peak}

    missing = sorted(set(chosen) - {row["length"] for row in rows})
    told: dict[str, Any] = {
        "grid": grid, "timed": chosen, "missing": missing, "trials": 1,
        "naive_s": sum(row["naive_s"] for row in rows),
        "naive_peak_logits_bytes": max(row["naive_logits_bytes"] for row in rows),
        "probe": sums("probe"), "paper": sums("paper"),
    }  # fmt: skip
    print(json.dumps(told))
    merge("speed", told | {"cells": rows})


# ---- what known memories look like ----


def brief(result: dict[str, Any]) -> dict[str, Any]:
    """A curve in a few numbers."""
    points = {
        p["length"]: [round(p[side]["value"], 4) for side in ("copy", "lm")] + [p["state"]]
        for p in result["points"]
    }
    kept = ("fine_tokens", "coarse_tokens", "state", "fine_by_share", "contaminated_trials")
    cost = {name: result["cost"][name] for name in ("seconds", "num_rows", "reader")}
    return {name: result[name] for name in kept} | {"points": points, "cost": cost}


def curves(
    part: str, arms: dict[str, RecallSettings], options: argparse.Namespace
) -> dict[str, Any]:
    """Measure every arm that is not done; stop between arms when the time is up."""
    deadline = time.monotonic() + 60 * options.minutes
    found: dict[str, Any] = {}
    for name, settings in arms.items():
        if time.monotonic() > deadline:
            print(f"{part}: time is up before {name}; call again")
            break
        found[name] = brief(measure_curve(settings, runs=options.work / "runs"))
        print(name, json.dumps(found[name]), flush=True)
        merge(part, {"missing": [other for other in arms if other not in found], **found})
    return found


def policies(options: argparse.Namespace) -> None:
    """Full attention and three windows with four sinks, on the same weights."""
    lengths = "64,128,224,248,256,288,480,504,512,576,960,1016,1024,1152,1536"
    base = {"model": MODEL, "precision": "fp32", "lengths": lengths, "trials": options.trials}
    specs = ["full", *(f"window:budget_tokens={n}" for n in (256, 512, 1024))]
    curves("policies", {s: RecallSettings(**base, kv=s) for s in specs}, options)


def robust(options: argparse.Namespace) -> None:
    """Four corpora and three separators; do the lengths agree within one grid step?"""
    corpora = {"stdlib": "stdlib", "austen": f"austen:path={options.austen}"}
    corpora |= {"kjv": f"kjv:path={options.kjv}", "gsm8k": options.gsm8k}
    base = {"model": MODEL, "precision": "fp32", "lengths": "64:512:x2", "trials": options.trials}
    arms = {
        f"{corpus}, {separator}": RecallSettings(
            **base, corpus=corpora[corpus], separator=separator
        )
        for corpus in corpora
        for separator in ("bos", "<|endoftext|>", "newline")
    }
    natural = list(arms)
    arms["random tokens, bos"] = RecallSettings(**base, control="random")
    arms["stdlib shuffled, bos"] = RecallSettings(**base, control="shuffled")
    found = curves("robust", arms, options)
    if set(natural) <= set(found):
        print(json.dumps(agreement({name: found[name] for name in natural}), indent=1))


def agreement(found: dict[str, Any]) -> dict[str, Any]:
    """Do all arms agree within one step of a grid that doubles? And how far copying spreads."""
    lengths = {
        "coarse": [one["coarse_tokens"] for one in found.values()],
        **{
            f"fine at {share}": [one["fine_by_share"][share] for one in found.values()]
            for share in ("0.95", "0.99")
        },
    }
    told: dict[str, Any] = {
        name: {"low": min(all_), "high": max(all_), "agree": max(all_) <= 2 * min(all_)}
        for name, all_ in lengths.items()
    }
    for separator in ("bos", "<|endoftext|>", "newline"):
        own = [one for name, one in found.items() if name.endswith(f", {separator}")]
        told[f"copy, {separator}"] = {
            length: [min(values), max(values)]
            for length in own[0]["points"]
            if (values := [one["points"][length][0] for one in own])
        }
    return told


def probe(options: argparse.Namespace) -> None:
    """One probe curve to 2,048 tokens, whole command."""
    base = {"model": MODEL, "precision": "fp32", "lengths": "64:2048:16", "trials": options.trials}
    start = time.perf_counter()
    result = measure_curve(RecallSettings(**base), runs=options.work / "runs")
    merge("probe", brief(result) | {"wall_s": time.perf_counter() - start})
    print(json.dumps(brief(result)))


# ---- tiny models trained on copying ----

TOYS: dict[str, tuple[str, dict[str, Any]]] = {
    "full": ("llama", {}),
    "window": ("mistral", {"sliding_window": 32}),
    "state": ("mamba", {"state_size": 8}),
    "state, long": ("mamba", {"state_size": 8}),
}
SHARES = {"full": 0.15, "window": 0.15, "state": 0.3, "state, long": 0.4}  # of the minutes
TOY_VOCAB = 512
TOY_LENGTHS = {  # full and window are trained on what they can hold, a state on little and on more
    "full": (8, 96),
    "window": (6, 31),
    "state": (3, 8),
    "state, long": (3, 31),
}


def train_toy(kind: str, folder: Path, *, num_steps: int, minutes: float) -> dict[str, Any]:
    """Two layers on [SEP] s [SEP] s of random tokens; the loss is on the repetition.

    Lengths grow with training up to what the architecture can hold: a model that is asked for the
    impossible most of the time learns nothing.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    family, own = TOYS[kind]
    shape = {"vocab_size": TOY_VOCAB, "hidden_size": 64, "num_hidden_layers": 2}
    if family != "mamba":
        shape |= {"intermediate_size": 128, "num_attention_heads": 2, "num_key_value_heads": 2}
        shape |= {"max_position_embeddings": 4096, "tie_word_embeddings": False}
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(family, **shape, **own, **ids)
    ).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.01)
    rng, losses = np.random.default_rng(0), []
    start = time.monotonic()
    for step in range(num_steps):
        if time.monotonic() - start > 60 * minutes:
            break
        least, longest = TOY_LENGTHS[kind]
        most = min(longest, least + step // 8)
        length = int(rng.integers(least, most + 1))
        text = rng.integers(2, TOY_VOCAB, (24, length))
        sep = np.zeros((24, 1), dtype=int)
        tokens = torch.tensor(np.concatenate([sep, text, sep, text], axis=1))
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 100) * (1 - step / num_steps)
        logits = network(input_ids=tokens, use_cache=False).logits[:, length + 1 : -1]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), tokens[:, length + 2 :].flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if step % 200 == 0:
            print(kind, step, most, round(float(np.mean(losses[-50:])), 3), flush=True)
    network.save_pretrained(folder)
    toy_tokenizer().save_pretrained(folder)
    return {"num_steps": len(losses), "minutes": (time.monotonic() - start) / 60,
            "last_loss_nats": float(np.mean(losses[-50:]))}  # fmt: skip


def toy_tokenizer() -> Any:
    """Words that name their own ids: only random tokens are drawn from it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = {f"w{i}": i for i in range(TOY_VOCAB)}
    inner = Tokenizer(WordLevel(words, unk_token="w1"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="w0", eos_token="w1")


def toys(options: argparse.Namespace) -> None:
    """Train, then measure: full > window = W - 1 > state."""
    arms, trained = {}, {}
    for kind in TOYS:
        folder = options.work / f"toy-{kind.replace(', ', '-')}"
        facts = folder / "trained.json"
        if not facts.exists():
            told = train_toy(
                kind, folder, num_steps=options.steps, minutes=options.minutes * SHARES[kind]
            )
            facts.write_text(json.dumps(told))
        trained[kind] = json.loads(facts.read_text())
        arms[kind] = RecallSettings(
            model=str(folder), precision="fp32", lengths="4,6,8,12,16,24,28,30,31,32,33,40,64,96",
            trials=options.trials, control="random", mode="paper", least_tokens=4,
        )  # fmt: skip
    print(json.dumps(trained))
    curves("toys", arms, options)


def main() -> None:
    """Run one part."""
    parts = {"speed": speed, "policies": policies, "robust": robust, "probe": probe, "toys": toys}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=parts, default="speed")
    parser.add_argument("--work", type=Path, default=Path("runs/recall-benchmark"))
    parser.add_argument("--lengths", default="8:2048:16", help="8:4096:32 for the page's table")
    parser.add_argument("--every", type=int, default=4, help="time every n-th length of the grid")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--austen", default="/usr/lib/R/site-library/janeaustenr")
    parser.add_argument("--kjv", default="")
    parser.add_argument("--gsm8k", default="files:path=data/gsm8k/train.jsonl,column=question")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    measured()
    parts[options.part](options)


if __name__ == "__main__":
    main()
