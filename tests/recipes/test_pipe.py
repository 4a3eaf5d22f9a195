"""The output of a command is the input of the next, on models of every architecture."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from fixtures.tiny import make_folder

from burnish.base.records import read_records, write_records
from burnish.data.sources import load_tasks

BLOCKS = ("dense", "pcformer:order=2", "moe:experts=2,top_k=1")
CURVE = ("--lengths 20,30 --set cue_tokens=4 --set scored_tokens=8 --set least_tokens=20 "
         "--set trials=2 --precision fp32")  # fmt: skip


@pytest.mark.parametrize("block", BLOCKS)
def test_pick_build_align_and_measure(block: str, burnish: Any, tmp_path: Path) -> None:
    """`curate pick` | `critique build` | `prefer train` | `recall curve`, without conversion."""
    model, runs = make_folder("llama", tmp_path / "base"), ("--runs", tmp_path / "runs")
    if block != "dense":
        upcycled = burnish("arch", "upcycle", model, "--out", tmp_path / "up", "--block", block)
        assert upcycled.status == 0, upcycled.err
        model = tmp_path / "up"
    tasks = [asdict(task) for task in load_tasks("chain:sums?size=12&steps=3", seed=0)]
    write_records(tmp_path / "tasks.jsonl",
                  [task | {"complexity": i} for i, task in enumerate(tasks)])  # fmt: skip

    picked = burnish("curate", "pick", tmp_path / "tasks.jsonl", "--budget", "8", "--set",
                     f"model={model}", "--set", "threshold=1", "--out", tmp_path / "picked.jsonl",
                     "--json", *runs)  # fmt: skip
    assert picked.status == 0, picked.err
    prompts = {row["prompt"] for row in read_records(tmp_path / "picked.jsonl")}
    assert len(prompts) == 8

    built = burnish("critique", "build", picked.json["out"], "--json", *runs)
    assert built.status == 0, built.err
    pairs = list(read_records(Path(built.json["run"]) / "pairs.jsonl"))
    assert {row["prompt"] for row in pairs} <= prompts and len(pairs) >= 4

    sizes = ("--steps", "2", "--set", "evaluate.max_new_tokens=3", "--set",
             "pairs.heldout_frac=0.3", "--set", "train.method=full")  # fmt: skip
    aligned = burnish("prefer", "train", model, built.json["run"], "--json", *sizes, *runs)
    assert aligned.status == 0, aligned.err
    assert aligned.json["num_pairs"] == len(pairs)

    curve = burnish("recall", "curve", aligned.json["run"], "--json", *CURVE.split(), *runs)
    assert curve.status == 0, curve.err
    assert [point["length"] for point in curve.json["points"]] == [20, 30]
