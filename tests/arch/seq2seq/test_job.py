"""The whole command: killed and resumed, planned, verified, refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.training import ranks
from fixtures.translating import tiny_seq2seq, write_pairs
from safetensors.torch import load_file

from burnish.arch.seq2seq import job as module
from burnish.arch.seq2seq.job import plan_seq2seq, train_seq2seq
from burnish.arch.seq2seq.saved import open_translator
from burnish.arch.seq2seq.settings import BeamSettings
from burnish.base.errors import InputError, MissingExtraError, MissingFileError
from burnish.base.files import read_json
from burnish.jobs.job import Place
from burnish.train.trainer import Trainer

SAME = ("validation", "bleu", "pairs", "num_params", "num_steps", "evaluations")


def run(pairs: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    return train_seq2seq(tiny_seq2seq(pairs, **changes), Place(folder=folder))


def weights(folder: Path) -> Any:
    return load_file(folder / "model" / "model.safetensors")


def check_resumed(folder: Path, monkeypatch: Any) -> None:
    """With dropout, so that the random state matters; killed behind step 3 and a checkpoint."""
    pairs, block = write_pairs(folder), {"block": "pcformer:order=2", "dropout": 0.3}
    straight = run(pairs, folder / "straight", **block)
    exact, steps = Trainer.update, []

    def update(self: Any, *given: Any) -> float:
        steps.append(given)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return exact(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", update)
        with pytest.raises(KeyboardInterrupt):
            run(pairs, folder / "killed", **block)
    again = run(pairs, folder / "killed", **block)
    assert {name: again[name] for name in SAME} == {name: straight[name] for name in SAME}
    wanted = weights(folder / "straight")
    assert all(torch.equal(v, wanted[n]) for n, v in weights(folder / "killed").items())


def test_killed_and_resumed_equals_straight(tmp_path: Path, monkeypatch: Any) -> None:
    check_resumed(tmp_path, monkeypatch)
    rows = read_json(tmp_path / "straight" / "stages" / "evaluate" / "rows.json")
    result = read_json(tmp_path / "straight" / "result.json")
    assert len(rows) == result["pairs"]["num_heldout_pairs"] == 3
    found = open_translator(tmp_path / "straight", device="cpu").translate(
        [rows[0]["source"]], BeamSettings(beam=2, max_new_tokens=5)
    )
    assert found[0][0] == rows[0]["translation"]
    assert "nats per token" in result["page"]["verdict"] and "BLEU" in result["page"]["verdict"]


def test_planted_checkpoint_without_random_state(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("torch.set_rng_state", lambda state: None)
    with pytest.raises(AssertionError):
        check_resumed(tmp_path, monkeypatch)


def test_it_learns(tmp_path: Path) -> None:
    """Targets that are their sources again: far below the tokens' own entropy."""
    path = tmp_path / "same.tsv"
    path.write_text("".join(f"{i % 7} {i % 5} {i}\t{i % 7} {i % 5} {i}\n" for i in range(90)))
    changes = {"steps": 60, "bleu": False, "learning_rate": 1e-2, "params": "40k"}
    changes |= {"heldout_frac": 0.1, "dropout": 0.0, "num_evaluations": 1, "pairs_per_step": 27}
    result = run(path, tmp_path / "run", **changes)
    first, last = (row["nats_per_token"] for row in result["evaluations"])
    assert last < 0.5 * first and result["bleu"] is None


def test_a_plan_says_what_the_run_does(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path)
    settings = tiny_seq2seq(pairs, steps=None, epochs=1, vocab=262)
    plan = plan_seq2seq(settings)
    assert not (tmp_path / "runs").exists()
    result = train_seq2seq(settings, Place(folder=tmp_path / "run"))
    assert plan["num_steps"] == result["num_steps"] == 8
    assert plan["num_params"] == result["num_params"] and plan["shapes"] == result["shapes"]
    assert {n: v for n, v in plan.items() if n.endswith("pairs")} == {
        n: v for n, v in result["pairs"].items() if n.endswith("pairs")
    }
    assert plan["expected_tokens"] == 8 * 8 * module.TOKENS_A_PAIR


def test_refused_before_anything_runs(tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(MissingFileError):
        run(tmp_path / "none.tsv", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    bad = tmp_path / "bad.tsv"
    bad.write_text("a\tb\nc\n")
    with pytest.raises(InputError, match=r"bad\.tsv:2 must have two texts"):
        run(bad, tmp_path / "bad")
    monkeypatch.setattr("burnish.arch.seq2seq.bleu.find_spec", lambda name: None)
    for call in (plan_seq2seq, train_seq2seq):
        with pytest.raises(MissingExtraError):
            call(tiny_seq2seq(write_pairs(tmp_path)))


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Without dropout, whose masks are each process's own."""
    pairs = write_pairs(tmp_path)
    given = {"block": "pcformer:order=2", "dropout": 0.0, "bleu": False, "label_smoothing": 0.1}

    def start(name: str, environment: dict[str, str]) -> Any:
        code = (
            "import json, sys; from pathlib import Path\n"
            "from burnish.jobs.job import Place\n"
            "from fixtures.translating import tiny_seq2seq\n"
            "from burnish.arch.seq2seq.job import train_seq2seq\n"
            "settings = tiny_seq2seq(Path(sys.argv[1]), **json.loads(sys.argv[2]))\n"
            "train_seq2seq(settings, Place(folder=Path(sys.argv[3])))"
        )
        words = [sys.executable, "-c", code, str(pairs), json.dumps(given), str(tmp_path / name)]
        paths = os.pathsep.join(filter(None, sys.path))
        return subprocess.Popen(words, env=os.environ | environment | {"PYTHONPATH": paths})

    for processes in ([start("one", {})], [start("two", one) for one in ranks(2)]):
        assert [process.wait(280) for process in processes] == [0] * len(processes)
    results = [read_json(tmp_path / name / "result.json") for name in ("one", "two")]
    nats = [[row["nats_per_token"] for row in one["evaluations"]] for one in results]
    assert nats[1] == pytest.approx(nats[0], rel=1e-5)
    one, two = (weights(tmp_path / name) for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-5, rtol=1e-5)


def test_long_pairs_are_counted(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path)
    result = run(pairs, tmp_path / "run", most_tokens=6, heldout_frac=0.3, bleu=False, steps=1)
    assert 0 < result["num_long_pairs"] < 60
