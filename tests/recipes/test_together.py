"""Commands started by torchrun: processes train together, one writes and speaks."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.training import run_ranks

from burnish.base.runs import load_run
from burnish.base.settings import to_dict
from burnish.recipes.improve import improve
from burnish.recipes.settings import ImproveSettings

COMMAND = [sys.executable, "-c", "from burnish.cli.main import main; main()"]


def together(words: list[str], cache: Path) -> list[tuple[int, str, str]]:
    """Status, stdout and stderr of a command of ours in two processes."""
    return run_ranks([*COMMAND, *words], BURNISH_CACHE=str(cache))


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["none", "fsdp2"])
def test_preferences(sharding: str, tiny_folder: Any, tmp_path: Path) -> None:
    """The same losses as alone; a second call makes nothing again."""
    rows = [{"prompt": f"p{i}", "chosen": "ab" * (1 + i % 3), "rejected": "dc" * (1 + i % 4)}
            for i in range(16)]  # fmt: skip
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["prefer", "train", str(tiny_folder()), str(pairs), "--steps", "3", "--json", "--set",
             "train.examples_per_step=4", "--set", "train.learning_rate=1e-2", "--set",
             "evaluate.num_generated=2", "--set", "train.pass_tokens=30", "--set",
             "evaluate.every_steps=2", "--set", "evaluate.max_new_tokens=3"]  # fmt: skip
    done = subprocess.run([*COMMAND, *words, "--out", str(tmp_path / "one")], text=True,
                          capture_output=True, env=os.environ | {"BURNISH_CACHE": str(tmp_path)},
                          check=True)  # fmt: skip
    wanted = json.loads(done.stdout)
    shared = [*words, "--out", str(tmp_path / "two"), "--set", f"train.sharding={sharding}"]
    for _ in range(2):
        (first, out, _), (second, silent, errors) = together(shared, tmp_path)
        assert (first, second, silent) == (0, 0, ""), errors
        found = json.loads(out)
        assert found["losses"] == pytest.approx(wanted["losses"], rel=1e-4)
        assert found["lengths"] == wanted["lengths"]
        assert Path(found["model"], "model.safetensors").is_file()
    kinds = [one["kind"] for one in load_run(tmp_path / "two").events()]
    assert kinds.count("train_step") == 3
    assert kinds.count("stage_reused") == 1


@pytest.mark.slow
def test_one_process_fails(tiny_folder: Any, tmp_path: Path) -> None:
    """Rank 0 refuses the folder; the other says that it was left, in one line."""
    pairs, taken = tmp_path / "pairs.jsonl", tmp_path / "taken"
    pairs.write_text('{"prompt": "p", "chosen": "ab", "rejected": "c"}\n' * 4)
    taken.mkdir()
    (taken / "other").touch()
    words = ["prefer", "train", str(tiny_folder()), str(pairs), "--out", str(taken)]
    (first, _, refused), (second, _, left) = together(words, tmp_path)
    assert (first, second) == (2, 1)
    assert refused.startswith("error: run folder must be empty")
    assert left.startswith("process 1: error: other processes must run to the end, got 'Connec")
    assert left.count("\n") == 1


@pytest.mark.slow
def test_improve(settings: ImproveSettings, tmp_path: Path) -> None:
    """One process samples and measures, two train; the claims are those of one."""
    given = replace(settings, rounds=1, train=replace(settings.train, pass_tokens=200))
    wanted = improve(given, runs=tmp_path / "alone")
    config = tmp_path / "settings.json"
    config.write_text(json.dumps(to_dict(given)))
    words = ["improve", "--config", str(config), "--run", str(tmp_path / "two"), "--json"]
    (first, out, _), (second, silent, errors) = together(words, tmp_path)
    assert first == second, errors
    assert silent == ""
    found = json.loads(out)
    gates = [[one for one in result["gates"] if one["name"] != "not slower"]  # it is a time
             for result in (found, wanted)]  # fmt: skip
    assert gates[0] == [pytest.approx(one, abs=1e-3) for one in gates[1]] and len(gates[0]) == 6
    assert [{**one, "seconds": 0} for one in found["claims"]] == [
        {**one, "seconds": 0} for one in wanted["claims"]
    ]
    train = [one for one in load_run(tmp_path / "two").events() if one["kind"] == "train_step"]
    assert [one["step"] for one in train] == list(range(len(train)))
