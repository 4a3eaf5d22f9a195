"""From a dense model to a mixture of experts, and what 200 steps make of it.

    python benchmarks/moe_upcycle.py [--steps 200] [--balance-loss 0.05] [--bias-rate 0.01]

A byte-level Llama of 0.2M parameters learns Python's own source files, becomes a mixture, and goes
on, without balancing, with the balance loss, and with the loss-free bias. Printed for each: the
smallest load of any expert over the last 20 steps, the coefficient of variation of loads, how far
apart experts of a layer have moved, and losses; beside them the dense model trained as long.
"""

import argparse
import copy
import json
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import torch
from recording import save
from transformers import AutoConfig

from burnish.arch.blocks.moe import MoEBlock
from burnish.arch.upcycle_experts import upcycle
from burnish.models.config import decoder_config
from burnish.models.decoder import Decoder
from burnish.models.load import Model
from burnish.models.moe import MoE
from burnish.train.examples import Example
from burnish.train.hooks import Hook
from burnish.train.loop import run_training
from burnish.train.objective import Objective, supervised
from burnish.train.optim import AdamW
from burnish.train.routing import Routing, RoutingSettings
from burnish.train.schedule import Constant
from burnish.train.steps import Batch, IndexedSteps, microbatch
from burnish.train.trainer import Training

LENGTH, PER_STEP = 96, 16


class Loads(Hook):
    """Keeps the numbers of steps."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def step(self, told: Any, batch: Batch) -> None:
        """Keep what is told."""
        self.rows.append(dict(told))


def steps_of(text: bytes, num_steps: int, seed: int) -> IndexedSteps:
    """Random windows of the text."""

    def make(index: int) -> Batch:
        source = torch.Generator().manual_seed(seed * 100_000 + index)
        starts = torch.randint(len(text) - LENGTH, (PER_STEP,), generator=source).tolist()
        windows = [tuple(text[start : start + LENGTH]) for start in starts]
        items = [Example(id=str(i), prompt=w[:1], answer=w[1:]) for i, w in enumerate(windows)]
        return Batch(passes=[microbatch(items)])

    return IndexedSteps(num_steps, make)


def train(
    network: Decoder, steps: IndexedSteps, objective: Objective, hooks: list[Hook]
) -> list[float]:
    """Losses [nats a byte, and the router's losses where there are any]."""
    network.requires_grad_(True).train()
    with tempfile.TemporaryDirectory() as folder:
        training = Training(
            network=network,
            objective=objective,
            source=steps,
            optimizer=AdamW(learning_rate=2e-3),
            schedule=Constant(warmup_frac=0.02),
            save_every_steps=10_000,
        )
        return list(run_training(training, checkpoint=Path(folder) / "s.pt", hooks=hooks).losses)


def dense_model() -> Model:
    """A random Llama over bytes."""
    config = AutoConfig.for_model(
        "llama", vocab_size=256, hidden_size=64, intermediate_size=160, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=256,
        tie_word_embeddings=True,
    )  # fmt: skip
    shape = decoder_config(config)
    assert shape is not None
    torch.manual_seed(0)
    network = Decoder(shape, config)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.05)
    place = {"dtype": torch.float32, "device": torch.device("cpu"), "max_position": 256}
    return Model(
        spec="bytes", folder=Path(), network=network, tokenizer=None, eos_ids=frozenset(), **place
    )


def apart(network: Decoder) -> float:
    """The smallest relative distance of two experts' output weights, over all layers."""
    found = []
    for layer in (m for m in network.modules() if isinstance(m, MoE)):
        flat = layer.experts.down_proj.detach().flatten(1)
        distances = torch.cdist(flat, flat) / flat.norm(dim=1).mean()
        found.append(float(distances[~torch.eye(len(flat), dtype=torch.bool)].min()))
    return min(found)


def main() -> None:
    """Print one JSON object, and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--experts", type=int, default=8)
    parser.add_argument("--bias-rate", type=float, default=0.01)
    parser.add_argument("--balance-loss", type=float, default=0.05)
    given = parser.parse_args()
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = b"".join(file.read_bytes() for file in files)
    model = dense_model()
    assert isinstance(model.network, Decoder)
    before = train(model.network, steps_of(text, 150, 1), supervised, [])
    made = upcycle(model, MoEBlock(experts=given.experts, top_k=2))
    assert isinstance(made.model.network, Decoder)
    longer = train(copy.deepcopy(model.network), steps_of(text, given.steps, 2), supervised, [])
    result: dict[str, Any] = {
        "logit_difference": made.facts["logit_difference"],
        "loss_dense_before_nats": sum(before[-20:]) / 20,
        "loss_dense_after_nats": sum(longer[-20:]) / 20,
        "steps": given.steps,
        "experts": given.experts,
        "arms": {},
    }
    arms = {
        "none": RoutingSettings(balance_loss=0.0, bias_rate=0.0),
        "balance_loss": RoutingSettings(balance_loss=given.balance_loss, bias_rate=0.0),
        "bias": RoutingSettings(balance_loss=0.0, bias_rate=given.bias_rate),
    }
    for name, settings in arms.items():
        network = copy.deepcopy(made.model.network)
        loads, routing = Loads(), Routing(network, settings)
        objective = routing.objective(supervised)
        losses = train(network, steps_of(text, given.steps, 2), objective, [routing, loads])
        last = torch.tensor([row["expert_load_frac"] for row in loads.rows[-20:]]).mean(0)
        result["arms"][name] = {
            "smallest_load_frac": float(last.min()),
            "load_variation": sum(row["load_variation"] for row in loads.rows[-20:]) / 20,
            "smallest_distance_of_experts": apart(network),
            "loss_with_router_terms": sum(losses[-20:]) / 20,
        }
    print(json.dumps(result, indent=2))
    save("moe_upcycle", result)


if __name__ == "__main__":
    main()
