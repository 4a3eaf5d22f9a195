"""Claim: how PCformer does beside other ways to spend the same parameters, FLOPs or seconds.

`burnish arch compare` on bundled text, 0.9M parameters and 1M tokens a run: vanilla, vanilla with
the layers that the FLOPs of orders 2 and 4 pay for, PCformer of orders 2 and 4; and three peers
that are written here on the same decoder: every layer looped with tied weights, DenseFormer's
weighted average of earlier layers (arXiv 2402.02622), and a softmax over earlier layers with
queries that begin at zero (Attention Residuals). Two more peers are the packages' own modules on
the same decoder: hyper-connections (four streams) and x-transformers' AttentionResidual, which its
switch attn_aggregated_residuals puts before each half of a layer. A package that is not there is
left out by name; `pip install --no-deps --target PEERS hyper-connections x-transformers einops einx
loguru torch-einops-utils frozendict`, and PEERS in PYTHONPATH.
Three rates on one seed, the best on two more. Cells are kept: a run that was cut off goes on.

    .venv/bin/python benchmarks/pcformer_compare.py [--tokens 1M] [--arms dense,pcformer:order=2]
"""

import argparse
import importlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from recording import RESULTS, save
from torch import Tensor, nn

from burnish.arch import compare_job as compare_module
from burnish.arch import training
from burnish.arch.attend import WindowAttend
from burnish.arch.blocks import blocks
from burnish.arch.compare_job import compare
from burnish.arch.compare_settings import CompareSettings
from burnish.arch.plan import Shape
from burnish.jobs.job import Place
from burnish.kv.rope import Rope
from burnish.models.decoder import Decoder, Stack

ARMS = "dense,dense:times=3,dense:times=5,looped:times=3,denseformer,attnres"
ARMS += ",pcformer:order=2,pcformer:order=4,hyper-connections,attn-aggregated"
PACKAGES = {
    "hyper-connections": ("hyper_connections", "hyper-connections"),
    "attn-aggregated": ("x_transformers.x_transformers", "x-transformers"),
}
NUM_STREAMS = 4


@blocks.register("looped")
@dataclass(frozen=True, kw_only=True)
class Looped:
    """Each layer `times` times, with the same weights."""

    times: int = 3

    def __post_init__(self) -> None: ...


@blocks.register("denseformer")
@dataclass(frozen=True, kw_only=True)
class DenseFormer:
    """Behind each layer a learned average of all states so far; it begins as the newest."""

    def __post_init__(self) -> None: ...


@blocks.register("attnres")
@dataclass(frozen=True, kw_only=True)
class AttnRes:
    """The same with weights that are a softmax over states, by a query for each layer."""

    def __post_init__(self) -> None: ...


