"""Claim: a PCformer drafts for itself: its first-order pass writes, its full block verifies.

Two small models of bundled text, equal but for the auxiliary loss of the first evaluations
(`first_order_loss`). Printed for each: nats a token of the full pass and of the first-order pass on
held-out documents, paired; then greedy continuations of held-out beginnings, plain and drafted in
turns: identical texts, tokens a full pass, and times. Training resumes where it was cut off, and
cells are kept.

    python benchmarks/self_speculation.py [--tokens 1M] [--params 900k] [--losses 0 0.3]
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from recording import RESULTS, save

from burnish.arch.measure import measure_documents
from burnish.arch.pretrain_job import pretrain
from burnish.arch.settings import PretrainSettings
from burnish.arch.training import ShardedCorpus
from burnish.base.rng import stream
from burnish.base.stats import bootstrap
from burnish.contracts.generation import Request, Sampling
from burnish.data.shards import read_heldout
from burnish.draft.bench_cells import make_arms, measure_cells, summarise
from burnish.models.decoder import Decoder, first_order
from burnish.models.load import Model, load_model

CONTEXT, PROMPT_TOKENS = 256, 32
WORK = RESULTS.parents[1] / "build" / "benchmarks" / "self_speculation"


def trained(loss: float, given: argparse.Namespace) -> Path:
    """The run of a model with so much of the auxiliary loss."""
    settings = PretrainSettings(
        corpus=given.corpus,
        block=f"pcformer:order={given.order}",
        params=given.params,
        tokens=given.tokens,
        context=CONTEXT,
        batch_tokens=4096,
        learning_rate=3e-3,
        first_order_loss=loss,
        sample_tokens=0,
        num_evaluations=1,
        precision="fp32",
        device="cpu",
    )
    return Path(pretrain(settings, folder=given.work / f"loss-{loss:g}")["run"])


def losses(model: Model, corpus: ShardedCorpus, folder: Path, num: int) -> dict[str, Any]:
    """Nats a token of both passes, and how much the full one gains, over the same documents."""
    documents = read_heldout(corpus.folder, corpus.manifest)[:num]
    network = model.network
    assert isinstance(network, Decoder)
    given = (network, documents, corpus.marks)
    full = measure_documents(*given, context=CONTEXT, path=folder / f"full-{num}.jsonl")
    with first_order(network):
        first = measure_documents(*given, context=CONTEXT, path=folder / f"first-{num}.jsonl")
    tokens = np.array([len(one["tokens"]) + 1 for one in documents], float)
    columns = {"full": np.array(full), "first_order": np.array(first)}
    columns["gain"] = columns["first_order"] - columns["full"]

    def ratio(nats: np.ndarray) -> dict[str, Any]:
        def of(picked: np.ndarray) -> float:
            places = picked.astype(int)
            return float(nats[places].sum() / tokens[places].sum())

        rng = stream(0, "self-speculation")
        return bootstrap(np.arange(len(nats)), rng=rng, statistic=of, num_resamples=2000).to_dict()

    return {name: ratio(nats) for name, nats in columns.items()}


def measured(loss: float, given: argparse.Namespace) -> dict[str, Any]:
    """Train, measure both passes, and decode with and without drafts."""
    run = trained(loss, given)
    corpus = ShardedCorpus.open(run / "stages" / "shards" / "shards", run / "model")
    model = load_model(str(run), precision="fp32", device="cpu")
    documents = read_heldout(corpus.folder, corpus.manifest)
    long = [one for one in documents if len(one["tokens"]) > PROMPT_TOKENS][: given.prompts]
    sampling = Sampling(max_new_tokens=given.new_tokens, temperature=0.0)
    requests = [
        Request(
            id=one["id"],
            prompt=(corpus.marks.first, *one["tokens"][:PROMPT_TOKENS]),
            sampling=sampling,
        )
        for one in long
    ]
    specs = {f"first_order-{n}": f"first_order:tokens={n}" for n in given.drafts}
    cells = measure_cells(
        make_arms(model, specs), requests, run / "cells.jsonl", repeats=given.repeats
    )
    return {
        "first_order_loss": loss,
        "nats_per_token": losses(model, corpus, run, given.documents),
        "num_prompts": len(requests),
        "arms": summarise(cells),
    }


def main() -> None:
    """Measure every model, print it, save the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", default="stdlib")
    parser.add_argument("--params", default="900k")
    parser.add_argument("--tokens", default="1M")
    parser.add_argument("--order", type=int, default=2)
    parser.add_argument("--losses", type=float, nargs="+", default=[0.0, 0.3])
    parser.add_argument("--drafts", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--new-tokens", type=int, default=96)
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--trial", action="store_true", help="keep the result out of results")
    given = parser.parse_args()
    models = [measured(loss, given) for loss in given.losses]
    for one in models:
        gain = one["nats_per_token"]["gain"]
        print(f"loss {one['first_order_loss']:g}: full pass better by {gain['value']:.4f} nats a "
              f"token [{gain['low']:.4f}, {gain['high']:.4f}]")  # fmt: skip
        for arm, row in one["arms"].items():
            print(f"  {arm:14} identical {row['identical']['value']:.2f}, tokens a pass "
                  f"{row['tokens_per_step']['value']:.2f}, speed-up {row['speedup']['value']:.2f} "
                  f"[{row['speedup']['low']:.2f}, {row['speedup']['high']:.2f}]")  # fmt: skip
    if not given.trial:
        options = {n: v for n, v in vars(given).items() if n not in ("work", "trial")}
        save("self_speculation", {"settings": options, "models": models})


if __name__ == "__main__":
    main()
