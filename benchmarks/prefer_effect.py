"""What five losses do to length: SmolLM2-135M on PandaLM, a quarter of the pairs held out.

Arms: DPO, LD-DPO at alpha 0 and 0.5, SimPO, R-DPO; a cell is one arm with one seed, which decides
split and order. Measured on held-out pairs: greedy length with a cap, accuracy by DPO's margin and
by the loss's own, accuracy where lengths are alike and balanced over both signs, Spearman of margin
and length. Nobody judges the answers, so there is no win rate.

The defaults are shrunk to two CPU cores: pairs of at most 200 rows, 24 steps of 8 pairs. On a
machine with time: --most-rows 512 --steps 100 --heldout-frac 0.105 --answers 94
--max-new-tokens 256, which is 800 pairs an epoch. Each cell is kept when it ends; a run that was
cut off goes on. Arms are compared paired over prompts and seeds; "alike within 2 points" is a
non-inferiority question, whose answer may be "undetermined".

`--taught` first fine-tunes the model for one epoch on the chosen answers, as the authors of DPO do:
the model as it comes runs into every cap, so that there is no length to change. Its results were
made by: --taught --precision bf16 --most-rows 256 --steps 32 --heldout-frac 0.2 --answers 100
--max-new-tokens 256 --draws 8
"""

import argparse
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recording import cells_file, save

from burnish.base.log import RecordLog
from burnish.base.meter import Meter
from burnish.base.rng import stream
from burnish.base.stats import bootstrap, paired_difference
from burnish.contracts.generation import Request, Sampling
from burnish.engine.generate import generate
from burnish.models.load import Model, load_model
from burnish.models.save import save_model
from burnish.prefer.pairs import Pair
from burnish.prefer.reading import PairSet, read_pairs, split_pairs
from burnish.prefer.settings import EvaluateSettings, LossSettings, PairSettings, PreferSettings
from burnish.prefer.training import EVALUATIONS, Aligned, align
from burnish.recipes.teaching import merged
from burnish.train.examples import Example
from burnish.train.fit import fit
from burnish.train.settings import TrainSettings

DATA = Path(__file__).parents[2] / "shared/data/preference/pandalm-testset-v1.json"
ARMS: dict[str, dict[str, Any]] = {
    "dpo": {"name": "dpo"},
    "ld-dpo-0": {"name": "ld-dpo", "alpha": 0.0},
    "ld-dpo-0-end": {"name": "ld-dpo", "alpha": 0.0, "ld_end": "public"},
    "ld-dpo-0.5": {"name": "ld-dpo", "alpha": 0.5},
    "simpo": {"name": "simpo"},
    "r-dpo": {"name": "r-dpo"},
}


def usable_pairs(model: Any, most_rows: int) -> PairSet:
    """All decided pairs but the few that are very long: they would take most of the time."""
    found = read_pairs(DATA, model)
    short = tuple(pair for pair in found.pairs if len(pair) <= most_rows)
    return PairSet(pairs=short, problems=found.problems, end_ids=found.end_ids)


def settings_of(arm: str, seed: int, options: argparse.Namespace) -> PreferSettings:
    """Everything but the loss is the same for all arms."""
    return PreferSettings(
        loss=LossSettings(**ARMS[arm]),
        pairs=PairSettings(heldout_frac=options.heldout_frac),
        train=TrainSettings(
            learning_rate=options.rate,
            num_steps=options.steps,
            examples_per_step=8,
            save_every_steps=1000,
            seed=seed,
        ),
        evaluate=EvaluateSettings(
            num_generated=options.answers, max_new_tokens=options.max_new_tokens
        ),
    )


def taught(seed: int, options: argparse.Namespace) -> Path:
    """The model after one epoch on the chosen answers of the seed's training pairs; made once."""
    cells = cells_file("prefer_effect_taught")  # of the same code
    place = cells.with_suffix("") / f"seed{seed}-{options.most_rows}-{options.heldout_frac}"
    if place.exists():
        return place
    model = load_model("smollm2-135m", precision=options.precision, device="cpu")
    train, _ = split_pairs(
        usable_pairs(model, options.most_rows).pairs, heldout_frac=options.heldout_frac, seed=seed
    )
    texts = [Example(id=str(p.row), prompt=p.prompt, answer=p.chosen) for p in train]
    settings = TrainSettings(
        learning_rate=2e-4, epochs=1, examples_per_step=8, save_every_steps=1000, seed=seed
    )
    with tempfile.TemporaryDirectory() as work:
        fitted = fit(
            model,
            texts,
            settings,
            folder=Path(work),
            meter=Meter("sft"),
        )
    return save_model(merged(model, fitted), place)


