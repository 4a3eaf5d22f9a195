"""Real learning on CPU: a small transformer as actor and critic on chains of sums.

    python benchmarks/critique_learning.py start|critic|loop|frontier|smollm2|report [--quick]
    python benchmarks/critique_learning.py loop --seeds 0,1 --arms critic,rejection

`start` pretrains models of about 1M parameters (`arch pretrain`), first on worked chains, then on
critiques and revisions too. The actor's stops early enough that the hardest chains are mostly
wrong. `critic` trains the other one on planted errors, and measures localisation on unseen chains.
`loop` has one cell for each seed and arm: critique in the loop, a shuffled placebo, masked
critiques, and rejection sampling, with so many samples that it generates as many tokens, the
critic's included, and with fixed numbers of samples, for its curve over tokens. `frontier` refines
to K = 64. `smollm2` runs the whole chain on the embedded model. Cells are kept as they finish, and
what is done is not done again; `report` writes what there is to `results/critique_learning.json`.
`--quick` shows that parts run; its `loop` ends with nothing gathered, since its model has learned
nothing.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recording import cells_file, save
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from burnish.arch.pretrain_job import pretrain
from burnish.arch.settings import PretrainSettings
from burnish.base.canonical import content_hash
from burnish.base.log import RecordLog
from burnish.base.rng import stream
from burnish.base.stats import bootstrap
from burnish.contracts.task import Task
from burnish.critique.annotate import annotate
from burnish.critique.build_job import build_critiques
from burnish.critique.flaws import FlawSettings
from burnish.critique.planted import planted_solutions
from burnish.critique.refine_job import refine_answers
from burnish.critique.refinement import RefineSettings
from burnish.critique.settings import (
    CritiqueBuildSettings,
    CritiqueRefineSettings,
    PlaceSettings,
)
from burnish.critique.wording import Wording
from burnish.data.chains import LABELS, chain_of, worked
from burnish.data.sources import load_tasks
from burnish.jobs.job import Place
from burnish.recipes.critic_loop import run_loop
from burnish.recipes.critic_settings import CriticLoopSettings, CriticTrainSettings
from burnish.recipes.critic_training import train_critic
from burnish.train.settings import TrainSettings

BUILD = Path(__file__).parents[1] / "build" / "critique"
WORDING = Wording(form="compact")
CHAIN = "chain:sums?size={size}&steps=5&low=1&high=13&distinct=1&labels=1"
ARMS = ("critic", "rejection", "shuffled", "masked", "rejection:4", "rejection:8", "rejection:16")
PLACE = PlaceSettings(batch_size=64, precision="fp32")
OWN_ANSWERS = 1  # the phase of the critic in which it reads the start's answers


def sizes(quick: bool) -> dict[str, Any]:
    """How much of everything; `quick` is for a look at whether it runs. Steps, not minutes."""
    if quick:
        return {"docs": (400, 130), "steps": (3, 3), "actor": (2, 2), "width": 32, "train": 30,
                "dev": 10, "critic_tasks": 30, "critic_steps": ((3, 32),), "k": 2, "levels": 2,
                "tasks": 6}  # fmt: skip
    return {"docs": (12_000, 6000), "steps": (400, 200), "actor": (280, 150), "width": 128,
            "train": 200, "dev": 100, "critic_tasks": 5000,
            "critic_steps": (*((300, 32),) * 3, *((400, 32),) * 2), "k": 64, "levels": 6,
            "tasks": 50}  # fmt: skip


def move_tokenizer() -> Path:
    """A byte-level tokenizer with a token for each number and each labelled move.

    A move of the problem is one token, so a small model looks it up in one step.
    """
    folder = BUILD / "tokenizer"
    if (folder / "tokenizer.json").is_file():
        return folder
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    moves = [f"{label}{op}{n}" for label in LABELS[:5] for op in "+-" for n in range(25)]
    words = ["####", "check", "again", "answer", " ok", " no", " > "]
    words += [*map(str, range(10, 100)), *moves]
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    end = "<|endoftext|>"
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=end, eos_token=end, pad_token=end,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    wrapped.save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def worked_chains(num: int) -> list[str]:
    """Documents of the first phase: tasks and their worked answers."""
    tasks = load_tasks(CHAIN.format(size=num), seed=1000)
    return [f"{task.prompt}\n{worked_task(task)}" for task in tasks]


def worked_task(task: Task) -> str:
    """The right answer to a chain."""
    chain = chain_of(task)
    assert chain is not None
    return worked(chain.steps())


def mixed_documents(num: int) -> list[str]:
    """Documents of the second phase: worked chains, critiques, and revisions of what is wrong."""
    solutions = planted_solutions(
        load_tasks(CHAIN.format(size=num), seed=1001), right_frac=0.5, seed=1001
    )
    critiques = annotate(solutions, None, WORDING, name="critiques")
    rows: list[str] = []
    for one, critique in zip(solutions, critiques, strict=True):
        assert critique is not None
        problem, right = one.task.prompt, worked_task(one.task)
        rows.append(f"{problem}\n{right}")
        rows.append(f"{WORDING.critique_prompt(problem, one.text)}\n{critique.text}")
        if not one.right:
            rows.append(f"{WORDING.refine_prompt(problem, one.text, critique.text)}\n{right}")
    return [rows[i] for i in stream(1001, "corpus").permutation(len(rows))]


def start(quick: bool, name: str = "steps") -> str:
    """The folder of a start model, in two phases; the `actor` stops earlier than the critic's."""
    size = sizes(quick)
    model = None
    for phase, make in enumerate((worked_chains, mixed_documents)):
        rows = make(size["docs"][phase])
        path = BUILD / f"corpus-{content_hash(rows)[:12]}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
        shape = {"depth": 4, "width": size["width"], "num_heads": 4, "num_kv_heads": 4,
                 "ffn_width": 3 * size["width"], "tokenizer": str(move_tokenizer())}  # fmt: skip
        settings = PretrainSettings(
            corpus=str(path), base=model, steps=size[name][phase], context=256,
            batch_tokens=2048, learning_rate=0.006, warmup_frac=0.05, sample_tokens=0,
            num_evaluations=2, evaluation_tokens=1024, precision="fp32", seed=phase,
            **({} if model else shape),
        )  # fmt: skip
        model = pretrain(settings, runs=BUILD / "runs")["model"]
    assert model is not None
    return model


