"""Real learning on CPU: a small transformer as actor and critic on chains of sums.

    python benchmarks/critique_learning.py critic|actor|loop|frontier|report [--quick]
    python benchmarks/critique_learning.py loop --seeds 0,1 --arms critic,rejection

`critic` and `actor` make the players, of about 1M parameters, and measure them: the critic's
localisation on unseen chains, the minutes of both. `loop` has one cell for each seed and arm:
critique in the loop, a shuffled placebo, masked critiques, and rejection sampling, with so many
samples that it generates as many tokens, the critic's included, and with fixed numbers of samples,
for its curve over tokens. `frontier` refines to K = 64. Cells are kept as they finish, and what is
done is not done again; `report` writes what there is to `results/critique_learning.json` and
`results/critique_frontier.json`.
`--quick` shows that parts run; its `loop` ends with nothing gathered, since its model has learned
nothing.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from critique_players import CHAIN, PLACE, RARE, RARE_FRAC, RUNS, WORDING, actor, critic, sizes
from recording import cells_file, save

from burnish.base.canonical import content_hash
from burnish.base.log import RecordLog
from burnish.base.rng import stream
from burnish.base.stats import bootstrap
from burnish.critique.refine_job import refine_answers
from burnish.critique.refinement import RefineSettings
from burnish.critique.settings import CritiqueRefineSettings
from burnish.recipes.critic_loop import run_loop
from burnish.recipes.critic_settings import CriticLoopSettings
from burnish.train.settings import TrainSettings

MEANINGS = {
    "critic": "critiques and revisions of 4 first answers",
    "rejection": "rejection sampling at as many tokens",
    "shuffled": "placebo: each answer gets another's critique",
    "masked": "critiques with the reference hidden",
    "rejection:4": "rejection sampling, 4 answers",
    "rejection:8": "rejection sampling, 8 answers",
    "rejection:16": "rejection sampling, 16 answers",
}
ARMS = tuple(MEANINGS)
NOT_KEPT = ("page", "cost", "run", "critic")  # of a result: its page, and paths of this machine


def loop_settings(arm: str, seed: int, quick: bool, num_samples: int) -> CriticLoopSettings:
    """One arm of the comparison; two rounds from one start."""
    size, judge = sizes(quick), str(critic(quick)["model"])
    spec = {"shuffled": f"shuffled:{judge}", "rejection": "none"}.get(arm, judge)
    return CriticLoopSettings(
        model=actor(quick).model, critic=spec,
        tasks=(CHAIN.format(size=size["train"] + size["dev"]),),
        rounds=2, num_samples=num_samples, num_refinements=4, mask=arm == "masked",
        max_new_tokens=60, max_critique_tokens=100, num_dev=size["dev"],
        num_level_samples=size["levels"], wording=WORDING, place=PLACE, seed=2000 + seed,
        train=TrainSettings(
            method="full", learning_rate=2e-4, epochs=6, examples_per_step=16, pass_tokens=8192,
            seed=seed,
        ),
    )  # fmt: skip


def loop(quick: bool, seeds: Sequence[int], arms: Sequence[str]) -> None:
    """All cells of the loop that are missing.

    `rejection` samples as much as the critic's arm of its seed generates, `rejection:N` takes N
    samples of a task: RFT's curve over tokens.
    """
    log = cells("loop", quick)
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
            model=actor(quick).model, critic=critic(quick)["model"],
            wording=WORDING, place=PLACE,
            tasks=(CHAIN.format(size=size["tasks"]),), seed=3000,
            refine=RefineSettings(
                num_paths=paths, num_rounds=rounds, max_new_tokens=60, max_critique_tokens=100
            ),
            num_level_samples=size["levels"], max_plain_votes=8 * size["k"],
        )  # fmt: skip
        result = refine_answers(settings, RUNS)
        found[name] = {key: value for key, value in result.items() if key not in NOT_KEPT}
    return found


def cells(name: str, quick: bool) -> RecordLog:
    """The log of finished cells of these sizes."""
    return RecordLog(cells_file(f"critique-{name}-{content_hash(sizes(quick))[:8]}"))


def kept(part: str, quick: bool, make: Callable[[bool], Any]) -> Any:
    """What a part found: from the log of finished parts, else measured now."""
    log = cells("parts", quick)
    for row in log.read():
        if row["part"] == part:
            return row["found"]
    found = make(quick)
    log.append({"part": part, "found": found})
    return found


def measured_critic(quick: bool) -> dict[str, Any]:
    """The critic before and after training on planted errors, and how long it took."""
    trained = critic(quick)
    return {name: trained[name] for name in ("before", "after", "phases", "num_steps", "minutes")}


def measured_actor(quick: bool) -> dict[str, Any]:
    """How long the actor took; the loop measures it."""
    return {"minutes": actor(quick).minutes, "rare": RARE, "rare_frac": RARE_FRAC}


PARTS = {"critic": measured_critic, "actor": measured_actor, "frontier": frontier}


def report(quick: bool) -> None:
    """Write what has finished, the frontier into a file of its own; no part is run for it."""
    rows = cells("loop", quick).read()
    found = {row["part"]: row["found"] for row in cells("parts", quick).read()}
    shared = {"sizes": sizes(quick), "chain": CHAIN}
    frontiers = found.pop("frontier", None)
    results = {"critique_frontier": frontiers and {**frontiers, **shared}}
    if rows or "critic" in found:
        results["critique_learning"] = {**found, "loop": summary(rows), "cells": rows, **shared}
    for name, result in results.items():
        if result and not quick:
            save(name, result)
        elif result:
            print(name, json.dumps(result)[:1000])


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each arm over its seeds: the hardest fifth, tokens, and the gain over two other arms.

    `gain` is over rejection sampling at equal tokens, `gain_over_four` over as many first answers
    without a critic, which is what a critique adds.
    """
    found: dict[str, Any] = {}
    for arm in dict.fromkeys(row["arm"] for row in rows):
        mine = [row for row in rows if row["arm"] == arm]
        before, after = ([hardest(row, at) for row in mine] for at in (0, -1))
        accuracy = [row["dev"][-1]["accuracy"]["value"] for row in mine]
        found[arm] = {
            "meaning": MEANINGS[arm],
            "seeds": [row["seed"] for row in mine],
            "hardest_fifth": after,
            "hardest_fifth_of_start": before,
            "mean": float(np.mean(after)),
            "mean_of_start": float(np.mean(before)),
            "mean_accuracy": float(np.mean(accuracy)),
            "generated_tokens": [row["generated_tokens"] for row in mine],
            "mean_tokens": float(np.mean([row["generated_tokens"] for row in mine])),
        }
        for name, other in (("gain", "rejection"), ("gain_over_four", "rejection:4")):
            found[arm] |= gain_over(other, mine, rows, name)
    return found


def hardest(row: Mapping[str, Any], at: int) -> float:
    """Accuracy on the hardest fifth after a round."""
    return float(row["dev"][at]["by_level"]["5"]["value"])


def gain_over(
    other: str, mine: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], name: str
) -> dict[str, Any]:
    """Differences of an arm to another one, seed by seed, and their mean with its interval."""
    known = {row["seed"]: hardest(row, -1) for row in rows if row["arm"] == other}
    gains = [hardest(row, -1) - known[row["seed"]] for row in mine if row["seed"] in known]
    if not gains or mine[0]["arm"] == other:
        return {}
    found: dict[str, Any] = {f"{name}s": gains}
    if len(gains) > 1:
        found[name] = bootstrap(gains, rng=stream(0, name, mine[0]["arm"])).to_dict()
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
