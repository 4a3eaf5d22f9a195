"""A claim is run again; whatever was changed since is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import InputError, MissingFileError
from burnish.base.records import file_hash, read_json, write_json
from burnish.recipes.steps.after import AfterStep
from burnish.recipes.steps.answers import AnswerStep, MeasuredStep
from burnish.recipes.verify import verify_run

Verify = Callable[..., dict[str, Any]]


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run to tamper with."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def outcomes(found: dict[str, Any]) -> set[str]:
    """Names of the checks that differ."""
    return {check["check"] for check in found["checks"] if check["outcome"] == "different"}


def change_answer(run: Path, *, honest: bool = True) -> None:
    """Turn one answer of the second measurement into another; a forger mends the hash, too."""
    stage = run / "stages" / "measure-after"
    rows = [json.loads(line) for line in (stage / "answers.jsonl").read_text().splitlines()]
    rows[5]["answer"] = "9"
    (stage / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if not honest:
        done = read_json(stage / "done.json")
        for artefact in done["artefacts"]:
            artefact["sha256"] = file_hash(stage / artefact["path"])
            artefact["num_bytes"] = (stage / artefact["path"]).stat().st_size
        write_json(stage / "done.json", done)


def check_finds_changes(verify_it: Verify, run: Path) -> None:
    change_answer(run)
    found = verify_it(run)
    assert not found["same"] and found["sentence"].startswith("Different.")
    changed = {"judgements of measure-after", "measure-after, made again", "numbers of result.json"}
    assert outcomes(found) == {"files of measure-after"} | changed
    change_answer(run, honest=False)
    assert outcomes(verify_it(run)) == changed
    result = read_json(run / "result.json")
    result["after"]["accuracy"]["value"] = 0.999
    result["claims"][1]["value"] = 0.999
    write_json(run / "result.json", result)
    found = verify_it(run)
    assert outcomes(found) == changed
    why = next(c["why"] for c in found["checks"] if c["check"] == "numbers of result.json")
    assert {"after", "claims"} <= set(why.split(", "))


def test_a_changed_answer_is_found(run: Path) -> None:
    check_finds_changes(verify_run, run)


def test_planted_comparison_with_itself(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnswerStep, "differences", lambda self, old, new: "")
    with pytest.raises(AssertionError):
        check_finds_changes(verify_run, run)


def test_planted_measurements_taken_over(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MeasuredStep, "verified", "files")
    monkeypatch.setattr(AfterStep, "verified", "files")
    exact = AfterStep.__init__
    monkeypatch.setattr(AfterStep, "__init__", lambda s, **k: exact(s, **k, verified="files"))
    with pytest.raises(AssertionError):
        check_finds_changes(verify_run, run)


@pytest.mark.parametrize("full", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_honest_run_is_the_same(finished: Path, full: bool) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    found = verify_run(finished, full=full)
    assert found["same"] and outcomes(found) == set(), found
    assert found["sentence"] == "Same: the run's claims were reproduced."
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_the_last_run_is_verified_by_its_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "last").symlink_to("run", target_is_directory=True)
    assert verify_run(tmp_path / "last")["same"]


def test_runs_that_cannot_be_verified(run: Path, tmp_path: Path) -> None:
    (run / "result.json").unlink()
    with pytest.raises(MissingFileError, match="Repeat the command"):
        verify_run(run)
    write_json(run / "result.json", {})
    info = read_json(run / "run.json")
    write_json(run / "run.json", info | {"what": "prune"})
    with pytest.raises(InputError, match="does not support"):
        verify_run(run)
    with pytest.raises(MissingFileError):
        verify_run(tmp_path / "nothing")