def critic(quick: bool) -> dict[str, Any]:
    """A critic trained from the start on planted errors, measured on unseen chains.

    In phases of (steps, rows a step), each on chains of its own; the last one is measured. A phase
    further on the critic learns from the start's own answers, right and wrong, which it will read
    in the loop; it is measured on planted errors all the same.
    """
    size = sizes(quick)
    model, found = start(quick), dict[str, Any]()
    for phase, (steps, rows) in enumerate(size["critic_steps"]):
        own = phase == OWN_ANSWERS
        built = build_critiques(
            CritiqueBuildSettings(
                tasks=(CHAIN.format(size=size["critic_tasks"]),), wording=WORDING, seed=7 + phase,
                model=start(quick) if own else "", place=PLACE,
                flaws=FlawSettings(
                    num_inserted=1, num_samples=int(own), num_located=0, right_frac=0.3,
                    max_new_tokens=60,
                ),
            ),
            Place(runs=BUILD / "runs"),
        )  # fmt: skip
        settings = CriticTrainSettings(
            model=model, triples=built["run"], wording=WORDING, place=PLACE, heldout_frac=0.1,
            num_measured=10 if quick else 300, max_new_tokens=100,
            train=TrainSettings(
                method="full", optimizer="muon", learning_rate=0.003 if phase else 0.005,
                schedule="linear", num_steps=steps, examples_per_step=rows, pass_tokens=8192,
            ),
        )  # fmt: skip
        trained = train_critic(settings, Place(runs=BUILD / "runs"))
        found = {**trained, "before": found.get("before", trained["before"]),
                 "phases": [*found.get("phases", []), trained["after"]]}  # fmt: skip
        model = trained["model"]
    return found


