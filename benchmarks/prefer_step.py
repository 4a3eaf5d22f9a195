"""Claim: a DPO step on SmolLM2-135M is faster than TRL's, with less peak memory.

Eight PandaLM pairs a step, LoRA on the same layers from the same start, fp32, the same threads.
Ours are split into passes of at most 512 rows, as the training loop does; TRL's are one batch.
Each cell is a process of its own that loads one side, warms up, and times its steps; the sides
take turns. Peak memory is the largest resident set of that process. Losses must agree.

TRL runs in several ways: as it comes, but without gradient checkpointing, which is faster (`trl`,
reference computed in each step), with precomputed reference log-probabilities (`trl-precomputed`;
ours are cached), and that with gradient checkpointing, with one pair a pass and accumulation, and
with both. The losses are the same; `fastest` and `smallest` name the ways that are compared with,
the others stand beside them. Finished cells are kept: a run that was cut off resumes.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from recording import cells_file, median, save

from burnish.base.log import RecordLog
from burnish.base.rng import derive_seed, stream
from burnish.models.load import load_model
from burnish.prefer.losses import dpo
from burnish.prefer.objective import PreferenceObjective
from burnish.prefer.pairs import Pair
from burnish.prefer.reading import read_pairs
from burnish.prefer.reference import ReferenceCache, passes
from burnish.train import lora
from burnish.train.settings import LoraSettings

DATA = Path(__file__).parents[2] / "shared/data/preference/pandalm-testset-v1.json"
TRL = {  # precomputed reference, gradient checkpointing, pairs a pass
    "trl": (False, False, 8),
    "trl-precomputed": (True, False, 8),
    "trl-checkpointing": (True, True, 8),
    "trl-accumulation": (True, False, 1),
    "trl-cheapest": (True, True, 1),
}
SIDES = ("burnish", *TRL)
RATE, PAIRS = 1e-3, 8
PASS_TOKENS = 512  # rows of one of our passes; a step takes several, and its gradient is the same
LORA = LoraSettings(rank=16, alpha=32.0)
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
MAX_LENGTH = 512


def batches(model: Any, num_steps: int) -> list[list[Pair]]:
    """The same random pairs for every side."""
    pairs = [p for p in read_pairs(DATA, model).pairs if len(p) <= MAX_LENGTH]
    order = stream(0, "prefer-step").permutation(len(pairs)).tolist()
    return [[pairs[i] for i in order[k * PAIRS : (k + 1) * PAIRS]] for k in range(num_steps)]


def start_alike(network: torch.nn.Module) -> list[torch.nn.Parameter]:
    """The same first factors of the adapters on either side; the second ones are zero."""
    for name, parameter in network.named_parameters():
        if "lora_A" in name:
            short = name.removeprefix("base_model.model.").removeprefix("module.")
            source = torch.Generator().manual_seed(derive_seed(0, short) % 2**62)
            parameter.data = torch.randn(parameter.shape, generator=source) / 24
    return [p for p in network.parameters() if p.requires_grad]


def timed(step: Callable[[int], float], num_steps: int) -> dict[str, Any]:
    """Seconds and losses of every step; the first warms up and is not counted."""
    losses, seconds = [], []
    for index in range(num_steps):
        started = time.perf_counter()
        losses.append(step(index))
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds[1:], "losses": losses, "peak_bytes": peak}


def resident_bytes() -> int:
    """What this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def ours(num_steps: int) -> dict[str, Any]:
    """Our objective with cached reference, and AdamW."""
    model = load_model("smollm2-135m", precision="fp32", device="cpu")
    model.network.unfuse()
    steps = batches(model, num_steps)
    with tempfile.TemporaryDirectory() as place:
        cache = ReferenceCache(Path(place), model.network)
        cache.fill(model.network, [pair for one in steps for pair in one])
    lora.attach(model.network, LORA)
    parameters = start_alike(model.network)
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    objective = PreferenceObjective(dpo, cache)

    def step(index: int) -> float:
        total = 0.0
        for some in passes(steps[index], PASS_TOKENS):
            loss = objective(model.network, some) / PAIRS
            loss.backward()
            total += float(loss.detach())
        optimizer.step()
        optimizer.zero_grad()
        return total

    held = resident_bytes()
    return timed(step, num_steps) | {"loaded_bytes": held}


