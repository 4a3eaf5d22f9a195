"""Real learning on CPU: a small transformer as actor and critic on chains of sums.

    python benchmarks/critique_learning.py start|critic|loop|frontier|smollm2|report [--quick]

`start` pretrains one model of about 1M parameters (`arch pretrain`) on worked chains, critiques and
revisions, and stops early enough that the hardest chains are mostly wrong. `critic` trains one
from it on planted errors and measures localisation on unseen chains. `loop` has one cell for each
seed and arm: critique in the loop, a shuffled placebo, masked critiques, and rejection sampling
with so many samples that it generates as many tokens, the critic's included. `frontier` refines
to K = 64. `smollm2` runs the whole chain on the embedded model. Cells are kept as they finish, and
what is done is not done again; `report` writes `results/critique_learning.json`. `--quick` shows
that parts run; its `loop` ends with nothing gathered, since its model has learned nothing.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from recording import cells_file, save

from burnish.arch.pretrain_job import pretrain
from burnish.arch.settings import PretrainSettings
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
from burnish.data.chains import chain_of, worked
from burnish.data.sources import load_tasks
from burnish.jobs.job import Place
from burnish.recipes.critic_loop import run_loop
from burnish.recipes.critic_settings import CriticLoopSettings, CriticTrainSettings
from burnish.recipes.critic_training import train_critic
from burnish.train.settings import TrainSettings

BUILD = Path(__file__).parents[1] / "build" / "critique"
WORDING = Wording(form="compact")
CHAIN = "chain:sums?size={size}&steps=5&low=1&high=13&distinct=1&labels=1"
ARMS = ("critic", "shuffled", "masked", "rejection")
SEEDS = (0, 1, 2, 3, 4)
PLACE = PlaceSettings(batch_size=64, precision="fp32")


def sizes(quick: bool) -> dict[str, Any]:
    """How much of everything; `quick` is for a look at whether it runs. Steps, not minutes."""
    if quick:
        return {"docs": (400, 130), "vocab": 320, "steps": (3, 3), "params": "60k", "train": 30, "dev": 10,
                "critic_tasks": 30, "critic_steps": 3, "k": 2, "levels": 2, "tasks": 6}  # fmt: skip
    return {"docs": (12_000, 5000), "vocab": 350, "steps": (300, 200), "params": "1M", "train": 120, "dev": 100,
            "critic_tasks": 5000, "critic_steps": 200, "k": 64, "levels": 16,
            "tasks": 50}  # fmt: skip


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


def start(quick: bool) -> str:
    """The folder of the start model, in two phases."""
    size = sizes(quick)
    model = None
    for phase, make in enumerate((worked_chains, mixed_documents)):
        path = BUILD / f"corpus-{phase}-{size['docs'][phase]}.jsonl"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = make(size["docs"][phase])
            path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
        settings = PretrainSettings(
            corpus=str(path), params=None if model else size["params"], base=model,
            steps=size["steps"][phase], vocab=None if model else size["vocab"], context=256,
            batch_tokens=2048 if phase else 1024, learning_rate=0.006 if phase else 0.008,
            warmup_frac=0.05, sample_tokens=0, num_evaluations=2, evaluation_tokens=4096,
            precision="fp32", seed=phase,
        )  # fmt: skip
        model = pretrain(settings, runs=BUILD / "runs")["model"]
    assert model is not None
    return model


def critic(quick: bool) -> dict[str, Any]:
    """A critic trained from the start on planted errors, measured on unseen chains."""
    size = sizes(quick)
    built = build_critiques(
        CritiqueBuildSettings(
            tasks=(CHAIN.format(size=size["critic_tasks"]),), wording=WORDING, seed=7,
            flaws=FlawSettings(num_inserted=1, right_frac=0.3),
        ),
        Place(runs=BUILD / "runs"),
    )  # fmt: skip
    settings = CriticTrainSettings(
        model=start(quick), triples=built["run"], wording=WORDING, place=PLACE, heldout_frac=0.1,
        num_measured=10 if quick else 300, max_new_tokens=160,
        train=TrainSettings(
            method="full", optimizer="muon", learning_rate=0.005, schedule="linear",
            num_steps=size["critic_steps"], examples_per_step=32, pass_tokens=8192,
        ),
    )  # fmt: skip
    return train_critic(settings, Place(runs=BUILD / "runs"))


def loop_settings(arm: str, seed: int, quick: bool, num_samples: int) -> CriticLoopSettings:
    """One arm of the comparison; two rounds from one start."""
    size, judge = sizes(quick), critic(quick)["model"]
    spec = {"shuffled": f"shuffled:{judge}", "rejection": "none"}.get(arm, judge)
    return CriticLoopSettings(
        model=start(quick), critic=spec, tasks=(CHAIN.format(size=size["train"] + size["dev"]),),
        rounds=2, num_samples=num_samples, num_refinements=4, mask=arm == "masked",
        max_new_tokens=80, max_critique_tokens=160, num_dev=size["dev"],
        num_level_samples=size["levels"] // 2, wording=WORDING, place=PLACE, seed=2000 + seed,
        train=TrainSettings(
            method="full", learning_rate=5e-4, epochs=2, examples_per_step=32, pass_tokens=8192,
            seed=seed,
        ),
    )  # fmt: skip


def loop(quick: bool) -> None:
    """All cells of the loop that are missing."""
    log = RecordLog(cells_file("critique-loop" + ("-quick" if quick else "")))
    done = {(row["seed"], row["arm"]): row for row in log.read()}
    for seed in SEEDS[: 1 if quick else None]:
        for arm in ARMS:
            if (seed, arm) in done:
                continue
            samples = 4
            if arm == "rejection":
                samples = rejection_samples(done[(seed, "critic")])
            result = run_loop(loop_settings(arm, seed, quick, samples), Place(runs=BUILD / "runs"))
            row = {"seed": seed, "arm": arm, "num_samples": samples, "dev": result["dev"],
                   "rounds": result["rounds"]}  # fmt: skip
            log.append(row)
            done[(seed, arm)] = row


def rejection_samples(row: dict[str, Any]) -> int:
    """Samples of a task at which rejection sampling generates the tokens of the critic's arm."""
    spent = sum(
        one["tokens"].get("actor", 0) + one["tokens"].get("critic", 0) for one in row["rounds"]
    )
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
            model=start(quick), critic=critic(quick)["model"], wording=WORDING, place=PLACE,
            tasks=(CHAIN.format(size=size["tasks"]),), seed=3000,
            refine=RefineSettings(
                num_paths=paths, num_rounds=rounds, max_new_tokens=80, max_critique_tokens=160
            ),
            num_level_samples=size["levels"], max_plain_votes=8 * size["k"],
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