def run_cell(
    arm: str, seed: int, options: argparse.Namespace, before: Mapping[str, Any] | None
) -> dict[str, Any]:
    """One arm with one seed: numbers of every held-out pair and prompt, and their summaries."""
    spec = str(taught(seed, options)) if options.taught else "smollm2-135m"
    started = time.perf_counter()
    model = load_model(spec, precision=options.precision, device="cpu")
    found = usable_pairs(model, options.most_rows)
    with tempfile.TemporaryDirectory() as folder:
        if before is not None:  # of the base model, which is the same for every arm of a seed
            with RecordLog(Path(folder) / EVALUATIONS) as log:
                log.append({"step": 0, "generated": before})
        out = align(
            model,
            found,
            settings_of(arm, seed, options),
            folder=Path(folder),
            event=lambda *given, **named: None,
            meter=Meter("effect"),
        )
    sampled = drawn_lengths(model, out.heldout, seed, options)
    return {
        "arm": arm,
        "seed": seed,
        "sampled": sampled,
        "seconds": round(time.perf_counter() - started, 1),
        "settings": {k: v for k, v in vars(options).items() if k not in ("arms", "seeds")},
        "num_train": len(out.train),
        "num_heldout": len(out.heldout),
        "losses": out.fitted.losses,
        **_measured(out),
    }


def drawn_lengths(
    model: Model, heldout: Sequence[Pair], seed: int, options: argparse.Namespace
) -> dict[str, list[list[int]]]:
    """Tokens of answers drawn at temperature 1, by prompt: of the policy, not of its mode alone."""
    if not options.draws:
        return {"tokens": []}
    samplings = [
        Sampling(max_new_tokens=options.max_new_tokens, temperature=1.0, seed=100 * seed + draw)
        for draw in range(options.draws)
    ]
    requests = [
        Request(id=f"{number} {draw}", prompt=prompt, sampling=sampling)
        for number, prompt in enumerate(dict.fromkeys(pair.prompt for pair in heldout))
        for draw, sampling in enumerate(samplings)
    ]
    tokens = [len(one.tokens) for one in generate(model, requests, batch_size=32)]
    rows = [tokens[at : at + options.draws] for at in range(0, len(tokens), options.draws)]
    return {"tokens": rows}


def _measured(out: Aligned) -> dict[str, Any]:
    first, last = out.evaluations[0], out.evaluations[-1]
    return {
        "margins": out.scores.margins().tolist(),
        "own": out.scores.own.tolist(),
        "excess": out.scores.excess.tolist(),
        "alike": [_alike(pair) for pair in out.heldout],
        "rows": [pair.row for pair in out.heldout],
        "measure": last["margins"],
        "before": first["generated"],
        "after": last["generated"],
    }


def _alike(pair: Pair) -> bool:
    return abs(pair.excess_tokens) <= 0.2 * max(pair.lengths)


