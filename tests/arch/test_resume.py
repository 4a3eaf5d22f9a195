"""Killed while it builds shards, in a step, in evaluations: the same model, bit for bit."""

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from fixtures.pretraining import make_corpus, tiny_settings

from burnish.arch import measure, training
from burnish.arch.pretrain_job import pretrain
from burnish.data import shards
from burnish.train.trainer import Trainer

PLACES: dict[str, tuple[Any, str, int]] = {  # what is called so often before the process dies
    "shards": (shards, "_write_block", 3),
    "step": (Trainer, "update", 8),
    "evaluation": (training, "measure_chunks", 2),
    "documents": (measure, "measure_chunks", 3),
}


def dying(owner: Any, name: str, after: int, run: Callable[[], Any]) -> None:
    exact, calls = getattr(owner, name), []

    def call(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == after:
            os.kill(os.getpid(), signal.SIGKILL)
        return exact(*given, **named)

    setattr(owner, name, call)
    run()


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    left_out = {"run", "minutes", "cost", "page", "model", "tokens_per_s"}
    return {name: value for name, value in result.items() if name not in left_out}


def left(folder: Path) -> dict[str, bytes]:
    paths = [p for p in (folder / "stages").rglob("*") if p.is_file()]
    kept = [p for p in paths if p.suffix in {".bin", ".safetensors"} or "heldout" in p.name]
    return {str(p.relative_to(folder)): p.read_bytes() for p in kept}


def check_resumed(tmp_path: Path, places: list[str]) -> None:
    settings = tiny_settings(make_corpus(tmp_path), optimizer="muon")
    wanted = pretrain(settings, folder=tmp_path / "straight")
    folder = tmp_path / "killed"
    for place in places:
        owner, name, after = PLACES[place]
        process = get_context("fork").Process(
            target=dying, args=(owner, name, after, lambda: pretrain(settings, folder=folder))
        )
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL, place
    found = pretrain(settings, folder=folder)
    assert without_times(found) == without_times(wanted)
    assert left(folder) == left(tmp_path / "straight")
    steps = [
        training.told_steps(tmp_path / run / "stages" / "train") for run in ("straight", "killed")
    ]
    assert steps[0] == steps[1] and len(steps[0]) == 12


def small_pieces(monkeypatch: Any) -> None:
    monkeypatch.setattr(shards, "BATCH_CHARACTERS", 300)
    monkeypatch.setattr(measure, "PASS_ROWS", 64)


def test_killed_and_resumed_equals_straight(tmp_path: Path, monkeypatch: Any) -> None:
    small_pieces(monkeypatch)
    check_resumed(tmp_path, list(PLACES))


def test_planted_position_that_is_not_kept(tmp_path: Path, monkeypatch: Any) -> None:
    small_pieces(monkeypatch)
    from burnish.data.windows import WindowCursor

    monkeypatch.setattr(WindowCursor, "load_state_dict", lambda self, state: None)
    with pytest.raises(AssertionError):
        check_resumed(tmp_path, ["step"])