def report(quick: bool) -> None:
    """Write what is there into the results."""
    rows = RecordLog(cells_file("critique-loop" + ("-quick" if quick else ""))).read()
    trained = critic(quick)
    found: dict[str, Any] = {
        "critic": {name: trained[name] for name in ("before", "after", "num_steps")},
        "loop": summary(rows),
        "frontier": frontier(quick),
        "cells": rows,
    }
    if not quick:
        save("critique_learning", found)
    else:
        print(json.dumps(found["critic"])[:400], json.dumps(found["loop"])[:400])


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy on the hardest fifth by arm, and its difference to rejection sampling over seeds."""
    hardest = {(r["seed"], r["arm"]): r["dev"][-1]["by_level"]["5"]["value"] for r in rows}
    found: dict[str, Any] = {}
    for arm in ARMS:
        values = [hardest[(seed, arm)] for seed in SEEDS if (seed, arm) in hardest]
        if values:
            found[arm] = {"hardest_fifth": values, "mean": float(np.mean(values))}
        pairs = [(hardest[(s, arm)], hardest[(s, "rejection")]) for s in SEEDS
                 if {(s, arm), (s, "rejection")} <= hardest.keys()]  # fmt: skip
        if len(pairs) > 1 and arm != "rejection":
            gains = [a - b for a, b in pairs]
            found[arm]["gain"] = bootstrap(gains, rng=stream(0, arm)).to_dict()
    return found


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = {"start": start, "critic": critic, "loop": loop, "frontier": frontier,
             "smollm2": smollm2, "report": report}  # fmt: skip
    parser.add_argument("part", choices=list(parts))
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    result = parts[given.part](given.quick)
    if isinstance(result, dict):
        kept = {k: v for k, v in result.items() if k not in ("page", "frontier")}
        print(json.dumps(kept, default=str)[:2000])
    elif result is not None:
        print(result)


if __name__ == "__main__":
    main()