@blocks.register("hyper-connections")
@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Four residual streams, of the package hyper-connections."""

    def __post_init__(self) -> None: ...


@blocks.register("attn-aggregated")
@dataclass(frozen=True, kw_only=True)
class Aggregated:
    """What x-transformers does with `attn_aggregated_residuals=True`."""

    def __post_init__(self) -> None: ...


class LoopedStack(Stack):
    """Layers that run several times."""

    times = 3

    def forward(self, rows: Tensor, attend: Any, first: int, end: int) -> Tensor:
        """Layer by layer, each `times` times; no cache is asked for in training."""
        for layer in itertools.islice(self.layers, first, end):
            for _ in range(self.times):
                rows = layer(rows, attend)
        return rows


class DenseFormerStack(Stack):
    """Depth-weighted averages."""

    def prepare(self) -> None:
        """One vector of weights for each layer."""
        sizes = range(2, len(self.layers) + 2)
        ends = [torch.zeros(size).index_fill_(0, torch.tensor([size - 1]), 1.0) for size in sizes]
        self.averages = nn.ParameterList(nn.Parameter(end) for end in ends)

    def forward(self, rows: Tensor, attend: Any, first: int, end: int) -> Tensor:
        """The average behind each layer is what the next one reads."""
        states = [rows]
        for layer, weights in zip(self.layers, self.averages, strict=True):
            states.append(layer(rows, attend))
            rows = sum(w * s for w, s in zip(weights, states, strict=True))
        return rows


class AttnResStack(Stack):
    """Softmax over the embedding and what each layer added."""

    def prepare(self) -> None:
        """One query for each layer, zero at first: an even mean."""
        width = self.norm.weight.shape[0]
        self.queries = nn.ParameterList(nn.Parameter(torch.zeros(width)) for _ in self.layers)

    def forward(self, rows: Tensor, attend: Any, first: int, end: int) -> Tensor:
        """Each layer reads the weighted sum of what came before, times their number."""
        parts = [rows]
        for layer, query in zip(self.layers, self.queries, strict=True):
            parts.append(layer(rows, attend) - rows)
            keys = [nn.functional.rms_norm(part, part.shape[-1:]) @ query for part in parts]
            weights = torch.stack(keys).softmax(0) * len(parts)
            rows = sum(w[:, None] * part for w, part in zip(weights, parts, strict=True))
        return rows


class HyperStack(Stack):
    """Every attention and feed-forward reads a mix of streams, and writes into all of them."""

    def prepare(self) -> None:
        """One connection for each half; they are no layers, so that Muon leaves them to AdamW."""
        package = importlib.import_module(PACKAGES["hyper-connections"][0])
        width = self.norm.weight.shape[0]
        make, self.expand, self.reduce = package.get_init_and_expand_reduce_stream_functions(
            NUM_STREAMS, dim=width
        )
        for number in range(2 * len(self.layers)):
            self.add_module(f"hyper{number}", make(layer_index=number))

    def forward(self, rows: Tensor, attend: Any, first: int, end: int) -> Tensor:
        """Half by half; the streams' sum leaves."""
        rows = self.expand(rows)
        for number, layer in enumerate(self.layers):
            at, add = self.get_submodule(f"hyper{2 * number}")(rows)
            rows = add(layer.self_attn(layer.input_layernorm(at), attend))
            at, add = self.get_submodule(f"hyper{2 * number + 1}")(rows)
            rows = add(layer.mlp(layer.post_attention_layernorm(at)))
        return self.reduce(rows)


class AggregatedStack(Stack):
    """Every attention and feed-forward reads an attention over the states before it."""

    def prepare(self) -> None:
        """One module for each half, outside of the layers, as above."""
        package = importlib.import_module(PACKAGES["attn-aggregated"][0])
        for number in range(2 * len(self.layers)):
            part = package.AttentionResidual(self.norm.weight.shape[0])
            self.add_module(f"aggregate{number}", part)

    def forward(self, rows: Tensor, attend: Any, first: int, end: int) -> Tensor:
        """As the package's `AttentionLayers`: what is read is mixed, the stream itself is not."""
        states: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            states.append(rows)
            at = self.get_submodule(f"aggregate{2 * number}")(rows, states)
            rows = rows + layer.self_attn(layer.input_layernorm(at), attend)
            states.append(rows)
            at = self.get_submodule(f"aggregate{2 * number + 1}")(rows, states)
            rows = rows + layer.mlp(layer.post_attention_layernorm(at))
        return rows


RUN = RESULTS.parents[1] / "build" / "benchmarks" / "pcformer_compare"
STACKS: Mapping[type, type[Stack]] = {
    Looped: LoopedStack,
    DenseFormer: DenseFormerStack,
    AttnRes: AttnResStack,
    Hyper: HyperStack,
    Aggregated: AggregatedStack,
}


def make_network(settings: Any, *rest: Any, **named: Any) -> Decoder:
    """As `training.make_network`, with the stack of a peer."""
    network = plain_network(settings, *rest, **named)
    block = blocks.parse(settings.block)
    if type(block) in STACKS:
        network.model.__class__ = STACKS[type(block)]
        if isinstance(block, Looped):
            network.model.times = block.times
        else:
            network.model.prepare()
    return network


