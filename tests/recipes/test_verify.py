"""A claim is run again; whatever was changed since is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import InputError, MissingFileError
from burnish.base.records import file_hash, read_json, write_json
from burnish.recipes import verify
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
    assert outcomes(found) == {"files of measure-after", "answers of measure-after"}
    change_answer(run, honest=False)
    assert outcomes(verify_it(run)) == {"answers of measure-after"}
    result = read_json(run / "result.json")
    result["after"]["accuracy"]["value"] = 0.999
    result["claims"][1]["value"] = 0.999
    write_json(run / "result.json", result)
    found = verify_it(run)
    assert outcomes(found) == {"answers of measure-after", "numbers of result.json"}
    assert found["checks"][-1]["why"] == "after, claims"


def test_a_changed_answer_is_found(run: Path) -> None:
    check_finds_changes(verify_run, run)


def test_planted_comparison_with_itself(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = verify._compare_answers
    monkeypatch.setattr(verify, "_compare_answers", lambda before, again: exact(again, again))
    with pytest.raises(AssertionError):
        check_finds_changes(verify_run, run)


def test_planted_measurements_taken_over(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "MEASURED", ())
    with pytest.raises(AssertionError):
        check_finds_changes(verify_run, run)


@pytest.mark.parametrize("full", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_honest_run_is_the_same(finished: Path, full: bool) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    found = verify_run(finished, full=full)
    assert found["same"] and outcomes(found) == set(), found
    assert found["sentence"] == "Same: the run's claims were reproduced."
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_runs_that_cannot_be_verified(run: Path, tmp_path: Path) -> None:
    (run / "result.json").unlink()
    with pytest.raises(MissingFileError, match="goes on where it stopped"):
        verify_run(run)
    info = read_json(run / "run.json")
    write_json(run / "run.json", info | {"what": "prune"})
    with pytest.raises(InputError, match="must be a run of improve"):
        verify_run(run)
    with pytest.raises(MissingFileError):
        verify_run(tmp_path / "nothing")
