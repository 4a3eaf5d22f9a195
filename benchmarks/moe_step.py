"""A training step of a mixture of experts beside a dense one of equal active parameters.

    python benchmarks/moe_step.py [--rounds 8] [--threads 2] [--precision fp32]

Both decoders have the same attention, vocabulary and optimiser; 2 of 8 experts are together as wide
as the dense feed-forward. Steps of 4,096 tokens (16 windows of 256) are interleaved; the ratio is
that of medians, its interval from a paired bootstrap over rounds; `processor_ratio` is that of
processor time, which a busy machine disturbs less.
"""

import argparse
import json
import statistics
import time
from typing import Any

import torch
from recording import save
from transformers import AutoConfig

from burnish.kv.rope import Rope
from burnish.kv.shared import SharedAttend, packed
from burnish.models.config import decoder_config
from burnish.models.count import count
from burnish.models.decoder import Decoder
from burnish.models.head import token_logprobs
from burnish.models.moe import MoE
from burnish.train.optim import AdamW
from burnish.train.optimizers import build_optimizer
from burnish.train.routing import balance_loss, router_z_loss

WIDTHS = {"hidden_size": 192, "num_hidden_layers": 6, "num_attention_heads": 6, "head_dim": 32}
WIDTHS |= {"num_key_value_heads": 6, "vocab_size": 2048, "max_position_embeddings": 1024}
D_FF, NUM_EXPERTS, TOP_K = 512, 8, 2
WINDOWS, LENGTH = 16, 256


def make(kind: str, **settings: Any) -> Decoder:
    """A random decoder in training."""
    config = AutoConfig.for_model(kind, **WIDTHS, **settings, tie_word_embeddings=True)
    shape = decoder_config(config)
    assert shape is not None
    torch.manual_seed(0)
    decoder = Decoder(shape, config).train()
    for parameter in decoder.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.02)
    return decoder


class Stepper:
    """Forward, backward and update on random tokens."""

    def __init__(self, decoder: Decoder, bf16: bool) -> None:
        self.decoder, self._bf16 = decoder, bf16
        self._optimizer = build_optimizer(AdamW(), decoder)
        self._experts = [m for m in decoder.modules() if isinstance(m, MoE)]

    def __call__(self, tokens: torch.Tensor) -> tuple[float, float]:
        """Seconds of a step, by the clock and of the processor."""
        started = time.perf_counter(), time.process_time()
        decoder = self.decoder
        attend = SharedAttend(
            packed([LENGTH] * WINDOWS), Rope(decoder.config), decoder.shape.windows
        )
        for layer in self._experts:
            layer.records = []
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._bf16):
            hidden = decoder.hidden(tokens[:-1], attend)
            loss = -token_logprobs(hidden, decoder.lm_head.weight, tokens[1:]).mean()
        for layer in self._experts:
            for one in layer.records or ():
                loss = loss + 0.01 * balance_loss(one.logits, one.chosen)
                loss = loss + 0.001 * router_z_loss(one.logits)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return time.perf_counter() - started[0], time.process_time() - started[1]


def interval(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """95% interval of the ratio of medians over resampled rounds."""
    source = torch.Generator().manual_seed(0)
    ratios = []
    for _ in range(2000):
        picked = [pairs[i] for i in torch.randint(len(pairs), (len(pairs),), generator=source)]
        ratios.append(ratio(picked))
    ratios.sort()
    return ratios[50], ratios[-51]


def ratio(pairs: list[tuple[float, float]]) -> float:
    """Median of the mixture's seconds over the dense model's."""
    dense, sparse = zip(*pairs, strict=True)
    return statistics.median(sparse) / statistics.median(dense)


def main() -> None:
    """Print one JSON object, and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    dense = make("llama", intermediate_size=D_FF)
    experts = {"num_local_experts": NUM_EXPERTS, "num_experts_per_tok": TOP_K}
    sparse = make("mixtral", intermediate_size=D_FF // TOP_K, **experts)
    steppers = [Stepper(one, given.precision == "bf16") for one in (dense, sparse)]
    source = torch.Generator().manual_seed(1)
    pairs, processor = [], []
    for index in range(given.rounds + 1):
        tokens = torch.randint(2048, (WINDOWS * LENGTH + 1,), generator=source)
        pair = [stepper(tokens) for stepper in steppers]
        if index:  # the first warms up
            pairs.append((pair[0][0], pair[1][0]))
            processor.append((pair[0][1], pair[1][1]))
    low, high = interval(pairs)
    counts = {name: count(one.shape) for name, one in (("dense", dense), ("moe", sparse))}
    result = {
        "ratio": ratio(pairs),
        "low": low,
        "high": high,
        "processor_ratio": ratio(processor),
        "dense_s": statistics.median(one for one, _ in pairs),
        "moe_s": statistics.median(one for _, one in pairs),
        "rounds": given.rounds,
        "threads": given.threads,
        "precision": given.precision,
        "active_params": {name: one.num_active_params for name, one in counts.items()},
        "params": {name: one.num_params for name, one in counts.items()},
    }
    print(json.dumps(result, indent=2))
    save("moe_step", result)


if __name__ == "__main__":
    main()
