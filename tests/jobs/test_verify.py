"""Whatever is changed in a run is found, also by a forger who mends the hashes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures.toy_job import publishing_job, toy_job

from burnish.base.canonical import file_hash
from burnish.base.records import read_json, write_json
from burnish.base.runs import load_run
from burnish.jobs import verify
from burnish.jobs.job import Place, run_job
from burnish.jobs.verify import differing, verify_job


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(run_job(toy_job(), Place(folder=tmp_path / "run"))["run"])


def found(run: Path, *, full: bool = False) -> list[str]:
    return differing(verify_job(load_run(run), toy_job(), full=full))


def forge(stage: Path, name: str, text: str) -> None:
    """Change a file and its hash."""
    (stage / name).write_text(text)
    done = read_json(stage / "done.json")
    for artefact in done["artefacts"]:
        artefact["sha256"] = file_hash(stage / artefact["path"])
        artefact["num_bytes"] = (stage / artefact["path"]).stat().st_size
    write_json(stage / "done.json", done)


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    value = read_json(path)
    change(value)
    write_json(path, value)


def check_finds(run: Path) -> None:
    count = run / "stages" / "count"
    (count / "numbers.json").write_text("[0, 2, 4, 6, 9]")
    assert found(run) == ["files of count", "numbers of result.json"]
    forge(count, "numbers.json", "[0, 2, 4, 6, 9]")
    names = found(run)
    assert "files of count" not in names and "count, made again" in names
    assert "numbers of result.json" in names and "inputs of double" in names


def test_a_tampered_artefact_is_found(run: Path) -> None:
    assert found(run) == [] and found(run, full=True) == []
    check_finds(run)


def test_planted_comparison_with_itself(run: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(
        verify.Verification, "_again", lambda self, step, given:
        verify.read_stage(self._record.path / "stages" / step.name),
    )  # fmt: skip
    with pytest.raises(AssertionError):
        check_finds(run)


def test_a_step_that_is_only_hashed_is_made_again_in_full(run: Path) -> None:
    forge(run / "stages" / "double", "out/numbers.json", "[0, 4, 8, 12, 17]")
    assert found(run) == ["numbers of result.json"]  # its table is on the page
    assert "double, made again" in found(run, full=True)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda r: r["toy"].update(sum=21), "numbers of result.json"),
        (lambda r: r["gates"][0].update(outcome="fail"), "numbers of result.json"),
        (lambda r: r["claims"][0].update(high=99), "numbers of result.json"),
        (lambda r: r["page"].update(verdict="The sum is 1000."), "numbers of result.json"),
        (lambda r: r["cost"]["metered"].update(generated=1), "numbers of result.json"),
    ],
)
def test_a_changed_result_is_found(run: Path, change: Any, name: str) -> None:
    edit(run / "result.json", change)
    assert found(run) == [name]


def test_changed_settings_are_found(run: Path) -> None:
    edit(run / "run.json", lambda info: info["settings"].update(text="hullo"))
    assert "settings of run.json" in found(run)


def test_a_missing_stage_is_found(run: Path) -> None:
    shutil.rmtree(run / "stages" / "double")
    assert found(run) == ["steps can be read"]


def test_a_changed_model_is_found(tmp_path: Path) -> None:
    run = Path(run_job(publishing_job(), Place(folder=tmp_path / "run"))["run"])
    record = load_run(run)
    assert differing(verify_job(record, publishing_job())) == []
    (run / "model" / "numbers.json").unlink()
    (run / "model" / "numbers.json").write_text("[]")
    assert differing(verify_job(record, publishing_job())) == ["files of the model"]


def test_the_run_itself_is_not_changed(run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    found(run, full=True)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
