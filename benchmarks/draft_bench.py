"""Claim: FIRP decodes the same text faster than our plain loop and transformers.

Spec-Bench prompts, stratified over its six tasks, greedy, batch 1, prefill included, one process.
On each prompt all arms take their turn; every measured cell is kept in `--cells`, so a run that
was cut off goes on. Arms that cannot run here are named as such in the result. With `--predict N`
the planner says beforehand what it expects, from N other prompts. (llama.cpp, which must have a
process of its own, stands in `int4_decode.py`.)

bf16, about 25 minutes on two quiet cores; then the other formats with fewer arms (same cells):
    draft_bench.py --limit 60 --predict 12
    draft_bench.py --precisions int8 int4 fp32 --drafters ngram firp+ngram --transformers \
        --limit 30 --name draft_bench_int
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from recording import cells_file, save
from transformers import AutoModelForCausalLM

from burnish.contracts.generation import Completion, Request, Sampling
from burnish.draft.acceptance import Use
from burnish.draft.bench_cells import (
    Arm,
    Cell,
    make_arms,
    measure_cells,
    requests_for,
    stratified,
    summarise,
)
from burnish.draft.cost import open_workbench
from burnish.draft.planner import predicted, price, statistics_for
from burnish.draft.variants import variant_of
from burnish.models.load import Model, load_model

PROMPTS = Path(__file__).parents[2] / "shared/data/spec-bench/question.jsonl"
CONTEXT_TOKENS = 384  # about the middle of Spec-Bench's texts
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


def our_arms(model: Model, precision: str, specs: Mapping[str, str]) -> dict[str, Arm]:
    """Plain decoding and drafters at one precision, with the precision in their names."""
    return {f"{name} {precision}": arm for name, arm in make_arms(model, specs).items()}


def predictions(model: Model, specs: Mapping[str, str], prompts: Sequence[str]) -> dict[str, Any]:
    """What the planner expects of each drafter, on prompts that are not measured here."""
    maps, ranks = statistics_for(model, "", Use(prompts=prompts))
    variants = {name: variant_of(spec, maps) for name, spec in specs.items()}
    known = {name: variant for name, variant in variants.items() if variant is not None}
    bench = open_workbench(model, context_tokens=CONTEXT_TOKENS)
    priced = price(bench, list(known.values()), maps, ranks, repeats=15)
    found = {}
    for name, variant in known.items():
        option, plain_s = priced[variant.spec]
        speedup = predicted(ranks, variant, plain_s / option.step_s)
        found[name] = asdict(option) | {"speedup": speedup.to_dict(), "plain_step_s": plain_s}
    return found


def their_arms(model: Model, wanted: Sequence[str]) -> dict[str, Arm]:
    """Transformers in bf16 and fp32; in bf16 with a static cache and with prompt lookup, too."""
    arms = {}
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        if precision not in wanted:
            continue
        network = AutoModelForCausalLM.from_pretrained(model.folder, dtype=dtype).eval()
        arms[f"transformers {precision}"] = theirs(network, model)
        if precision == "bf16":
            variants = {
                "static": {"cache_implementation": "static"},
                "lookup": {"prompt_lookup_num_tokens": 10},
            }
            for variant, settings in variants.items():
                again = AutoModelForCausalLM.from_pretrained(model.folder, dtype=dtype).eval()
                arms[f"transformers {variant} bf16"] = theirs(again, model, **settings)
    return arms


def main() -> None:
    """Measure; compare each precision with its own plain loop, and all with transformers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, default=PROMPTS)
    parser.add_argument("--limit", type=int, default=12, help="60 for the table of the page")
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--precisions", nargs="*", default=["bf16"])
    parser.add_argument("--drafters", nargs="*", default=list(SPECS), help="NAME or NAME=SPEC")
    parser.add_argument("--transformers", nargs="*", default=["bf16"], help="bf16, fp32 or nothing")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no prompt after these")
    parser.add_argument("--predict", type=int, default=0, help="prompts for the planner's say")
    parser.add_argument("--cells", type=Path, help="log of measured cells (.jsonl)")
    parser.add_argument("--name", default="draft_bench")
    options = parser.parse_args()
    begun = time.monotonic()
    specs = {
        name: spec or SPECS[name] for name, _, spec in (d.partition("=") for d in options.drafters)
    }
    prompts = stratified(options.prompts, 0)
    asked = prompts[options.limit :][: options.predict]
    arms: dict[str, Arm] = {}
    predicted_by: dict[str, Any] = {}
    for precision in options.precisions:
        model = load_model("smollm2-135m", precision=precision, device="cpu")
        arms |= our_arms(model, precision, specs)
        if asked:
            predicted_by[precision] = predictions(model, specs, asked)
    arms |= their_arms(model, options.transformers)
    sampling = Sampling(max_new_tokens=options.new_tokens)
    requests = requests_for(model, prompts[: options.limit], sampling)
    with torch.inference_mode():
        cells = measure_cells(
            arms,
            requests,
            options.cells or cells_file("draft_bench"),
            enough=lambda: time.monotonic() - begun > options.minutes * 60,
        )
    results = table(cells, options.precisions, predicted_by)
    results |= {"num_prompts": len(requests), "specs": specs}
    save(options.name, results, peers=["transformers", "torch"])


def table(
    cells: Sequence[Cell], precisions: Sequence[str], predicted_by: Mapping[str, Any]
) -> dict[str, Any]:
    """Each precision against its plain loop; everything against transformers' bf16 generate."""
    found: dict[str, Any] = {"predicted": predicted_by}
    for precision in precisions:
        own = [cell for cell in cells if cell.arm.endswith(f" {precision}")]
        own = [cell for cell in own if not cell.arm.startswith("transformers")]
        found[precision] = summarise(own, f"plain {precision}", f"prefill {precision}")
        for name, arm in found[precision].items():
            say(name, arm, predicted_by.get(precision, {}).get(name.rpartition(" ")[0]))
    if any(cell.arm == "transformers bf16" for cell in cells):
        others = [cell for cell in cells if not cell.arm.startswith("prefill")]
        found["against_transformers_bf16"] = summarise(others, "transformers bf16")
        print("against transformers' bf16 generate:")
        for name, arm in found["against_transformers_bf16"].items():
            say(name, arm, None)
    loads = [cell.load for cell in cells]
    found["load"] = {"mean": sum(loads) / len(loads), "most": max(loads)}
    return found


def say(name: str, arm: Mapping[str, Any], prediction: Mapping[str, Any] | None) -> None:
    """One line of the table."""
    gain, same, rate = arm["speedup"], arm["identical"], arm["tokens_per_s"]["value"]
    line = f"{name:26} {rate:6.1f} tokens/s {gain['value']:5.2f}x "
    line += (
        f"[{gain['low']:.2f}, {gain['high']:.2f}] {arm['tokens_per_step']['value']:.2f} a step, "
    )
    line += f"identical {same['value']:.0%} of {same['n']}"
    if "decode_speedup" in arm:
        line += f"; after the prefill {arm['decode_speedup']['value']:.2f}x"
    if prediction is not None:
        steps, speedup = prediction["tokens_per_pass"], prediction["speedup"]["value"]
        line += f", predicted {speedup:.2f}x at {steps:.2f} a step"
    print(line)


if __name__ == "__main__":
    main()
