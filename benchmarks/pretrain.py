"""Claim: pretraining is as fast as a plain torch loop like nanoGPT, and as HF's Trainer.

The same widths (a Llama of 3M parameters), tokens, windows, batch and precision on every side, and
AdamW everywhere; speeds are tokens a second behind a warm-up. `burnish` attends within documents
(its default), `burnish-across` over whole windows as the peers do. `plain` is a loop written here:
batched modules, `scaled_dot_product_attention`, fused AdamW, no logging. `trainer` is transformers'
LlamaForCausalLM in its Trainer. Each cell is a process of its own and sides take turns; finished
cells are kept, so a run that was cut off goes on. A quiet machine is needed:

    .venv/bin/python benchmarks/pretrain.py [--repeats 7] [--seconds 30]
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from recording import cells_file, median, save
from torch import Tensor, nn

from burnish.arch.network import new_network
from burnish.arch.objective import NextToken
from burnish.arch.plan import Shape
from burnish.base.items import Workplace, run_cells
from burnish.data.shards import Marks, TokenStream
from burnish.data.windows import WindowCursor
from burnish.models.precision import choose_precision
from burnish.train.optim import AdamW
from burnish.train.schedule import Linear
from burnish.train.steps import StreamedSteps
from burnish.train.trainer import Trainer, Training

SIDES = ("burnish", "burnish-across", "plain", "trainer")
SHAPE = Shape(num_layers=4, width=256, ffn_width=608, num_heads=4, num_kv_heads=4, vocab=2304)
CONTEXT, WINDOWS, RATE, END = 512, 4, 3e-3, 0
WARM_UP = 4


def make_tokens(folder: Path) -> tuple[np.ndarray, TokenStream]:
    """Random documents of about 400 tokens, with an end token each."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, SHAPE.vocab, 2_000_000).astype(np.uint16)
    tokens[rng.integers(0, len(tokens), len(tokens) // 400)] = END
    tokens.tofile(folder / "0.bin")
    return tokens, TokenStream(folder, {"shards": [{"shard": "0.bin"}]}, "uint16")


def timed(step: Callable[[], Any], seconds: float) -> float:
    """Tokens a second."""
    for _ in range(WARM_UP):
        step()
    began, num = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        step()
        num += 1
    return num * WINDOWS * CONTEXT / (time.perf_counter() - began)


def autocast() -> torch.dtype | None:
    """What this machine trains in."""
    dtype, _ = choose_precision("auto", torch.device("cpu"))
    return torch.bfloat16 if dtype == torch.bfloat16 else None


def our_speed(folder: Path, seconds: float, *, across: bool) -> float:
    """The steps of our loop, with its cursor."""
    _, stream = make_tokens(folder)
    torch.manual_seed(0)
    network = new_network(SHAPE, context=CONTEXT, marks=Marks(end=END), device=torch.device("cpu"))
    cursor = WindowCursor([stream], weights=None, context=CONTEXT, filling=END, seed=0)
    source = StreamedSteps(cursor, num_steps=10**6, items_per_step=WINDOWS, items_per_pass=WINDOWS)
    training = Training(
        network=network,
        objective=NextToken(network, first=END, across=across),
        source=source,
        optimizer=AdamW(learning_rate=RATE, weight_decay=0.1, decay="matrices"),
        schedule=Linear(),
        autocast=autocast(),
    )
    trainer, done = Trainer(training), [0]

    def step() -> None:
        trainer.accumulate(source.take())
        trainer.update(done[0], source.num_steps)
        done[0] += 1

    return timed(step, seconds)


class PlainLayer(nn.Module):
    """A layer over whole batches."""

    def __init__(self) -> None:
        super().__init__()
        d = SHAPE.width
        self.norms = nn.ModuleList([nn.RMSNorm(d), nn.RMSNorm(d)])
        self.joined, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.gates = nn.Linear(d, 2 * SHAPE.ffn_width, bias=False)
        self.down = nn.Linear(SHAPE.ffn_width, d, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """The stream after this layer."""
        parts = self.joined(self.norms[0](x)).split(SHAPE.width, dim=-1)
        q, k, v = (p.unflatten(-1, (SHAPE.num_heads, -1)).transpose(1, 2) for p in parts)
        q, k = (self.turned(y, cos, sin) for y in (q, k))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        gate, up = self.gates(self.norms[1](x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)

    @staticmethod
    def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Rotated to its position."""
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)


class PlainModel(nn.Module):
    """The whole network with its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(SHAPE.vocab, SHAPE.width)
        self.layers = nn.ModuleList(PlainLayer() for _ in range(SHAPE.num_layers))
        self.norm = nn.RMSNorm(SHAPE.width)
        half = SHAPE.head_dim // 2
        angles = torch.arange(CONTEXT)[:, None] / 10000 ** (torch.arange(half) / half)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy."""
        rows = self.embed(x)
        for layer in self.layers:
            rows = layer(rows, self.cos, self.sin)
        logits = F.linear(self.norm(rows), self.embed.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), y.flatten())


def plain(folder: Path, seconds: float) -> float:
    """A loop in the manner of nanoGPT's train.py."""
    tokens, _ = make_tokens(folder)
    torch.manual_seed(0)
    network, cast = PlainModel(), autocast()
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.95), fused=True)

    def step() -> None:
        begins = torch.randint(len(tokens) - CONTEXT - 1, (WINDOWS,))
        x, y = (
            torch.stack([torch.from_numpy(tokens[i + k : i + k + CONTEXT].astype(np.int64))
                         for i in begins.tolist()])
            for k in (0, 1)
        )  # fmt: skip
        with torch.autocast("cpu", cast or torch.bfloat16, enabled=cast is not None):
            loss = network(x, y)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return timed(step, seconds)


def trainer_side(folder: Path, seconds: float) -> float:
    """Transformers' Trainer, on windows of the same tokens; it is stopped by the clock."""
    from transformers import LlamaForCausalLM, TrainerCallback, TrainingArguments
    from transformers import Trainer as Theirs

    tokens, _ = make_tokens(folder)
    network = new_network(SHAPE, context=CONTEXT, marks=Marks(end=END), device=torch.device("cpu"))
    num = len(tokens) // CONTEXT
    rows = tokens[: num * CONTEXT].reshape(num, CONTEXT).astype(np.int64)
    data = [{"input_ids": torch.from_numpy(row), "labels": torch.from_numpy(row)} for row in rows]
    marks: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            marks.append(time.perf_counter())
            if len(marks) > WARM_UP and marks[-1] - marks[WARM_UP - 1] > seconds:
                control.should_training_stop = True

    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=WINDOWS,
        max_steps=10**6,
        learning_rate=RATE,
        bf16=autocast() is not None,
        use_cpu=True,
        optim="adamw_torch_fused",
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    theirs = Theirs(model=LlamaForCausalLM(network.config), args=arguments, train_dataset=data,
                    callbacks=[Clock()])  # fmt: skip
    theirs.train()
    return (len(marks) - WARM_UP) * WINDOWS * CONTEXT / (marks[-1] - marks[WARM_UP - 1])


def measure(side: str, seconds: float) -> float:
    """Tokens a second of one side."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if side == "plain":
            return plain(folder, seconds)
        if side == "trainer":
            return trainer_side(folder, seconds)
        return our_speed(folder, seconds, across=side.endswith("across"))


def run_cell(cell: dict[str, Any], workplace: Workplace) -> dict[str, Any]:
    """One side in a process of its own."""
    command = [sys.executable, __file__, "--cell", cell["side"], "--seconds", str(cell["seconds"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{cell['side']} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """All cells, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--cell", choices=SIDES)
    parser.add_argument("--log", type=Path, default=cells_file("pretrain"))
    given = parser.parse_args()
    if given.cell:
        print(json.dumps({"tokens_per_s": measure(given.cell, given.seconds)}))
        return
    cells = [
        {"side": side, "repeat": repeat, "seconds": given.seconds}
        for repeat in range(given.repeats)
        for side in SIDES
    ]
    found = run_cells(cells, run_cell, log=given.log)
    speeds = {
        side: [r.output["tokens_per_s"] for r in found if r.output and r.cell["side"] == side]
        for side in SIDES
    }
    rows: dict[str, Any] = {
        "shape": vars(SHAPE),
        "context": CONTEXT,
        "batch_tokens": WINDOWS * CONTEXT,
        "threads": torch.get_num_threads(),
        "precision": "bf16" if autocast() else "fp32",
        "tokens_per_s": {
            side: median(values) if len(values) > 1 else values for side, values in speeds.items()
        },
    }
    for ours, peer in itertools.product(("burnish", "burnish-across"), ("plain", "trainer")):
        ratios = [a / b for a, b in zip(speeds[ours], speeds[peer], strict=True)]
        name = f"{ours.replace('-', '_')}_over_{peer}"
        rows[name] = median(ratios) if len(ratios) > 1 else ratios
    save("pretrain", rows, peers=["torch", "transformers", "accelerate"])


if __name__ == "__main__":
    main()
