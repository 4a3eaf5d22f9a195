"""Claim: labels are scored 10x as fast as one prompt per label, 3x as fast as prompt by prompt.

SmolLM2-135M, queries behind a few groups of demonstrations, 26 labels each, fp32, one process.
`one-per-label` gives every prompt with every label to `engine.score` as a text of its own;
`per-prompt` reads each prompt once and then all labels on a copy of its cache, 12 at a time and
padded, as the code released with AskGNN does (in our own words); `burnish` is `score_labels`. The
ways take turns on the same queries; all must agree to 1e-4. Ratios are of the same round.
"""

import argparse
import copy
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from recording import median, save

from burnish.base.meter import Meter
from burnish.contracts.generation import ScoreRequest
from burnish.engine.labels import score_labels
from burnish.engine.score import score
from burnish.models.load import load_model

LABELS = (
    *("act", "animal", "artifact", "attribute", "body", "cognition", "communication", "event"),
    *("feeling", "food", "group", "location", "motive", "object", "person", "phenomenon"),
    *("plant", "possession", "process", "quantity", "relation", "shape", "state", "substance"),
    *("time", "top"),
)
NOUNS = (
    ("hen", "a female domestic bird kept for its eggs", "animal"),
    ("chisel", "an edge tool with a flat steel blade", "artifact"),
    ("joy", "the emotion of great happiness", "feeling"),
    ("harbour", "a sheltered place where ships can anchor", "location"),
    ("barley", "a cereal grass with a dense spike of flowers", "plant"),
    ("march", "the act of walking with regular steps", "act"),
    ("dozen", "a set of twelve", "quantity"),
    ("baker", "someone who bakes bread or cakes for a living", "person"),
)
GROUP = 12  # labels of the per-prompt scheme that share a pass


def queries(num: int, num_groups: int, num_examples: int) -> list[str]:
    """Prompts whose demonstrations are those of their group."""
    prompts = []
    for index in range(num):
        start = index % num_groups
        shown = [NOUNS[(start + i) % len(NOUNS)] for i in range(num_examples)]
        word, gloss, _ = NOUNS[(index * 5 + 3) % len(NOUNS)]
        examples = "".join(f"Word: {w}\nMeaning: {g}\nKind: {k}\n\n" for w, g, k in shown)
        prompts.append(f"{examples}Word: {word} {index}\nMeaning: {gloss}\nKind:")
    return prompts


def per_label(model: Any, prompts: Sequence[str], meter: Meter) -> list[list[float]]:
    """Every prompt with every label, alone."""
    encode, found = model.tokenizer.encode, []
    for prompt in prompts:
        before, sums = tuple(encode(prompt)), []
        for label in LABELS:
            own = tuple(encode(f" {label}\n"))
            request = ScoreRequest(id=label, prompt=before, completion=own)
            sums.append(sum(score(model, [request], meter=meter)[0].logprobs))
        found.append(sums)
    return found


class PerPrompt:
    """A prompt's cache, computed once, and labels behind it in padded batches."""

    def __init__(self, model: Any) -> None:
        from transformers import AutoModelForCausalLM

        kind = {"dtype": torch.float32}
        self.network = AutoModelForCausalLM.from_pretrained(model.folder, **kind).eval()

    @torch.inference_mode()
    def __call__(self, model: Any, prompts: Sequence[str], meter: Meter) -> list[list[float]]:
        """Sums of each label's log-probabilities."""
        encode, found = model.tokenizer.encode, []
        labels = [encode(f" {label}\n") for label in LABELS]
        for prompt in prompts:
            ids = torch.tensor([encode(prompt)])
            before = self.network(input_ids=ids, use_cache=True, logits_to_keep=1)
            meter.add("prefilled", ids.shape[1])
            sums: list[float] = []
            for start in range(0, len(labels), GROUP):
                sums += self._batch(before, labels[start : start + GROUP], ids.shape[1], meter)
            found.append(sums)
        return found

    def _batch(self, before: Any, some: list[list[int]], length: int, meter: Meter) -> list[float]:
        longest = max(map(len, some))
        rows = torch.tensor([tokens + [0] * (longest - len(tokens)) for tokens in some])
        cache = copy.deepcopy(before.past_key_values)
        cache.batch_repeat_interleave(len(some))
        out = self.network(input_ids=rows, past_key_values=cache, use_cache=True)
        meter.add("scored", rows.numel())
        first = before.logits[:, -1:].expand(len(some), -1, -1)
        logprobs = torch.cat((first, out.logits[:, :-1]), dim=1).log_softmax(-1)
        values = logprobs.gather(-1, rows[..., None])[..., 0]
        return [float(row[: len(own)].sum()) for row, own in zip(values, some, strict=True)]


def ours(model: Any, prompts: Sequence[str], meter: Meter) -> list[list[float]]:
    """What this benchmark is about."""
    labels = [f" {label}" for label in LABELS]
    return score_labels(model, prompts, labels, end="\n", meter=meter).logprobs.tolist()


def main() -> None:
    """Time the ways in turns, and compare what they say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--queries", type=int, default=32, help="in a round")
    parser.add_argument("--groups", type=int, default=4, help="sets of demonstrations")
    parser.add_argument("--examples", type=int, default=4, help="demonstrations of a prompt")
    options = parser.parse_args()
    model = load_model("smollm2-135m", precision="fp32", device="cpu")
    ways: dict[str, Callable[..., list[list[float]]]] = {
        "burnish": ours, "per-prompt": PerPrompt(model), "one-per-label": per_label,
    }  # fmt: skip
    prompts = queries(options.rounds * options.queries, options.groups, options.examples)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    meters, furthest = {name: Meter() for name in ways}, dict.fromkeys(ways, 0.0)
    for way in ways.values():
        way(model, prompts[:1], Meter())
    for number in range(options.rounds):
        some, wanted = prompts[number * options.queries :][: options.queries], None
        for name, way in ways.items():
            started = time.perf_counter()
            found = torch.tensor(way(model, some, meters[name]))
            seconds[name].append(time.perf_counter() - started)
            wanted = found if wanted is None else wanted
            furthest[name] = max(furthest[name], float((found - wanted).abs().max()))
        print(number, {name: round(values[-1], 2) for name, values in seconds.items()}, flush=True)
    results: dict[str, Any] = {
        "labels": len(LABELS),
        "queries": options.queries,
        "largest_difference_nats": furthest,
        "tokens": {name: meter.totals() for name, meter in meters.items()},
        "seconds": {name: median(values) for name, values in seconds.items()},
    }
    for name in list(ways)[1:]:
        pairs = zip(seconds[name], seconds["burnish"], strict=True)
        results[f"speed over {name}"] = median([other / own for other, own in pairs])
        print(name, results[f"speed over {name}"])
    print(furthest)
    save("score_labels", results)


if __name__ == "__main__":
    main()
