"""The whole chain on the embedded SmolLM2-135M: a trained critic, and the stage of `improve`.

    python benchmarks/critique_smollm2.py players|improve|report [--quick]
    python benchmarks/critique_smollm2.py improve --seeds 0,1,2

`players` trains the model on planted errors in chains of two sums, in the full form: as a critic,
and measures how many of its critiques can be parsed, before and after, and as an actor. `improve`
runs the job on the actor, with that critic as its stage and without a stage, each with one seed a
cell; without it the actor samples so often that it generates as many tokens, those of critiques
and revisions included.
Cells are kept as they finish; `report` writes `results/critique_smollm2.json`.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from recording import cells_file, save

from burnish.base.log import RecordLog
from burnish.base.records import read_records
from burnish.base.rng import stream
from burnish.base.stats import bootstrap
from burnish.critique.build_job import build_critiques
from burnish.critique.settings import CritiqueBuildSettings, PlaceSettings
from burnish.critique.wording import Wording
from burnish.jobs.job import Place
from burnish.recipes.critic_settings import CriticTrainSettings
from burnish.recipes.critic_training import train_critic
from burnish.recipes.improve import improve
from burnish.recipes.settings import (
    CritiqueStageSettings,
    GeneralSettings,
    ImproveSettings,
    MeasureSettings,
    MemorySettings,
    SampleSettings,
    ShiftSettings,
    SpeedSettings,
    SplitSettings,
)
from burnish.train.settings import TrainSettings

RUNS = Path(__file__).parents[1] / "build" / "critique" / "runs"
CHAIN = "chain:sums?size={size}&steps=2"
ARMS = ("critique", "plain")
STEPS: dict[str, int] = {"critic": 40, "actor": 20}


def trained(role: Literal["critic", "actor"], quick: bool) -> dict[str, Any]:
    """The model trained on planted errors, as a critic, or as an actor that works out and revises.

    The model as it comes answers in no lines of steps, so there would be nothing to criticise.
    """
    wording, place = Wording(form="full"), PlaceSettings(batch_size=30)
    built = build_critiques(
        CritiqueBuildSettings(
            tasks=(CHAIN.format(size=20 if quick else 400),), wording=wording, seed=77
        ),
        Place(runs=RUNS),
    )
    settings = CriticTrainSettings(
        triples=built["run"], wording=wording, place=place, num_measured=4 if quick else 60,
        max_new_tokens=160, role=role,
        train=TrainSettings(
            learning_rate=1e-3, num_steps=2 if quick else STEPS[role], examples_per_step=8,
            pass_tokens=4096,
        ),
    )  # fmt: skip
    return train_critic(settings, Place(runs=RUNS))


def improve_settings(arm: str, seed: int, quick: bool, num_samples: int) -> ImproveSettings:
    """One round on chains of two sums; everything that is not compared is left out."""
    split = (12, 4, 8) if quick else (150, 30, 150)
    stage = CritiqueStageSettings(
        critic=trained("critic", quick)["model"] if arm == "critique" else "",
        max_critique_tokens=160,
    )
    return ImproveSettings(
        model=trained("actor", quick)["model"],
        tasks=(CHAIN.format(size=sum(split)),),
        split=SplitSettings(train=split[0], dev=split[1], heldout=split[2]),
        sample=SampleSettings(num_samples=num_samples, num_extra=0, max_new_tokens=48),
        train=TrainSettings(method="full", learning_rate=1.5e-4, epochs=2, examples_per_step=32),
        measure=MeasureSettings(max_new_tokens=48, num_demonstrations=0, max_votes=1),
        memory=MemorySettings(lengths="64:128:x2", trials=2),
        speed=SpeedSettings(repeats=0), general=GeneralSettings(num_texts=0),
        shift=ShiftSettings(num=0), critique=stage, batch_size=64, seed=seed,
    )  # fmt: skip


def cells(quick: bool, seeds: Sequence[int]) -> None:
    """All cells of `improve` that are missing; the arm with the stage says how much is spent."""
    log = RecordLog(cells_file("critique-improve" + ("-quick" if quick else "")))
    done = {(row["seed"], row["arm"]): row for row in log.read()}
    for seed in seeds:
        for arm in ARMS:
            if (seed, arm) in done:
                continue
            samples = 4 if arm == "critique" else plain_samples(done[(seed, "critique")])
            found = improve(improve_settings(arm, seed, quick, samples), runs=RUNS)
            row = {"seed": seed, "arm": arm, "num_samples": samples, **numbers_of(found)}
            log.append(row)
            done[(seed, arm)] = row


def numbers_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a cell keeps of a run; tokens are those generated for the training tasks."""
    sampled = read_records(Path(found["run"]) / "stages" / "sample-1" / "answers.jsonl")
    counts = found["critique"][0] if found.get("critique") else {"tokens": {}}
    again = sum(counts["tokens"].get(who, 0) for who in ("actor", "critic"))
    return {
        "before": found["before"]["accuracy"], "after": found["after"]["accuracy"],
        "gain": found["gain"]["value"], "num_tasks": len({row["task_id"] for row in sampled}),
        "num_learned": found["rounds"][-1]["num_selected"], "sampled_tokens": total(sampled),
        "generated_tokens": total(sampled) + again, "critique": counts, "minutes": found["minutes"],
    }  # fmt: skip


def total(rows: Sequence[Mapping[str, Any]]) -> int:
    """Tokens of answers."""
    return sum(row["tokens"] for row in rows)


def plain_samples(row: Mapping[str, Any]) -> int:
    """Samples of a task that generate as many tokens as the arm with the stage, at least."""
    each = row["sampled_tokens"] / (row["num_tasks"] * row["num_samples"])
    return math.ceil(row["generated_tokens"] / each / row["num_tasks"])


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Both arms over seeds, and the difference of accuracy after the job."""
    after = {(row["seed"], row["arm"]): row["after"]["value"] for row in rows}
    seeds = [seed for seed, arm in after if arm == "plain"]
    gains = [after[seed, "critique"] - after[seed, "plain"] for seed in seeds]
    found: dict[str, Any] = {"seeds": seeds, "gains": gains}
    if len(gains) > 1:
        found["gain"] = bootstrap(gains, rng=stream(0, "improve")).to_dict()
    return found


def report(quick: bool) -> None:
    """Write what has finished."""
    suffix = "-quick" if quick else ""
    rows = RecordLog(cells_file("critique-improve" + suffix)).read()
    parts = {row["role"]: row for row in RecordLog(cells_file("critique-smollm2" + suffix)).read()}
    found = {**parts, "cells": rows, "improve": summary(rows)}
    print(json.dumps(found)[:2000])
    if not quick:
        save("critique_smollm2", found)


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["players", "improve", "report"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", default="0,1,2")
    given = parser.parse_args()
    if given.part == "players":
        log = RecordLog(cells_file("critique-smollm2" + "-quick" * given.quick))
        for role in STEPS:
            found = trained("actor" if role == "actor" else "critic", given.quick)
            row = {name: found[name] for name in ("before", "after", "num_steps", "num_examples")}
            log.append({"role": role, **row})
    elif given.part == "improve":
        cells(given.quick, [int(seed) for seed in given.seeds.split(",")])
    else:
        report(given.quick)


if __name__ == "__main__":
    main()
