"""Claim: bf16 decoding is 1.2x (batch 1) and 2x (batch 16) as fast as transformers' `generate`.

Both sides have the same weights, dtype, threads and prompts, write exactly the same number of
tokens greedily, and take turns: ours, theirs, ours, theirs. Prefill is part of both times.
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


def compare(run: dict[str, Callable[[], float]], num_tokens: int, repeats: int) -> dict:
    """Tokens per second of each side and the ratio of paired runs, interleaved."""
    for side in run.values():
        side()
    rates: dict[str, list[float]] = {name: [] for name in run}
    for _ in range(repeats):
        for name, side in run.items():
            rates[name].append(num_tokens / side())
    pairs = zip(rates["burnish"], rates["transformers"], strict=True)
    return {
        **{f"{name}_tokens_per_s": median(values) for name, values in rates.items()},
        "ratio": median([mine / peer for mine, peer in pairs]),
    }


def main() -> None:
    """Measure at batch 1 and 16."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    model = load_model("smollm2-135m", precision="bf16", device="cpu")
    network = AutoModelForCausalLM.from_pretrained(model.folder, dtype=torch.bfloat16).eval()
    rows = {}
    for size in (1, 16):
        batch = prompts(model, size)
        sides = {
            "burnish": lambda batch=batch: ours(model, batch, options.new_tokens),
            "transformers": lambda batch=batch: theirs(network, batch, options.new_tokens),
        }
        rows[f"batch_{size}"] = compare(sides, size * options.new_tokens, options.repeats)
        ratio = rows[f"batch_{size}"]["ratio"]
        print(f"batch {size}: {ratio['value']:.2f}x [{ratio['low']:.2f}, {ratio['high']:.2f}]")
    save("decode", {"new_tokens": options.new_tokens, **rows})


if __name__ == "__main__":
    main()
