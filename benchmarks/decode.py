"""Claim: bf16 decoding is 1.2x (batch 1) and 2x (batch 16) as fast as transformers' `generate`.

Both sides have the same weights, dtype, threads and prompts, write exactly the same number of
tokens greedily, and take turns: ours, theirs, ours, theirs. `whole` counts prefill and decoding,
`decode` what comes after the first token: each side is also timed for one token, and that is taken
off.
"""

import argparse
import time
from collections.abc import Callable

import torch
from recording import median, save
from transformers import AutoModelForCausalLM

from burnish.contracts.generation import Request, Sampling
from burnish.engine.generate import generate
from burnish.models.load import Model, load_model

QUESTIONS = [
    "Why is the sky blue?",
    "Name three rivers in Europe and one fact about each of them.",
    "Write a short poem about a lighthouse.",
    "What is 17 + 25? Explain each step.",
]


def prompts(model: Model, num: int) -> list[tuple[int, ...]]:
    """Ragged prompts under the chat template."""
    texts = [f"{QUESTIONS[i % len(QUESTIONS)]} Answer number {i}." for i in range(num)]
    render = model.tokenizer.apply_chat_template
    chats = [[{"role": "user", "content": text}] for text in texts]
    return [tuple(render(c, add_generation_prompt=True, return_dict=False)) for c in chats]


def ours(model: Model, batch: list[tuple[int, ...]], num_new: int) -> float:
    """Seconds of our engine."""
    endless = Model(**{**vars(model), "eos_ids": frozenset()})
    sampling = Sampling(max_new_tokens=num_new)
    requests = [Request(id=str(i), prompt=p, sampling=sampling) for i, p in enumerate(batch)]
    start = time.perf_counter()
    done = generate(endless, requests, batch_size=len(batch))
    seconds = time.perf_counter() - start
    assert all(len(one.tokens) == num_new for one in done)
    return seconds


def theirs(network: torch.nn.Module, batch: list[tuple[int, ...]], num_new: int) -> float:
    """Seconds of transformers' generate, left-padded as it asks for."""
    longest = max(map(len, batch))
    ids = torch.tensor([[2] * (longest - len(p)) + list(p) for p in batch])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in batch])
    lengths = {"max_new_tokens": num_new, "min_new_tokens": num_new}
    start = time.perf_counter()
    out = network.generate(ids, attention_mask=mask, do_sample=False, pad_token_id=2, **lengths)
    seconds = time.perf_counter() - start
    assert out.shape[1] == longest + num_new
    return seconds


Side = Callable[[int], float]  # seconds for so many new tokens a prompt


def compare(sides: dict[str, Side], size: int, num_new: int, repeats: int) -> dict:
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
    return {kind: _summary(found) for kind, found in rates.items()}


def _summary(rates: dict[str, list[float]]) -> dict:
    pairs = zip(rates["burnish"], rates["transformers"], strict=True)
    return {
        **{f"{name}_tokens_per_s": median(values) for name, values in rates.items()},
        "ratio": median([mine / peer for mine, peer in pairs]),
    }


def main() -> None:
    """Measure at batch 1 and 16."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    model = load_model("smollm2-135m", precision="bf16", device="cpu")
    network = AutoModelForCausalLM.from_pretrained(model.folder, dtype=torch.bfloat16).eval()
    rows = {}
    for size in (1, 16):
        batch = prompts(model, size)
        sides = {
            "burnish": lambda num, batch=batch: ours(model, batch, num),
            "transformers": lambda num, batch=batch: theirs(network, batch, num),
        }
        rows[f"batch_{size}"] = compare(sides, size, options.new_tokens, options.repeats)
        for kind, found in rows[f"batch_{size}"].items():
            ratio = found["ratio"]
            interval = f"[{ratio['low']:.2f}, {ratio['high']:.2f}]"
            print(f"batch {size}, {kind}: {ratio['value']:.2f}x {interval}")
    save("decode", {"new_tokens": options.new_tokens, **rows})


if __name__ == "__main__":
    main()