def planned(settings: Any, corpus: Any, run: Any) -> dict[str, Any]:
    """As `arch.compare` plans, with the parameters and products that a peer's stack has more."""
    plan = plain_plan(settings, corpus, run)
    if type(blocks.parse(run.block)) in STACKS:
        given = (run, Shape(**plan["shape"]), corpus)
        named: dict[str, Any] = {"context": plan["context"], "base": None}
        own, plain = make_network(*given, **named), plain_network(*given, **named)
        more = products(own, plan["context"]) - products(plain, plan["context"])
        plan["train_flops_per_token"] += 3 * more // plan["context"]
        plan["num_params"] = sum(p.numel() for p in own.parameters())
    return plan


def products(network: Decoder, context: int) -> int:
    """Products of a forward pass over one window, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    tokens = torch.zeros(context, dtype=torch.long)
    begins = torch.zeros(1, context, dtype=torch.bool)
    attend = WindowAttend(Rope(network.config), network.shape.windows, begins=begins)
    with FlopCounterMode(display=False) as seen:
        network.hidden(tokens, attend)
    return seen.get_total_flops()


def available(arms: str) -> str:
    """The arms whose packages are there; the others are named."""
    kept = []
    for arm in CompareSettings(blocks=arms, corpus="stdlib", tokens="1").specs:
        try:
            if arm in PACKAGES:
                importlib.import_module(PACKAGES[arm][0])
            kept.append(arm)
        except ImportError as error:
            print(f"{arm}: left out, {PACKAGES[arm][1]} cannot be imported ({error})")
    return ",".join(kept)


plain_network, plain_plan = training.make_network, compare_module._planned


def main() -> None:
    """Run, print the table's rows, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", default=ARMS)
    parser.add_argument("--tokens", default="1M")
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--ffn-width", type=int, default=320)
    parser.add_argument("--vocab", type=int, default=1024)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--points", type=int, default=20, help="where each curve is measured")
    parser.add_argument("--heldout-tokens", type=int, default=32768)
    parser.add_argument("--corpus", default="stdlib")
    parser.add_argument("--run", type=Path, default=RUN)
    parser.add_argument("--trial", action="store_true", help="keep the result out of results")
    given = parser.parse_args()
    training.make_network, compare_module._planned = make_network, planned
    arms = available(given.arms)
    settings = CompareSettings(
        corpus=given.corpus,
        blocks=arms,
        depth=given.depth,
        width=given.width,
        ffn_width=given.ffn_width,
        tokens=given.tokens,
        num_seeds=given.seeds,
        num_points=given.points,
        heldout_tokens=given.heldout_tokens,
        context=256,
        vocab=given.vocab,
        batch_tokens=given.batch_tokens,
        optimizer=given.optimizer,
        learning_rate=given.learning_rate,
        warmup_frac=0.1,
        precision="fp32",
    )
    result = compare(settings, Place(folder=given.run))
    for row in result["readings"]:
        loss, less = row["loss"], row["difference"]
        print(
            f"equal {row['equal']:10} {row['block']:20} {row['tokens']:10.0f} tokens "
            f"{loss['value']:.4f} [{loss['low']:.4f}, {loss['high']:.4f}] "
            f"{less['value']:+.4f} [{less['low']:+.4f}, {less['high']:+.4f}]"
        )
    if not given.trial:
        names = ("arms", "readings")
        peers = [PACKAGES[arm][1] for arm in PACKAGES if arm in settings.specs]
        told = {name: value for name, value in vars(given).items() if name not in ("run", "trial")}
        rows = {"settings": told, **{name: result[name] for name in names}}
        save("pcformer_compare", rows, peers=peers)


if __name__ == "__main__":
    main()
