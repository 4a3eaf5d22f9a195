"""Claim: whether a PCformer encoder translates better than the baseline, at equal parameters.

Debian's short package descriptions, English to German: apt's two Translation files, aligned by the
md5 of the description, as its mirrors have them under dists/SUITE/main/i18n (unpacked, or .bz2 and
.xz). Encoder-decoders of 1.5M parameters, three seeds, every arm the same pairs, steps and rate:
the baseline, a PCformer encoder of order 2 (three evaluations a layer), and the baseline with
the encoder layers that those FLOPs pay for, which have parameters of their own.
BLEU by sacreBLEU (beam 4) where the baseline reaches 10; nats a token always. Held-out pairs are
the same for all seeds. Cells are kept when they end; a run that was cut off goes on, also inside a
cell.

    python benchmarks/translate.py Translation-en Translation-de [--steps 150] [--params 1.5M]

The defaults are shrunk to one CPU thread and 30 minutes in all: 150 steps of 64 pairs, fewer than
there are. Each cell can be a process of its own: --most-cells 1. With time: --steps 6000.
"""

import argparse
import bz2
import lzma
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recording import RESULTS, save

from burnish.arch.seq2seq.job import train_seq2seq
from burnish.arch.seq2seq.settings import BeamSettings, Seq2SeqSettings
from burnish.base.log import RecordLog
from burnish.base.records import read_json
from burnish.base.rng import stream
from burnish.base.stats import bootstrap
from burnish.jobs.job import Place

ARMS = {"baseline": "dense", "pcformer": "pcformer:order=2", "deeper": "dense:times=3"}
NEEDED_BLEU = 10.0
LANGUAGES = ("en", "de")


