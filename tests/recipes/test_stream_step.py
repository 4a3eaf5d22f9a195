"""`stream` in the job: documents beyond the window are read whole, and set against cut ones."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.files import read_json, write_json
from burnish.base.meter import Meter
from burnish.base.records import read_records
from burnish.base.stages import Stage
from burnish.data.sources import load_tasks
from burnish.jobs.step import Given, constant
from burnish.models.handle import ModelHandle
from burnish.recipes import answering
from burnish.recipes.ablating import variants
from burnish.recipes.improve import check_settings, improve
from burnish.recipes.planning import Calibration, make_plan
from burnish.recipes.settings import StreamStageSettings
from burnish.recipes.steps.stream import Stream
from burnish.recipes.verify import verify_run

MACHINE = Calibration(flops_per_s=1e9, bytes_per_s=1e8)
STEPS = ("tasks", "rounds", "stream")
KV = "window:budget_tokens=64"
WINDOW = 160  # tokens


@pytest.fixture(scope="module")
def file(tmp_path_factory: Any) -> Path:
    """Questions about documents of some hundred tokens."""
    place, rng = tmp_path_factory.mktemp("documents") / "docs.jsonl", np.random.default_rng(0)
    rows = [
        {"document": " ".join(rng.choice(["red", "blue", "sea", "tree"], 90)) + f" {i}",
         "question": f"Colour {i}?", "answer": ("3", "7")[i % 2]}
        for i in range(70)
    ]  # fmt: skip
    place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


@pytest.fixture(scope="module")
def short(settings: Any, tmp_path_factory: Any) -> Path:
    """The guessing model with a short window."""
    place = Path(shutil.copytree(settings.model, tmp_path_factory.mktemp("short") / "model"))
    told = read_json(place / "config.json")
    write_json(place / "config.json", told | {"max_position_embeddings": WINDOW})
    return place


@pytest.fixture
def on(settings: Any, file: Path, short: Path) -> Any:
    """Settings of a job on those documents."""
    return replace(settings, model=str(short), tasks=(f"documents:{file}?chars=60",), steps=STEPS,
                   rounds=1, stream=StreamStageSettings(kv=KV, max_tasks=9))  # fmt: skip


def check_read(settings: Any, runs: Path) -> dict[str, Any]:
    result = improve(settings, runs=runs)
    told, stages = result["stream"], Path(result["run"]) / "stages"
    assert told["num_cut"] == 9 and told["kv"] == KV
    rows = {name: list(read_records(stages / name / "answers.jsonl"))
            for name in ("stream-window", "stream-whole")}  # fmt: skip
    assert [len(own) for own in rows.values()] == [9, 9]
    assert told["whole"]["tokens"] > 1.5 * told["cut"]["tokens"]
    for own in read_records(stages / "stream-cut" / "prompts.jsonl"):
        assert own["num_kept"] < own["num_tokens"]
    right = {name: np.mean([row["verdict"] == "right" for row in own])
             for name, own in rows.items()}  # fmt: skip
    added = right["stream-whole"] - right["stream-window"]
    assert told["added"]["value"] == pytest.approx(added)
    accuracies = [told["cut"]["accuracy"], told["whole"]["accuracy"]]
    assert accuracies == pytest.approx(list(right.values())) and max(accuracies) > 0
    return result


def test_documents_are_read_whole_in_bounded_memory(on: Any, tmp_path: Path) -> None:
    result = check_read(on, tmp_path)
    (claim,) = [c for c in result["claims"] if c["claim"].startswith("stream")]
    assert claim["tokens"] == result["stream"]["whole"]["tokens"] and claim["seconds"] > 0
    (table,) = [b for b in result["page"]["blocks"] if b["title"] == "Long documents"]
    assert [row[0] for row in table["rows"]] == ["cut to the window", f"whole, {KV}"]
    checks = verify_run(Path(result["run"]))["checks"]
    for name in ("stream-cut", "stream-window", "stream-whole"):
        assert {"check": f"{name}, made again", "outcome": "same", "why": ""} in checks


def test_planted_step_that_forgets_the_policy(
    on: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = answering.generate
    monkeypatch.setattr(answering, "generate", lambda *given, kv=None, **how: exact(*given, **how))
    with pytest.raises(SettingError, match="must fit the model's window"):
        check_read(on, tmp_path)


def test_other_tasks_are_left_alone(settings: Any, on: Any) -> None:
    for plain in (settings, replace(on, stream=StreamStageSettings(kv=""))):
        part = Stream.configured(plain)
        assert part.planned() == [] and part.reads == () and not list(part.steps({}.__getitem__))
        assert "stream" not in variants(plain)
    assert variants(on)["stream"].stream.kv == ""


def test_the_plan_counts_both_arms(on: Any) -> None:
    off = replace(on, stream=StreamStageSettings(kv=""))
    costs = [make_plan(one, 10**6, MACHINE).prefilled_tokens for one in (on, off)]
    assert costs[0] - costs[1] == 2 * 9 * 4096


def test_a_model_without_policies_is_told(on: Any, tmp_path: Path, tiny_folder: Any) -> None:
    part = Stream.configured(on)
    cut = part.planned()[0]
    handle = ModelHandle(str(tiny_folder("gpt2")), precision="fp32", device="cpu")
    heldout = load_tasks(on.tasks[0], seed=0)[:3]
    given = Given("x", {"chosen": constant(handle), "heldout": constant(heldout)}, cut.reads)
    stage = Stage(name="x", path=tmp_path, resumed=False, record=lambda *_, **__: None)
    found = cut.make(stage, given, Meter("x"))
    assert found["num_tasks"] == 0 and "own decoder" in found["why"]


def test_an_unknown_policy_is_refused_at_once(on: Any) -> None:
    with pytest.raises(UnknownNameError, match="triangle"):
        check_settings(replace(on, stream=StreamStageSettings(kv="triangel")))
