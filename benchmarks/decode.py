"""Claim: bf16 decoding is several times as fast as transformers' `generate`, at batch 1 and 16.

Both sides have the same weights, dtype, threads and prompts, write exactly the same number of
tokens greedily, and take turns. `whole` counts prefill and decoding, `decode` what comes after the
first token: each side is also timed for one token, and that is taken off. Transformers runs as its
users run it: as it comes, with a static cache, and with its decode step compiled over one; the
ratio is that to the fastest of these, and the others stand beside it. Without a C++ compiler for
`torch.compile` (or with `--no-compile`) that way is left out by name.
"""

import argparse
import functools
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from recording import median, save
from transformers import AutoModelForCausalLM, StaticCache

from burnish.contracts.generation import Request, Sampling
from burnish.engine.generate import generate
from burnish.models.load import Model, load_model

QUESTIONS = [
    "Why is the sky blue?",
    "Name three rivers in Europe and one fact about each of them.",
    "Write a short poem about a lighthouse.",
    "What is 17 + 25? Explain each step.",
]
OURS = "burnish"
Batch = Sequence[tuple[int, ...]]
Side = Callable[[int], float]  # seconds for so many new tokens a prompt


def prompts(model: Model, num: int) -> list[tuple[int, ...]]:
    """Ragged prompts under the chat template."""
    texts = [f"{QUESTIONS[i % len(QUESTIONS)]} Answer number {i}." for i in range(num)]
    render = model.tokenizer.apply_chat_template
    chats = [[{"role": "user", "content": text}] for text in texts]
    return [tuple(render(c, add_generation_prompt=True, return_dict=False)) for c in chats]


def ours(model: Model, batch: Batch, num_new: int) -> float:
    """Seconds of our engine."""
    endless = Model(**{**vars(model), "eos_ids": frozenset()})
    sampling = Sampling(max_new_tokens=num_new)
    requests = [Request(id=str(i), prompt=p, sampling=sampling) for i, p in enumerate(batch)]
    start = time.perf_counter()
    done = generate(endless, requests, batch_size=len(batch))
    seconds = time.perf_counter() - start
    assert all(len(one.tokens) == num_new for one in done)
    return seconds


def theirs(network: torch.nn.Module, batch: Batch, cache: Any, num_new: int) -> float:
    """Seconds of transformers' generate, left-padded as it asks for; `cache` None is its own."""
    longest = max(map(len, batch))
    ids = torch.tensor([[2] * (longest - len(p)) + list(p) for p in batch])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in batch])
    given = {"max_new_tokens": num_new, "min_new_tokens": num_new, "pad_token_id": 2}
    if cache is not None:
        cache.reset()
        given["past_key_values"] = cache
    start = time.perf_counter()
    out = network.generate(ids, attention_mask=mask, do_sample=False, **given)
    seconds = time.perf_counter() - start
    assert out.shape[1] == longest + num_new
    return seconds


def compiled_decoding(network: torch.nn.Module) -> torch.nn.Module:
    """The network with its one-token step compiled; prompts are read as before."""
    plain = network.forward
    quick = torch.compile(plain, dynamic=False)

    @functools.wraps(plain)
    def forward(*args: Any, **named: Any) -> Any:
        ids = named.get("input_ids", args[0] if args else None)
        step = quick if ids is not None and ids.shape[1] == 1 else plain
        return step(*args, **named)

    network.forward = forward  # type: ignore[method-assign]
    return network


def peer_sides(load: Callable[[], Any], batch: Batch, most: int, *, compiled: bool) -> dict:
    """Transformers in its ways, each on a network of its own."""
    room = max(map(len, batch)) + most + 1
    networks = {"transformers": load(), "transformers_static": load()}
    if compiled:
        networks["transformers_compiled"] = compiled_decoding(load())
    sides: dict[str, Side] = {}
    for name, network in networks.items():
        static = name != "transformers"
        cache = StaticCache(config=network.config, max_cache_len=room) if static else None
        sides[name] = functools.partial(theirs, network, batch, cache)
    return sides


def compare(sides: Mapping[str, Side], size: int, num_new: int, repeats: int) -> dict:
    """Tokens per second of each side and the ratios of paired runs, interleaved."""
    for side in sides.values():
        side(4)
    rates: dict[str, dict[str, list[float]]] = {
        kind: {name: [] for name in sides} for kind in ("whole", "decode")
    }
    for _ in range(repeats):
        for name, side in sides.items():
            first, whole = side(1), side(num_new)
            rates["whole"][name].append(size * num_new / whole)
            rates["decode"][name].append(size * (num_new - 1) / (whole - first))
    return {kind: summary(found) for kind, found in rates.items()}


def summary(rates: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Rates of all sides, and ours over the fastest peer's, run by run."""
    best = max((name for name in rates if name != OURS), key=lambda n: statistics.median(rates[n]))
    pairs = zip(rates[OURS], rates[best], strict=True)
    return {
        **{f"{name}_tokens_per_s": median(values) for name, values in rates.items()},
        "best_peer": best,
        "ratio": median([mine / peer for mine, peer in pairs]),
    }


def main() -> None:
    """Measure at batch 1 and 16."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--new-tokens", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-compile", action="store_true", help="leave that peer out")
    options = parser.parse_args()
    compiled = not options.no_compile and shutil.which("g++") is not None
    model = load_model("smollm2-135m", precision="bf16", device="cpu")

    def load() -> Any:
        return AutoModelForCausalLM.from_pretrained(model.folder, dtype=torch.bfloat16).eval()

    rows: dict[str, Any] = {"new_tokens": options.new_tokens, "compiled": compiled}
    for size in (1, 16):
        batch = prompts(model, size)
        sides = {OURS: functools.partial(ours, model, batch)}
        sides |= peer_sides(load, batch, options.new_tokens, compiled=compiled)
        rows[f"batch_{size}"] = compare(sides, size, options.new_tokens, options.repeats)
        for kind, found in rows[f"batch_{size}"].items():
            ratio, best = found["ratio"], found["best_peer"]
            interval = f"[{ratio['low']:.2f}, {ratio['high']:.2f}]"
            print(f"batch {size}, {kind}: {ratio['value']:.2f}x {interval} {best}", flush=True)
    save("decode", rows, peers=["transformers", "torch"])


if __name__ == "__main__":
    main()