def summarise(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By arm over its seeds, and against DPO on the seeds that both have."""
    table: dict[str, Any] = {}
    base = {c["seed"]: c for c in cells if c["arm"] == "dpo"}
    for arm in ARMS:
        own = {c["seed"]: c for c in cells if c["arm"] == arm}
        if not own:
            continue
        table[arm] = _arm(list(own.values())) | {"seeds": sorted(own)}
        both = sorted(own.keys() & base.keys())
        if arm != "dpo" and both:
            table[arm]["against dpo"] = _against([own[s] for s in both], [base[s] for s in both])
    return table


def _arm(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rng = stream(0, "effect")
    lengths = [float(n) for c in cells for n in c["after"]["tokens"]]
    before = [float(n) for c in cells for n in c["before"]["tokens"]]
    prompts = [f"{c['seed']} {i}" for c in cells for i, _ in enumerate(c["after"]["tokens"])]
    right = [float(m > 0) for c in cells for m in c["margins"]]
    alike = [
        float(m > 0) for c in cells for m, a in zip(c["margins"], c["alike"], strict=True) if a
    ]
    return {
        "length_tokens": bootstrap(lengths, rng=rng, groups=prompts).to_dict(),
        "length_before_tokens": float(np.mean(before)),
        "drawn_length_tokens": _drawn(cells, rng),
        "num_capped": sum(c["after"]["num_capped"] for c in cells),
        "accuracy": bootstrap(right, rng=rng).to_dict(),
        "alike_accuracy": bootstrap(alike, rng=rng).to_dict(),
        "balanced_accuracy": [c["measure"]["balanced_accuracy"] for c in cells],
        "own_accuracy": [c["measure"]["own_accuracy"] for c in cells],
        "spearman": [c["measure"]["spearman"] for c in cells],
        "chosen_drift_nats": [c["measure"]["chosen_drift_nats"] for c in cells],
        "last_loss": [c["losses"][-1] for c in cells],
        "seconds": [c["seconds"] for c in cells],
    }


def _by_prompt(cells: Sequence[Mapping[str, Any]]) -> list[float]:
    return [float(np.mean(row)) for c in cells for row in c.get("sampled", {}).get("tokens", [])]


def _drawn(cells: Sequence[Mapping[str, Any]], rng: np.random.Generator) -> dict[str, Any] | None:
    means = _by_prompt(cells)
    return bootstrap(means, rng=rng).to_dict() if means else None


def _against(own: Sequence[Mapping[str, Any]], base: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Paired over the same prompts and held-out pairs; length as a fraction of DPO's."""
    rng = stream(0, "effect", "paired")
    ours, theirs = ([float(n) for c in side for n in c["after"]["tokens"]] for side in (own, base))
    change = _change(theirs, ours, rng)
    drawn = [_by_prompt(side) for side in (base, own)]
    right = [[float(m > 0) for c in side for m in c["margins"]] for side in (own, base)]
    alike = [
        [float(m > 0) for c in side for m, a in zip(c["margins"], c["alike"], strict=True) if a]
        for side in (own, base)
    ]
    return {
        "length_change_frac": change,
        "drawn_length_change_frac": _change(*drawn, rng) if all(drawn) else None,
        "accuracy_difference": paired_difference(right[1], right[0], rng=rng).to_dict(),
        "alike_accuracy_difference": paired_difference(alike[1], alike[0], rng=rng).to_dict(),
    }


def _change(before: list[float], after: list[float], rng: np.random.Generator) -> dict[str, float]:
    """The paired difference as a fraction of the mean before."""
    change, mean = paired_difference(before, after, rng=rng).to_dict(), float(np.mean(before))
    return {name: value / mean if name != "n" else value for name, value in change.items()}


def main() -> None:
    """Run the cells that are missing, seed by seed, and summarise what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--heldout-frac", type=float, default=0.25)
    parser.add_argument("--most-rows", type=int, default=200)
    parser.add_argument("--answers", type=int, default=40)
    parser.add_argument("--max-new-tokens", type=int, default=200)
    parser.add_argument("--draws", type=int, default=0, help="Answers a prompt at temperature 1.")
    parser.add_argument("--taught", action="store_true", help="Fine-tune on chosen answers first.")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--cells", type=int, default=1, help="New cells of each arm, now.")
    options = parser.parse_args()
    new = dict.fromkeys(ARMS, options.cells)
    del options.cells
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    name = "prefer_effect_taught" if options.taught else "prefer_effect"
    log = RecordLog(cells_file(name))
    for seed in options.seeds:
        for arm in options.arms:
            cells = log.peek()  # another process may have finished one meanwhile
            if new[arm] and not any(c["arm"] == arm and c["seed"] == seed for c in cells):
                before = next((c["before"] for c in cells if c["seed"] == seed), None)
                log.append(run_cell(arm, seed, options, before))
                new[arm] -= 1
    table = summarise(log.peek())
    if not table:
        parser.error("there are no cells of this code on this machine: ask for some with --cells")
    for arm, row in table.items():
        length, rank = row["length_tokens"], [round(s["value"], 2) for s in row["spearman"]]
        print(f"{arm:11} seeds {row['seeds']}: {length['value']:.1f} tokens "
              f"[{length['low']:.1f}, {length['high']:.1f}], accuracy "
              f"{row['accuracy']['value']:.3f}, alike {row['alike_accuracy']['value']:.3f}, "
              f"Spearman {rank}, {row['seconds']} s")  # fmt: skip
    save(name, {"settings": vars(options), "arms": table})


if __name__ == "__main__":
    main()
