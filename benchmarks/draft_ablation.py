"""Claim: what each part of FIRP's drafter is worth, trained alike on a small budget.

Every variant learns from the same answers of the model with the same steps; top-1 per offset and
tokens per pass (4 and 8 nodes) are measured on held-out answers by replay. One row is kept per
variant in `--cells`, so a run that was cut off goes on.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from recording import cells_file, save

from burnish.base.records import RecordLog
from burnish.draft.distil import read_texts
from burnish.draft.fit import FitSettings, fit_maps
from burnish.draft.guesses import measure_ranks
from burnish.draft.learning import acceptance_numbers, maps_of
from burnish.draft.streams import Streams, collect_streams
from burnish.draft.vocabulary import head_rows, ranked_vocabulary
from burnish.models.load import Model, load_model

SMALL = {"epochs": 1, "anchors_per_text": 32}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "W = 0": {"entries": (20,) * 3, "start": "zero", "epochs": 0},
    "ridge only, t = 20": {"entries": (20,) * 3, "epochs": 0},
    "KL, t = 20": {"entries": (20,) * 3, **SMALL},
    "KL from zero, t = 20": {"entries": (20,) * 3, "start": "zero", **SMALL},
    "KL, t = 20, no attention among pseudo states": {
        "entries": (20,) * 3, "cross": False, **SMALL,
    },
    "KL, t = 20, chained": {"entries": (20,) * 3, "source": "previous", **SMALL},
    "KL, t = 24": {"entries": (24,) * 3, **SMALL},
    "KL, t = 15": {"entries": (15,) * 3, **SMALL},
    "KL, t = 10": {"entries": (10,) * 3, **SMALL},
    "KL, t = 20, k = 4": {"entries": (20,) * 4, **SMALL},
    "KL, t = 20, knows the next token": {"entries": (20,) * 3, "knows_next": True, **SMALL},
    "medusa": {"kind": "medusa", "entries": (1,) * 3, **SMALL},
}  # fmt: skip


def measure(
    model: Model, streams: Streams, vocabulary: torch.Tensor, given: Mapping[str, Any], held: int
) -> dict[str, Any]:
    """Train one variant and measure it on the last `held` texts."""
    settings = FitSettings(**given)
    head = head_rows(model.network, vocabulary, model.dtype)
    learned = range(len(streams.texts) - held)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        args = (model.network, head, streams, learned, settings)
        fitted = fit_maps(*args, folder=Path(folder))
    seconds = time.monotonic() - started
    maps = maps_of(fitted, settings, vocabulary, "")
    texts = range(len(learned), len(streams.texts))
    ranks = measure_ranks(model.network, maps, head, streams, texts)
    return {"train_s": round(seconds, 1), **acceptance_numbers(ranks)}


def main() -> None:
    """Measure what is missing of the variants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=Path, required=True, help="answers.jsonl of draft train")
    parser.add_argument("--texts", type=int, default=360)
    parser.add_argument("--held", type=int, default=40)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS))
    parser.add_argument("--cells", type=Path, default=cells_file("draft_ablation"))
    options = parser.parse_args()
    model = load_model("smollm2-135m", precision="bf16", device="cpu")
    texts = [t for t in read_texts(options.answers) if len(t.prompt) < 250 and len(t.answer) > 8]
    texts = texts[: options.texts]
    with RecordLog(options.cells) as log:
        done = {row["variant"]: row for row in log.read()}
        missing = [name for name in options.only if name not in done]
        if missing:
            layers = {t for n in missing for t in VARIANTS[n]["entries"] if "medusa" not in n}
            streams = collect_streams(model, texts, sorted(layers))
            answers = [text.answer for text in texts[: -options.held]]
            ids = ranked_vocabulary(answers, 8192, model.network.shape.vocab_size)
            for name in missing:
                found = measure(model, streams, torch.tensor(ids), VARIANTS[name], options.held)
                done[name] = {"variant": name, **found}
                log.append(done[name])
                top1 = [round(one["value"], 3) for one in found["top1"]]
                print(name, top1, found["tokens_per_pass"], f"{found['train_s']} s", flush=True)
    kept = {name: done[name] for name in VARIANTS if name in done}
    save("draft_ablation", {"num_texts": len(texts), "held": options.held, "variants": kept})


if __name__ == "__main__":
    main()