def loop_settings(arm: str, seed: int, quick: bool, num_samples: int) -> CriticLoopSettings:
    """One arm of the comparison; two rounds from one start."""
    size, judge = sizes(quick), critic(quick)["model"]
    spec = {"shuffled": f"shuffled:{judge}", "rejection": "none"}.get(arm, judge)
    return CriticLoopSettings(
        model=start(quick, "actor"), critic=spec,
        tasks=(CHAIN.format(size=size["train"] + size["dev"]),),
        rounds=2, num_samples=num_samples, num_refinements=4, mask=arm == "masked",
        max_new_tokens=60, max_critique_tokens=100, num_dev=size["dev"],
        num_level_samples=size["levels"], wording=WORDING, place=PLACE, seed=2000 + seed,
        train=TrainSettings(
            method="full", learning_rate=5e-4, epochs=2, examples_per_step=32, pass_tokens=8192,
            seed=seed,
        ),
    )  # fmt: skip


def loop(quick: bool, seeds: Sequence[int], arms: Sequence[str]) -> None:
    """All cells of the loop that are missing.

    `rejection` samples as much as the critic's arm of its seed generates, `rejection:N` takes N
    samples of a task: RFT's curve over tokens.
    """
    log = RecordLog(cells_file("critique-loop" + ("-quick" if quick else "")))
    done = {(row["seed"], row["arm"]): row for row in log.read()}
    for seed in seeds:
        for arm in arms:
            if (seed, arm) in done:
                continue
            name, _, number = arm.partition(":")
            samples = int(number or 4)
            if arm == "rejection":
                samples = rejection_samples(done[(seed, "critic")])
            settings = loop_settings(name, seed, quick, samples)
            result = run_loop(settings, Place(runs=BUILD / "runs"))
            row = {"seed": seed, "arm": arm, "num_samples": samples}
            row |= {name: result[name] for name in ("dev", "rounds")}
            row["generated_tokens"] = generated(row["rounds"])
            log.append(row)
            done[(seed, arm)] = row


def generated(rounds: Sequence[Mapping[str, Any]]) -> int:
    """Tokens that actor and critic generated in all rounds."""
    return sum(one["tokens"].get(who, 0) for one in rounds for who in ("actor", "critic"))


def rejection_samples(row: dict[str, Any]) -> int:
    """Samples of a task at which rejection sampling generates the tokens of the critic's arm."""
    spent = generated(row["rounds"])
    answers = sum(one["num_answers"] for one in row["rounds"])
    kept = sum(one["tokens"].get("actor", 0) for one in row["rounds"])
    refined = sum(sum(one.get("refinements", {}).values()) for one in row["rounds"])
    per_answer = kept / max(1, answers + refined)
    tasks = sum(one["num_tasks"] for one in row["rounds"])
    return max(4, round(spent / per_answer / tasks))


