"""Real learning on CPU: a small transformer as actor and critic on chains of sums.

    python benchmarks/critique_learning.py critic|actor|loop|frontier|report [--quick]
    python benchmarks/critique_learning.py loop --seeds 0,1 --arms critic,rejection

`critic` and `actor` make the players, of about 1M parameters, and measure them: the critic's
localisation on unseen chains, the minutes of both. `loop` has one cell for each seed and arm:
critique in the loop, a shuffled placebo, masked critiques, and rejection sampling, with so many
samples that it generates as many tokens, the critic's included, and with fixed numbers of samples,
for its curve over tokens. `frontier` refines to K = 64. Cells are kept as they finish, and what is
done is not done again; `report` writes what there is to `results/critique_learning.json`.
`--quick` shows that parts run; its `loop` ends with nothing gathered, since its model has learned
nothing.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from critique_players import CHAIN, PLACE, RARE, RARE_FRAC, RUNS, WORDING, actor, critic, sizes
from recording import cells_file, save

from burnish.base.log import RecordLog
from burnish.base.rng import stream
from burnish.base.stats import bootstrap
from burnish.critique.refine_job import refine_answers
from burnish.critique.refinement import RefineSettings
from burnish.critique.settings import CritiqueRefineSettings
from burnish.recipes.critic_loop import run_loop
from burnish.recipes.critic_settings import CriticLoopSettings
from burnish.train.settings import TrainSettings

ARMS = ("critic", "rejection", "shuffled", "masked", "rejection:4", "rejection:8", "rejection:16")


def loop_settings(arm: str, seed: int, quick: bool, num_samples: int) -> CriticLoopSettings:
    """One arm of the comparison; two rounds from one start."""
    size, judge = sizes(quick), str(critic(quick)["model"])
    spec = {"shuffled": f"shuffled:{judge}", "rejection": "none"}.get(arm, judge)
    return CriticLoopSettings(
        model=actor(quick), critic=spec,
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
            result = run_loop(settings, RUNS)
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
            model=actor(quick), critic=critic(quick)["model"],
            wording=WORDING, place=PLACE,
            tasks=(CHAIN.format(size=size["tasks"]),), seed=3000,
            refine=RefineSettings(
                num_paths=paths, num_rounds=rounds, max_new_tokens=60, max_critique_tokens=100
            ),
            num_level_samples=size["levels"], max_plain_votes=2 * size["k"],
        )  # fmt: skip
        result = refine_answers(settings, RUNS)
        found[name] = {key: value for key, value in result.items() if key not in ("page", "cost")}
    return found


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
    """The critic before and after training on planted errors, and how long it took."""
    begun = time.monotonic()
    trained = critic(quick)
    found = {name: trained[name] for name in ("before", "after", "phases", "num_steps")}
    return {**found, "minutes": (time.monotonic() - begun) / 60}


def measured_actor(quick: bool) -> dict[str, Any]:
    """How long the actor took; the loop measures it."""
    begun = time.monotonic()
    actor(quick)
    return {"minutes": (time.monotonic() - begun) / 60, "rare": RARE, "rare_frac": RARE_FRAC}


PARTS = {"critic": measured_critic, "actor": measured_actor, "frontier": frontier}


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
    parser.add_argument("part", choices=["loop", "report", *PARTS])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--arms", default=",".join(ARMS))
    given = parser.parse_args()
    if given.part == "report":
        report(given.quick)
    elif given.part == "loop":
        seeds = [int(seed) for seed in given.seeds.split(",")]
        loop(given.quick, seeds[: 1 if given.quick else None], given.arms.split(","))
    else:
        print(json.dumps(kept(given.part, given.quick, PARTS[given.part]), default=str)[:3000])


if __name__ == "__main__":
    main()
