"""Claim: FIRP decodes the same text faster than our plain loop, transformers and llama.cpp.

Spec-Bench prompts, stratified over its six tasks, greedy, batch 1, prefill included, one process.
On each prompt all arms take their turn; every measured cell is kept in `--cells`, so a run that
was cut off goes on. Arms that cannot run here are named as such in the result.
"""

import argparse
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from recording import save
from transformers import AutoModelForCausalLM

from burnish.contracts.generation import Completion, Request, Sampling
from burnish.draft.bench import (
    Arm,
    Cell,
    make_arms,
    requests_for,
    run_cells,
    stratified,
    summarise,
)
from burnish.models.load import Model, load_model

SPECS = {"ngram": "ngram", "medusa": "medusa", "firp": "firp", "firp+ngram": "firp:ngram=4"}


def theirs(network: Any, model: Model, **settings: Any) -> Arm:
    """`generate` of transformers; forward passes are counted by a hook."""
    calls: list[int] = []
    network.register_forward_pre_hook(lambda *_: calls.append(1))

    def arm(request: Request) -> Completion:
        calls.clear()
        ids = torch.tensor([list(request.prompt)])
        out = network.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=request.sampling.max_new_tokens,
            pad_token_id=2,
            **settings,
        )
        new = out[0, ids.shape[1] :].tolist()
        kept = tuple(token for token in new if token not in model.eos_ids)
        return Completion(
            id=request.id, tokens=kept, text="", finish="length", num_passes=len(calls)
        )

    return arm


def llama_cpp(path: Path, model: Model) -> Arm:
    """llama.cpp's greedy decoding of the same Q4_1 file."""
    from llama_cpp import Llama

    engine = Llama(str(path), n_ctx=2048, n_threads=2, n_threads_batch=2, verbose=False)

    def arm(request: Request) -> Completion:
        engine.reset()
        tokens: list[int] = []
        for token in engine.generate(list(request.prompt), temp=0.0, reset=True):
            if token in model.eos_ids:
                break
            tokens.append(token)
            if len(tokens) == request.sampling.max_new_tokens:
                break
        return Completion(
            id=request.id, tokens=tuple(tokens), text="", finish="length", num_passes=len(tokens)
        )

    return arm


def our_arms(precision: str, specs: Mapping[str, str]) -> tuple[Model, dict[str, Arm]]:
    """Plain decoding and drafters at one precision, with the precision in their names."""
    model = load_model("smollm2-135m", precision=precision, device="cpu")
    arms = make_arms(model, specs)
    return model, {f"{name} {precision}": arm for name, arm in arms.items()}


def their_arms(model: Model, wanted: Sequence[str]) -> dict[str, Arm]:
    """Transformers in bf16 and fp32, with and without prompt lookup."""
    arms = {}
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        if precision not in wanted:
            continue
        network = AutoModelForCausalLM.from_pretrained(model.folder, dtype=dtype).eval()
        arms[f"transformers {precision}"] = theirs(network, model)
        if precision == "bf16":
            again = AutoModelForCausalLM.from_pretrained(model.folder, dtype=dtype).eval()
            lookup = theirs(again, model, prompt_lookup_num_tokens=10)
            arms["transformers lookup bf16"] = lookup
    return arms


def main() -> None:
    """Measure; compare each precision with its own plain loop, and all with transformers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--precisions", nargs="*", default=["bf16"])
    parser.add_argument("--transformers", nargs="*", default=["bf16"])
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--spec", action="append", default=[], help="NAME=SPEC, more drafters")
    parser.add_argument("--cells", type=Path, required=True, help="log of measured cells (.jsonl)")
    parser.add_argument("--name", default="draft_bench")
    options = parser.parse_args()
    specs = SPECS | dict(given.split("=", 1) for given in options.spec)
    arms: dict[str, Arm] = {}
    for precision in options.precisions:
        model, own = our_arms(precision, specs)
        arms |= own
    arms |= their_arms(model, options.transformers)
    missing = {}
    if options.gguf and importlib.util.find_spec("llama_cpp"):
        arms["llama.cpp Q4_1"] = llama_cpp(options.gguf, model)
    elif options.gguf:
        missing["llama.cpp Q4_1"] = "llama-cpp-python is not installed"
    prompts = stratified(options.prompts, options.limit)
    requests = requests_for(model, prompts, Sampling(max_new_tokens=options.new_tokens))
    with torch.inference_mode():
        cells = run_cells(arms, requests, options.cells)
    results = table(cells, options.precisions)
    results |= {"num_prompts": len(requests), "specs": specs, "not_measured": missing}
    save(options.name, results)


def table(cells: Sequence[Cell], precisions: Sequence[str]) -> dict[str, Any]:
    """Each precision against its plain loop; everything against transformers' bf16 generate."""
    found: dict[str, Any] = {}
    for precision in precisions:
        own = [cell for cell in cells if cell.arm.endswith(f" {precision}")]
        own = [cell for cell in own if not cell.arm.startswith("transformers")]
        found[precision] = summarise(own, f"plain {precision}", f"prefill {precision}")
    if any(cell.arm == "transformers bf16" for cell in cells):
        others = [cell for cell in cells if not cell.arm.startswith("prefill")]
        found["against_transformers_bf16"] = summarise(others, "transformers bf16")
    loads = [cell.load for cell in cells]
    found["load"] = {"mean": sum(loads) / len(loads), "most": max(loads)}
    for name, arm in found.get("against_transformers_bf16", found[precisions[0]]).items():
        rate, gain = arm["tokens_per_s"]["value"], arm["speedup"]["value"]
        print(f"{name:28} {rate:7.1f} tokens/s {gain:6.2f}x {arm['tokens_per_step']['value']:.2f}")
    return found


if __name__ == "__main__":
    main()