def frontier(quick: bool) -> dict[str, Any]:
    """Accuracy against tokens to K = 64, parallel, and sequential in four rounds."""
    size = sizes(quick)
    found: dict[str, Any] = {}
    for name, paths, rounds in (
        ("parallel", size["k"], 1),
        ("sequential", max(2, size["k"] // 4), 4),
    ):
        settings = CritiqueRefineSettings(
            model=start(quick, "actor"), critic=critic(quick)["model"],
            wording=WORDING, place=PLACE,
            tasks=(CHAIN.format(size=size["tasks"]),), seed=3000,
            refine=RefineSettings(
                num_paths=paths, num_rounds=rounds, max_new_tokens=60, max_critique_tokens=100
            ),
            num_level_samples=size["levels"], max_plain_votes=2 * size["k"],
        )  # fmt: skip
        result = refine_answers(settings, Place(runs=BUILD / "runs"))
        found[name] = {key: value for key, value in result.items() if key not in ("page", "cost")}
    return found


def smollm2(quick: bool) -> dict[str, Any]:
    """The whole chain on the embedded model: parse rate before and after planted data."""
    wording = Wording(form="full")
    runs = Place(runs=BUILD / "runs")
    tasks = (CHAIN.format(size=20 if quick else 300).replace("steps=5", "steps=2"),)
    built = build_critiques(CritiqueBuildSettings(tasks=tasks, wording=wording), runs)
    settings = CriticTrainSettings(
        triples=built["run"],
        wording=wording,
        num_measured=4 if quick else 60,
        max_new_tokens=200,
        train=TrainSettings(learning_rate=1e-3, num_steps=2 if quick else 60),
    )
    found = train_critic(settings, runs)
    return {name: found[name] for name in ("before", "after", "num_steps")}


def kept(part: str, quick: bool, make: Callable[[bool], Any]) -> Any:
    """What a part found: from the log of finished parts, else measured now."""
    log = RecordLog(cells_file("critique-parts" + ("-quick" if quick else "")))
    for row in log.read():
        if row["part"] == part:
            return row["found"]
    found = make(quick)
    log.append({"part": part, "found": found})
    return found


def measured_critic(quick: bool) -> dict[str, Any]:
    """The critic before and after training on planted errors."""
    trained = critic(quick)
    return {name: trained[name] for name in ("before", "after", "phases", "num_steps")}


PARTS = {"critic": measured_critic, "frontier": frontier, "smollm2": smollm2}


def report(quick: bool) -> None:
    """Write the parts that have finished into the results; no part is run for it."""
    suffix = "-quick" if quick else ""
    rows = RecordLog(cells_file("critique-loop" + suffix)).read()
    found = {row["part"]: row["found"] for row in
             RecordLog(cells_file("critique-parts" + suffix)).read()}  # fmt: skip
    found |= {"loop": summary(rows), "cells": rows, "sizes": sizes(quick), "chain": CHAIN}
    if not quick:
        save("critique_learning", found)
    else:
        print(json.dumps(found)[:1000])


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Accuracy on the hardest fifth by arm, and its difference to rejection sampling over seeds."""
    hardest = {(r["seed"], r["arm"]): r["dev"][-1]["by_level"]["5"]["value"] for r in rows}
    found: dict[str, Any] = {}
    for arm in dict.fromkeys(row["arm"] for row in rows):
        mine = [row for row in rows if row["arm"] == arm]
        values = [hardest[(row["seed"], arm)] for row in mine]
        found[arm] = {
            "seeds": [row["seed"] for row in mine],
            "hardest_fifth": values,
            "hardest_fifth_of_start": [r["dev"][0]["by_level"]["5"]["value"] for r in mine],
            "mean": float(np.mean(values)),
            "accuracy": [row["dev"][-1]["accuracy"]["value"] for row in mine],
            "generated_tokens": [row["generated_tokens"] for row in mine],
        }
        gains = [hardest[(s, arm)] - hardest[(s, "rejection")] for s in found[arm]["seeds"]
                 if (s, "rejection") in hardest]  # fmt: skip
        if arm != "rejection" and gains:
            found[arm]["gains"] = gains
        if arm != "rejection" and len(gains) > 1:
            found[arm]["gain"] = bootstrap(gains, rng=stream(0, arm)).to_dict()
    return found


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["start", "loop", "report", *PARTS])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--arms", default=",".join(ARMS))
    given = parser.parse_args()
    if given.part == "start":
        print(start(given.quick), start(given.quick, "actor"))
    elif given.part == "report":
        report(given.quick)
    elif given.part == "loop":
        seeds = [int(seed) for seed in given.seeds.split(",")]
        loop(given.quick, seeds[: 1 if given.quick else None], given.arms.split(","))
    else:
        print(json.dumps(kept(given.part, given.quick, PARTS[given.part]), default=str)[:3000])


if __name__ == "__main__":
    main()
