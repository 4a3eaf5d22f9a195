"""`burnish improve` from end to end, undisturbed, killed, repeated and refused."""

import copy
import functools
import json
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.improving import (
    SETTINGS,
    TRAIN,
    interrupt_after,
    killed,
    numbers_of,
    task_rows,
    write_tasks,
)

from burnish.base.errors import IncompleteError, StorageError
from burnish.base.records import RecordLog, read_json
from burnish.base.runs import load_run
from burnish.recipes.improve import improve
from burnish.recipes.settings import SampleSettings

GATES = {"better", "not longer", "not leaked", "not slower", "not more forgetful",
         "not more forgetful: texts", "not more forgetful: questions"}  # fmt: skip


def rows_of(run: Path, stage: str) -> list[dict[str, Any]]:
    return RecordLog(run / "stages" / stage / "answers.jsonl").peek()


def weights_of(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


# ---- an undisturbed run ----


def test_the_result(finished: Path, settings: Any) -> None:
    result = read_json(finished / "result.json")
    assert result["run"] == str(finished) and result["model"] == str(finished / "model")
    assert {gate["name"]: gate["outcome"] for gate in result["gates"]}.keys() == GATES
    assert result["gates"][0]["outcome"] == "pass"
    for side, stage in (("before", "measure-before"), ("after", "measure-after")):
        right = sum(row["verdict"] == "right" for row in rows_of(finished, stage))
        found = result[side]["accuracy"]
        assert found["value"] == right / 24 and found["low"] <= found["value"] <= found["high"]
    gain = result["gain"]
    assert gain["value"] == pytest.approx(
        result["after"]["accuracy"]["value"] - result["before"]["accuracy"]["value"]
    )
    assert 0 < gain["low"] < gain["value"] < gain["high"] and gain["n"] == 24
    assert result["before"]["accuracy"]["value"] < 0.75 < result["after"]["accuracy"]["value"]
    assert 0 <= result["minutes"] < 5
    assert result["cost"]["metered"]["trained_on"] > 0


def test_controls_stand_beside_the_gain(finished: Path) -> None:
    found = read_json(finished / "result.json")["controls"]
    assert found["few_shot"]["accuracy"]["n"] == 24
    vote = found["majority_vote"]
    assert vote["accuracy"]["n"] == 24
    samples = Counter(row["task_id"] for row in rows_of(finished, "control-vote"))
    assert set(samples.values()) == {vote["num_votes"]}
    rows = rows_of(finished, "control-vote")
    assert vote["tokens"] == sum(row["tokens"] for row in rows)
    first = sum(row["tokens"] for row in rows if row["id"].endswith("/0"))
    wanted = round(vote["training_sample_tokens"] / first)
    assert vote["num_votes"] == max(1, min(SETTINGS.measure.max_votes, wanted))


def test_rounds_end_on_development_tasks(finished: Path) -> None:
    result = read_json(finished / "result.json")
    right = [one["dev_right"] for one in result["rounds"]]
    assert len(right) <= 4
    assert right[:-1] == sorted(set(right[:-1]))  # each round but the last was a step up
    if len(right) < 4:
        assert right[-1] <= right[-2]
    assert result["chosen_round"] == right.index(max(right))
    assert len(right) == 3  # the first round leaves little for the second to gain


def test_no_content_is_shared_and_held_out_tasks_are_read_twice(finished: Path) -> None:
    from burnish.base.records import read_records

    files = {
        name: {row["prompt"] for row in read_records(finished / f"stages/tasks/{name}.jsonl")}
        for name in ("train", "dev", "heldout")
    }
    assert [len(files[name]) for name in files] == [32, 12, 24]
    assert len(set().union(*files.values())) == 68
    readers = {
        stage.name
        for stage in (finished / "stages").iterdir()
        if {row["prompt"] for row in RecordLog(stage / "answers.jsonl").peek()} & files["heldout"]
    }
    assert readers == {"measure-before", "measure-after", "control-few-shot", "control-vote"}
    learned = [stage for stage in (finished / "stages").glob("sample-*")]
    for stage in learned:
        prompts = {row["prompt"] for row in RecordLog(stage / "answers.jsonl").peek()}
        assert prompts <= files["train"]


def test_hard_tasks_get_more_samples(finished: Path) -> None:
    first = rows_of(finished, "sample-1")
    solved = {row["task_id"] for row in first if row["verdict"] == "right"}
    assert len(first) == 32 * 2 and 0 < len(solved) < 32
    more = Counter(row["task_id"] for row in rows_of(finished, "sample-1-hard"))
    assert more == dict.fromkeys({row["task_id"] for row in first} - solved, 2)


def test_the_page_can_be_read(finished: Path) -> None:
    page = (finished / "report" / "index.html").read_text()
    result = read_json(finished / "result.json")
    assert result["page"]["verdict"] in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert result["page"]["good"] is True
    titles = [block["title"] for block in result["page"]["blocks"]]
    assert {"Sceptic's controls", "Rounds", "Plan and actual"} <= set(titles)


def test_the_model_loads_in_transformers_and_answers(finished: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(finished / "model", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(finished / "model")
    for row in rows_of(finished, "measure-after")[:6]:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": row["prompt"]}],
            tokenize=False,
            add_generation_prompt=True,
        )
        given = tokenizer(text, return_tensors="pt", add_special_tokens=False)
        out = model.generate(**given, max_new_tokens=3, do_sample=False)[0]
        new = out[given["input_ids"].shape[1] :]
        assert tokenizer.decode(new, skip_special_tokens=True) == row["answer"]


def test_claims_name_what_they_were_computed_from(finished: Path) -> None:
    for claim in read_json(finished / "result.json")["claims"]:
        rows = RecordLog(finished / claim["artefact"]).peek()
        assert rows and sum(row.get("tokens", 0) for row in rows) == claim["tokens"]


# ---- again ----


def test_a_repeated_run_loads_no_model(
    settings: Any, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("loaded a model")

    for place in ("models.load", "recipes.teaching"):
        monkeypatch.setattr(f"burnish.{place}.load_model", refuse)
    before = read_json(finished / "result.json")
    again = improve(settings, runs=finished.parent)
    assert again["run"] == str(finished)
    assert again["cost"]["metered"] == before["cost"]["metered"]
    assert numbers_of(json.loads(json.dumps(again))) == numbers_of(before)
    kinds = Counter(event["kind"] for event in load_run(finished).events()[-40:])
    assert kinds["stage_reused"] >= 12 and not list(finished.glob(".publishing-*"))


POINTS = {  # where runs are killed: after how many answers or steps, and what is told then
    "sample-1": (30, "answers_resumed"),
    "teach-1": (5, "training_resumed"),
    "saving": (1, "training_resumed"),
}


@pytest.fixture(scope="module")
def killed_in(
    settings: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, Path], Path]:
    """Put the folder of runs that holds one killed in that stage at a place."""

    @functools.cache
    def kill(stage: str) -> Path:
        runs = tmp_path_factory.mktemp("killed")
        assert killed(settings, runs, stage, POINTS[stage][0]) == -signal.SIGKILL
        return runs

    def place(stage: str, target: Path) -> Path:
        return Path(shutil.copytree(kill(stage), target / "runs", symlinks=True))

    return place


def check_killed(settings: Any, finished: Path, runs: Path) -> list[str]:
    """Started again: the same numbers, answers and weights; returns the kinds of its events."""
    (run,) = [path for path in runs.iterdir() if not path.is_symlink()]
    assert not (run / "result.json").exists()
    kept = {p.parent.name: p.read_bytes() for p in run.glob("stages/*/answers.jsonl")}
    result = improve(settings, runs=runs)
    assert result["run"] == str(run)
    assert numbers_of(read_json(run / "result.json")) == numbers_of(
        read_json(finished / "result.json")
    )
    assert weights_of(run) == weights_of(finished)
    for name, text in kept.items():  # what was there is still there, in front
        assert (run / "stages" / name / "answers.jsonl").read_bytes().startswith(text)
    hidden = [path for path in run.rglob(".*") if path.name.startswith(".")]
    assert hidden == []
    return [event["kind"] for event in load_run(run).events()]


@pytest.mark.parametrize(
    "stage", ["sample-1", "teach-1", pytest.param("saving", marks=pytest.mark.slow)]
)
def test_killed_and_resumed_equals_straight(
    settings: Any, finished: Path, killed_in: Any, tmp_path: Path, stage: str
) -> None:
    kinds = check_killed(settings, finished, killed_in(stage, tmp_path))
    assert {"run_resumed", "stage_resumed", POINTS[stage][1]} <= set(kinds)


def test_planted_training_resumes_with_the_first_weights(
    settings: Any,
    finished: Path,
    killed_in: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from burnish.train import trainer

    exact, forgot = trainer.load_checkpoint, []

    def forget(path: Path, network: Any, optimizer: Any) -> dict[str, Any]:
        first = copy.deepcopy(network.state_dict())
        state = exact(path, network, optimizer)
        network.load_state_dict(first)
        forgot.append(path)
        return state

    monkeypatch.setattr(trainer, "load_checkpoint", forget)
    with pytest.raises(AssertionError):
        check_killed(settings, finished, killed_in("teach-1", tmp_path))
    assert forgot


def test_planted_samples_depend_on_what_is_missing(
    settings: Any,
    finished: Path,
    killed_in: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from burnish.recipes import answering

    exact = answering.generate

    def shifted(model: Any, requests: Any, **named: Any) -> Any:
        moved = [
            replace(r, sampling=replace(r.sampling, seed=len(requests) + i))
            for i, r in enumerate(requests)
        ]
        return exact(model, moved, **named)

    monkeypatch.setattr(answering, "generate", shifted)
    with pytest.raises(AssertionError):
        check_killed(settings, finished, killed_in("sample-1", tmp_path))


def test_interrupted_by_the_keyboard(settings: Any, tmp_path: Path) -> None:
    undo = interrupt_after("sample-1", 20, signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            improve(settings, runs=tmp_path)
    finally:
        undo()
    run = (tmp_path / "last").resolve()
    assert len(rows_of(run, "sample-1")) == 20
    assert not (run / "result.json").exists() and not (run / "model").exists()
    last = load_run(run).events()[-1]
    assert last["kind"] == "stage_stopped" and "KeyboardInterrupt" in last["error"]


# ---- what ends without a result ----


def test_no_right_answer(settings: Any, tmp_path: Path) -> None:
    rows = [{**row, "answer": "1000"} for row in task_rows()]
    impossible = replace(
        settings,
        tasks=(str(write_tasks(tmp_path / "impossible.jsonl", rows)),),
        sample=SampleSettings(num_samples=1, num_extra=1, max_new_tokens=2),
    )
    with pytest.raises(IncompleteError, match="easier tasks"):
        improve(impossible, runs=tmp_path / "runs")
    run = (tmp_path / "runs" / "last").resolve()
    assert len(rows_of(run, "sample-1")) == 32  # what was finished is kept
    for path in ("result.json", "model", "report", "stages/teach-1/done.json"):
        assert not (run / path).exists()


def test_answers_that_cannot_be_scored(settings: Any, tmp_path: Path) -> None:
    """A third of the tasks has a checker that fails on them: they stay in the denominator."""
    rows = task_rows(100)
    for row in rows[::3]:
        row |= {"checker": "choice", "metadata": {"choices": []}, "group": "broken"}
    path = write_tasks(tmp_path / "tasks.jsonl", rows)
    quick = replace(settings, tasks=(str(path),), rounds=1)
    result = improve(quick, runs=tmp_path / "runs")
    num_broken = result["before"]["num_unscored"]
    assert 4 < num_broken < 12
    for found in (result["before"], result["after"]):
        assert found["accuracy"]["n"] == 24 and found["num_unscored"] == num_broken
        assert found["by_group"]["broken"] == {
            **found["by_group"]["broken"], "value": 0.0, "n": num_broken
        }  # fmt: skip
        assert found["highest_accuracy"] == pytest.approx(
            found["accuracy"]["value"] + num_broken / 24
        )
    assert result["gain"]["n"] == 24
    bounds = result["gain_bounds"]
    assert bounds["lowest"] == pytest.approx(result["gain"]["value"] - num_broken / 24)
    assert bounds["highest"] == pytest.approx(result["gain"]["value"] + num_broken / 24)
    assert result["controls"]["majority_vote"]["accuracy"]["n"] == 24
    learned = rows_of(Path(result["run"]), "sample-1")
    assert any(row["verdict"] == "unscored" for row in learned)


Break = Callable[[pytest.MonkeyPatch], None]


def full_disk_for(kind: str) -> Break:
    """Let one kind of write fail as on a full disk."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    def weights(patch: pytest.MonkeyPatch) -> None:
        patch.setattr("burnish.models.save._write", refuse)

    def publishing(patch: pytest.MonkeyPatch) -> None:
        patch.setattr("burnish.jobs.publish.os.link", refuse)
        patch.setattr("burnish.jobs.publish.shutil.copy2", refuse)

    def answers(patch: pytest.MonkeyPatch) -> None:
        import os

        exact = os.write

        def write(descriptor: int, data: bytes) -> int:
            if b'"verdict"' in data and b"/1" in data:
                raise OSError(28, "No space left on device")
            return exact(descriptor, data)

        patch.setattr("burnish.base.log.os.write", write)

    return {"weights": weights, "publishing": publishing, "answers": answers}[kind]


@pytest.mark.parametrize(
    "kind",
    [*(pytest.param(k, marks=pytest.mark.slow) for k in ("answers", "weights")), "publishing"],
)
def test_full_disk(
    kind: str, settings: Any, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        full_disk_for(kind)(patch)
        with pytest.raises(StorageError, match="Free") as caught:
            improve(settings, runs=tmp_path)
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)
    run = (tmp_path / "last").resolve()
    for path in ("result.json", "model", "report"):
        assert not (run / path).exists()
    assert [p for p in run.rglob(".*") if not p.name.startswith("..")] == []
    result = improve(settings, runs=tmp_path)
    assert numbers_of(json.loads(json.dumps(result))) == numbers_of(
        read_json(finished / "result.json")
    )


@pytest.mark.slow
def test_adapters_instead_of_all_weights(settings: Any, tmp_path: Path) -> None:
    quick = replace(
        settings, rounds=1, train=replace(TRAIN, method="lora", learning_rate=1e-2, epochs=5)
    )
    result = improve(quick, runs=tmp_path)
    assert result["gain"]["value"] > 0.2
    assert (tmp_path / "last" / "model" / "model.safetensors").is_file()


def test_a_round_that_does_not_help_is_not_kept(settings: Any, tmp_path: Path) -> None:
    """With a learning rate of nearly nothing the base model stays: there is no gain to claim."""
    idle = replace(settings, rounds=1, train=replace(TRAIN, learning_rate=1e-12))
    result = improve(idle, runs=tmp_path)
    assert result["chosen_round"] == 0 and result["model"] == settings.model
    assert not (tmp_path / "last" / "model").exists()
    assert result["gain"]["value"] == 0 and result["gates"][0]["outcome"] == "undetermined"


# ---- other stages ----


def test_preferences_are_a_stage(settings: Any, tmp_path: Path) -> None:
    from burnish.recipes.settings import PreferStageSettings

    chosen = PreferStageSettings(loss="ld-dpo", learning_rate=1e-3, examples_per_step=4)
    result = improve(replace(settings, rounds=1, prefer=chosen), runs=tmp_path)
    stages = Path(result["run"]) / "stages"
    taught, aligned = (stages / f"{name}-1" / "model" / "model.safetensors"
                       for name in ("teach", "prefer"))  # fmt: skip
    assert taught.read_bytes() != aligned.read_bytes()
    told = read_json(stages / "prefer-1" / "done.json")["output"]
    assert told["num_pairs"] >= 3 and told["loss"]["name"] == "ld-dpo"
    if result["chosen_round"] == 1:
        assert weights_of(Path(result["run"])) == aligned.read_bytes()


def test_a_wrong_loss_is_told_before_anything_runs(settings: Any, tmp_path: Path) -> None:
    from burnish.base.errors import UnknownNameError
    from burnish.recipes.settings import PreferStageSettings

    with pytest.raises(UnknownNameError, match="ld-dpo"):
        improve(replace(settings, prefer=PreferStageSettings(loss="ld-dpoo")), runs=tmp_path)
    assert not list(tmp_path.iterdir())