def descriptions(path: Path, language: str) -> dict[str, str]:
    """Short descriptions by the md5 of the whole one."""
    opened = {".bz2": bz2.open, ".xz": lzma.open}.get(path.suffix, open)
    found: dict[str, str] = {}
    key = ""
    with opened(path, "rt", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name == "Description-md5":
                key = value.strip()
            elif name == f"Description-{language}" and key:
                found[key] = " ".join(value.split())
    return found


def aligned(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Pairs, in the order of their keys; those that nobody translated are left out."""
    both = [descriptions(path, name) for path, name in zip(paths, LANGUAGES, strict=True)]
    for key in sorted(both[0].keys() & both[1].keys()):
        pair = both[0][key], both[1][key]
        if all(pair) and pair[0] != pair[1]:
            yield pair


def settings_of(arm: str, seed: int, pairs: Path, given: argparse.Namespace) -> Seq2SeqSettings:
    """The same for all arms, but for the encoder's layers."""
    return Seq2SeqSettings(
        pairs=str(pairs),
        block=ARMS[arm],
        params=given.params,
        steps=given.steps,
        learning_rate=given.rate,
        most_tokens=given.most_tokens,
        num_evaluations=3,
        most_translations=given.translations,
        search=BeamSettings(max_new_tokens=given.most_tokens),
        device="cpu",
        seed=seed,
        split_seed=0,
    )


def run_cell(arm: str, seed: int, pairs: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Train and measure one arm with one seed; what each held-out pair gave stays in the row."""
    folder, began = given.work / f"{arm}-{seed}", time.perf_counter()
    result = train_seq2seq(settings_of(arm, seed, pairs, given), Place(folder=folder))
    rows = read_json(folder / "stages" / "evaluate" / "rows.json")
    names = ("num_params", "train_flops_per_pair", "num_steps", "tokens", "tokens_per_s")
    names += ("validation", "bleu", "pairs", "evaluations")
    row = {
        "arm": arm,
        "seed": seed,
        "settings": options_of(given),
        "seconds": round(time.perf_counter() - began, 1),
        "train_seconds": result["cost"]["stage_seconds"]["train"],
        **{name: result[name] for name in names},
        "nats": [round(one["nats"], 4) for one in rows],
        "num_tokens": [one["num_tokens"] for one in rows],
        "samples": [
            {name: one[name] for name in ("source", "target", "translation")} for one in rows[:5]
        ],
    }
    shutil.rmtree(folder)
    return row


def options_of(given: argparse.Namespace) -> dict[str, Any]:
    """What decides a cell's numbers."""
    names = ("params", "steps", "rate", "most_tokens", "translations")
    return {name: getattr(given, name) for name in names}


def summarise(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each arm's means over seeds, and nats a token against the baseline, paired by pair."""
    by_arm = {arm: [cell for cell in cells if cell["arm"] == arm] for arm in ARMS}
    by_arm = {arm: some for arm, some in by_arm.items() if some}
    base = {cell["seed"]: cell for cell in by_arm.get("baseline", [])}
    found: dict[str, Any] = {}
    for arm, some in by_arm.items():
        paired = [cell for cell in some if cell["seed"] in base]
        found[arm] = {
            "block": ARMS[arm],
            "seeds": [cell["seed"] for cell in some],
            "nats_per_token": ratio([cell["nats"] for cell in some], some[0]["num_tokens"]),
            "nats_by_seed": [cell["validation"]["value"] for cell in some],
            "bleu_by_seed": [cell["bleu"] for cell in some],
            "bleu": float(np.mean([cell["bleu"]["value"] for cell in some])),
            "seconds_by_seed": [cell["train_seconds"] for cell in some],
            **{n: some[0][n] for n in ("num_params", "train_flops_per_pair", "num_steps")},
        }
        if arm != "baseline" and paired:
            less = [np.subtract(c["nats"], base[c["seed"]]["nats"]).tolist() for c in paired]
            found[arm]["against_baseline"] = ratio(less, paired[0]["num_tokens"])
    return found


def ratio(nats: Sequence[Sequence[float]], tokens: Sequence[int]) -> dict[str, float]:
    """Nats a token over pairs, a mean over seeds; the interval is over held-out pairs."""
    above, below = np.mean(nats, axis=0), np.array(tokens, float)

    def of(picked: np.ndarray) -> float:
        places = picked.astype(int)
        return float(above[places].sum() / below[places].sum())

    rng = stream(0, "translate")
    places = np.arange(len(below))
    return bootstrap(places, statistic=of, rng=rng, num_resamples=2000).to_dict()


def main() -> None:
    """Run the cells that are missing, seed by seed, print the arms and save the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("english", type=Path)
    parser.add_argument("german", type=Path)
    parser.add_argument("--params", default="1.5M")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rate", type=float, default=5e-3)
    parser.add_argument("--most-tokens", type=int, default=40)
    parser.add_argument("--translations", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most-cells", type=int, default=100, help="stop after so many")
    parser.add_argument("--work", type=Path, default=RESULTS.parents[1] / "build" / "translate")
    parser.add_argument("--cells", type=Path, default=RESULTS / "translate.cells.jsonl")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    pairs = given.work / "pairs.tsv"
    lines = [f"{source}\t{target}\n" for source, target in aligned((given.english, given.german))]
    pairs.write_text("".join(lines))
    log = RecordLog(given.cells)
    for seed in range(given.seeds):
        for arm in ARMS:
            known = [c for c in log.peek() if c["settings"] == options_of(given)]
            if given.most_cells and not any((c["arm"], c["seed"]) == (arm, seed) for c in known):
                log.append(run_cell(arm, seed, pairs, given))
                given.most_cells -= 1
    cells = [c for c in log.peek() if c["settings"] == options_of(given)]
    arms = summarise(cells)
    for arm, row in arms.items():
        print(arm, row["nats_per_token"], row.get("against_baseline"), f"BLEU {row['bleu']:.1f}")
    reached = "baseline" in arms and arms["baseline"]["bleu"] >= NEEDED_BLEU
    told = {"arms": arms, "pairs": cells[0]["pairs"], "bleu_counts": reached}
    save("translate", {"settings": options_of(given), **told, "samples": cells[-1]["samples"]},
         peers=("sacrebleu",))  # fmt: skip


if __name__ == "__main__":
    main()