def theirs(num_steps: int, side: str) -> dict[str, Any]:
    """TRL's own loss on its own batches, and AdamW."""
    precomputed, checkpointing, pairs_a_pass = TRL[side]
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    model = load_model("smollm2-135m", precision="fp32", device="cpu")
    steps, folder = batches(model, num_steps), model.folder
    del model
    config = DPOConfig(
        output_dir=tempfile.mkdtemp(),
        gradient_checkpointing=checkpointing,
        beta=0.1,
        max_length=None,
        bf16=False,
        use_cpu=True,
        report_to=[],
    )
    adapters = LoraConfig(
        r=LORA.rank, lora_alpha=LORA.alpha, lora_dropout=0.0, target_modules=TARGETS
    )
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        args=config,
        train_dataset=Dataset.from_list([{"prompt": "a", "chosen": " b", "rejected": " c"}] * 2),
        processing_class=AutoTokenizer.from_pretrained(folder),
        peft_config=adapters,
    )
    batched = [
        [
            trainer.data_collator([tokens_of(pair) for pair in one[i : i + pairs_a_pass]])
            for i in range(0, len(one), pairs_a_pass)
        ]
        for one in steps
    ]
    trainer.precompute_ref_logps = precomputed
    for batch in (batch for one in batched for batch in one if precomputed):
        chosen, rejected = trainer.compute_ref_log_probs(trainer.model, batch)
        batch |= {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
    parameters = start_alike(trainer.model)
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    trainer.model.train()

    def step(index: int) -> float:
        total = 0.0
        for batch in batched[index]:
            loss = trainer.compute_loss(trainer.model, batch) / len(batched[index])
            loss.backward()
            total += float(loss.detach())
        optimizer.step()
        optimizer.zero_grad()
        return total

    held = resident_bytes()
    return timed(step, num_steps) | {"loaded_bytes": held}


def tokens_of(pair: Pair) -> dict[str, list[int]]:
    """A pair as TRL's collator takes it."""
    return {
        "prompt_ids": list(pair.prompt),
        "chosen_ids": list(pair.chosen),
        "rejected_ids": list(pair.rejected),
    }


def run_cell(side: str, num_steps: int) -> dict[str, Any]:
    """One side in a process of its own."""
    command = [sys.executable, __file__, "--cell", side, "--steps", str(num_steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median and interval; of one value, the value and no interval."""
    if len(values) > 1:
        return median(values)
    return {"value": values[0], "low": None, "high": None, "n": 1}


def summarise(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Steps per second, peaks and their ratios; cells of the same round are paired."""
    by_side = {side: [c for c in cells if c["side"] == side] for side in SIDES}
    by_side = {side: own for side, own in by_side.items() if own}
    summary: dict[str, Any] = {}
    for side, own in by_side.items():
        rates = [1 / statistics.median(cell["seconds"]) for cell in own]
        summary[side] = {
            "steps_per_s": spread(rates),
            "peak_bytes": spread([cell["peak_bytes"] for cell in own]),
            "loaded_bytes": spread([cell["loaded_bytes"] for cell in own]),
            "losses": own[0]["losses"],
        }
    mine = by_side["burnish"]
    for side in [side for side in by_side if side != "burnish"]:
        other = {cell["round"]: cell for cell in by_side[side]}
        both = [(cell, other[cell["round"]]) for cell in mine if cell["round"] in other]
        steps = [x / y for a, b in both for x, y in zip(b["seconds"], a["seconds"], strict=True)]
        above = [
            (b["peak_bytes"] - b["loaded_bytes"]) / (a["peak_bytes"] - a["loaded_bytes"])
            for a, b in both
        ]
        summary[f"against {side}"] = {
            "speed_ratio": spread(steps),  # step by step: each has the same pairs on either side
            "memory_ratio": spread([b["peak_bytes"] / a["peak_bytes"] for a, b in both]),
            "above_loaded_ratio": spread(above),
            "largest_loss_difference": max(
                abs(x - y) for a, b in both for x, y in zip(a["losses"], b["losses"], strict=True)
            ),
        }
    peers = [side for side in by_side if side != "burnish"]
    summary["fastest"] = max(peers, key=lambda side: summary[side]["steps_per_s"]["value"])
    summary["smallest"] = min(peers, key=lambda side: summary[side]["peak_bytes"]["value"])
    return summary


def main() -> None:
    """Measure what is missing, then summarise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=list(SIDES))
    parser.add_argument("--cell", choices=SIDES)
    options = parser.parse_args()
    if options.cell == "burnish":
        print(json.dumps(ours(options.steps)))
        return
    if options.cell:
        print(json.dumps(theirs(options.steps, options.cell)))
        return
    log = RecordLog(cells_file("prefer_step"))
    cells = log.read()
    for number in range(options.rounds):
        for side in options.sides:
            if not any(c["side"] == side and c["round"] == number for c in cells):
                cell = {"side": side, "round": number} | run_cell(side, options.steps)
                log.append(cell)
                cells.append(cell)
                print(side, number, [round(s, 2) for s in cell["seconds"]], cell["peak_bytes"])
    summary = summarise(cells)
    for side in [side for side in options.sides if side != "burnish"]:
        one = summary[f"against {side}"]
        print(
            f"{side}: {one['speed_ratio']['value']:.2f}x steps/s, "
            f"{one['memory_ratio']['value']:.2f}x lower peak, "
            f"loss difference {one['largest_loss_difference']:.2e}"
        )
    told = {"pairs_per_step": PAIRS, "threads": torch.get_num_threads()}
    save("prefer_step", told | summary, peers=["trl", "transformers", "peft"])


if __name__ == "__main__":
    main()
