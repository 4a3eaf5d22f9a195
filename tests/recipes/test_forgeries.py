"""Forged runs: the forger mends every hash that he knows of, and is found all the same."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from burnish.base.canonical import content_hash, file_hash
from burnish.base.records import RecordLog, read_json, write_json, write_records
from burnish.recipes.steps.answers import AnswerStep
from burnish.recipes.verify import verify_run

Forgery = Callable[[Path], None]


def mend(stage: Path) -> None:
    """Let the stage's hashes agree with its files again."""
    done = read_json(stage / "done.json")
    for artefact in done["artefacts"]:
        path = stage / artefact["path"]
        artefact |= {"sha256": file_hash(path), "num_bytes": path.stat().st_size}
    write_json(stage / "done.json", done)


def change_rows(run: Path, stage: str, change: Callable[[dict[str, Any]], Any]) -> None:
    path = run / "stages" / stage / "answers.jsonl"
    rows = RecordLog(path).peek()
    for row in rows:
        change(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    mend(run / "stages" / stage)


def change_result(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    result = read_json(run / "result.json")
    change(result)
    write_json(run / "result.json", result)


def right_answers(stage: str) -> Forgery:
    """Every answer is the right one, verdict and hash included."""

    def forge(run: Path) -> None:
        answers = {"red": "7", "blue": "3"}
        change_rows(run, stage, lambda row: row.update(
            answer=answers[row["group"]], extracted=answers[row["group"]], verdict="right"
        ))  # fmt: skip

    return forge


def flipped_verdicts(stage: str) -> Forgery:
    """The answers stay, their verdicts do not."""
    flip = {"right": "wrong", "wrong": "right", "unparsable": "right"}
    return lambda run: change_rows(run, stage, lambda row: row.update(verdict=flip[row["verdict"]]))


def perfect_memory(run: Path) -> None:
    path = run / "stages" / "memory-after" / "done.json"
    done = read_json(path)
    trials = done["output"]["curve"]["trials"]
    trials["copy"] = [[1.0 for _ in row] for row in trials["copy"]]
    write_json(path, done)


def other_margin(run: Path) -> None:
    """A wider margin, with the run's key made again."""
    info = read_json(run / "run.json")
    info["settings"]["measure"]["margin_accuracy"] = 0.9
    version = info["versions"]["burnish"]
    info["key"] = content_hash([info["what"], info["settings"], info["seed"], version])
    write_json(run / "run.json", info)


def easier_tasks(run: Path) -> None:
    stage = run / "stages" / "tasks"
    rows = [{**row, "answer": "no"} for row in RecordLog(stage / "heldout.jsonl").peek()]
    write_records(stage / "heldout.jsonl", rows)
    mend(stage)


def other_selection(run: Path) -> None:
    stage = run / "stages" / "select-1"
    rows = RecordLog(stage / "selected.jsonl").peek()
    write_records(stage / "selected.jsonl", rows[:-1])
    mend(stage)


def other_model(run: Path) -> None:
    path = run / "model" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()  # the stage's file is the same one
    path.write_bytes(bytes(data))


def no_overlap(run: Path) -> None:
    stage = run / "stages" / "leaks"
    rows = RecordLog(stage / "overlaps.jsonl").peek()
    write_records(stage / "overlaps.jsonl", [{**row, "containment": 0.0} for row in rows])
    mend(stage)


def lower_losses(run: Path) -> None:
    stage = run / "stages" / "general-after"
    rows = RecordLog(stage / "rows.jsonl").peek()
    write_records(stage / "rows.jsonl", [{**row, "value": 0.5} for row in rows])
    mend(stage)


def longer_before(run: Path) -> None:
    change_rows(run, "measure-before", lambda row: row.update(tokens=50))


FORGERIES: dict[str, tuple[Forgery, str]] = {
    "answers after": (right_answers("measure-after"), "measure-after, made again"),
    "answers before": (
        lambda run: change_rows(run, "measure-before", lambda row: row.update(
            answer="no", extracted=None, verdict="unparsable")),
        "measure-before, made again",
    ),
    "control verdicts": (flipped_verdicts("control-few-shot"), "judgements of control-few-shot"),
    "votes": (right_answers("control-vote"), "control-vote, made again"),
    "development verdicts": (flipped_verdicts("dev-1"), "judgements of dev-1"),
    "sampled verdicts": (flipped_verdicts("sample-1"), "judgements of sample-1"),
    "a perfect memory": (perfect_memory, "memory-after, made again"),
    "a wider margin": (other_margin, "inputs of measure-after"),
    "easier tasks": (easier_tasks, "tasks, made again"),
    "another selection": (other_selection, "select-1, made again"),
    "another model": (other_model, "files of the model"),
    "no overlap": (no_overlap, "leaks, made again"),
    "lower losses": (lower_losses, "general-after, made again"),
    "longer answers before": (longer_before, "measure-before, made again"),
    "a number": (
        lambda run: change_result(run, lambda r: r["gain"].update(low=0.9)),
        "numbers of result.json",
    ),
    "a gate": (
        lambda run: change_result(run, lambda r: r["gates"][1].update(outcome="pass", low=1.0)),
        "numbers of result.json",
    ),
    "the chosen round": (
        lambda run: change_result(run, lambda r: r.update(chosen_round=0)),
        "numbers of result.json",
    ),
    "the page": (
        lambda run: change_result(run, lambda r: r["page"].update(verdict="It rose.")),
        "numbers of result.json",
    ),
}  # fmt: skip


def different_in(run: Path) -> list[str]:
    found = verify_run(run)
    different = [check["check"] for check in found["checks"] if check["outcome"] == "different"]
    assert found["same"] == (not different)
    return different


STOPPING = {"easier tasks", "development verdicts", "sampled verdicts"}  # other steps would follow


def check_all_found(run: Path) -> None:
    """Forgeries in one run, but for those after which steps are missing: each leaves its trace."""
    chosen = [one for name, one in FORGERIES.items() if name not in STOPPING]
    for forge, _ in chosen:
        forge(run)
    different = different_in(run)
    assert {expected for _, expected in chosen} <= set(different), different


def test_forgeries_are_found(finished: Path, tmp_path: Path) -> None:
    check_all_found(Path(shutil.copytree(finished, tmp_path / "run")))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FORGERIES))
def test_each_forgery_is_found_alone(name: str, finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    forge, expected = FORGERIES[name]
    forge(run)
    assert expected in different_in(run)


def test_planted_verdicts_are_believed(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AnswerStep, "recheck", lambda self, done, given: "")
    with pytest.raises(AssertionError):
        check_all_found(Path(shutil.copytree(finished, tmp_path / "run")))
