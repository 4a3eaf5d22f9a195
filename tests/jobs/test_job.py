"""One step in one file reaches plan, result and page; a killed job resumes."""

import os
import signal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from fixtures.toy_job import Double, publishing_job, toy_job

from burnish.base.errors import SettingError
from burnish.base.records import read_json
from burnish.jobs import result as results
from burnish.jobs.job import Place, run_job


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in result.items() if k not in {"run", "minutes", "cost", "page"}}
    return kept | {"claims": [{**c, "seconds": 0} for c in result.get("claims", [])]}


def check_told(runs: Path) -> None:
    result = run_job(toy_job(), Place(runs=runs, command=["burnish", "toy"]))
    run = Path(result["run"])
    assert result == read_json(run / "result.json")
    assert result["what"] == "toy" and result["toy"] == {"sum": 20}
    assert [gate["name"] for gate in result["gates"]] == ["enough"]
    assert [(c["claim"], c["value"]) for c in result["claims"]] == [("sum", 20)]
    assert result["cost"]["metered"]["generated"] == 5
    assert list(result["cost"]["stage_seconds"]) == ["count", "double", "double-1", "double-2"]
    page = result["page"]
    assert page["verdict"] == "The sum is 20." and page["command"] == "burnish toy"
    assert page["gates"] == result["gates"]
    counted, cost = page["blocks"]
    assert counted["rows"] == [["count", 20], ["double", 40], ["double-1", 40], ["double-2", 80]]
    assert counted["caption"] == "Both." and cost["title"] == "Plan and actual"
    assert cost["rows"][-1] == ["planned", 90.0]
    assert page["headline"][-1][::2] == ["Time", "planned 1.5 min"]
    text = (run / "report" / "index.html").read_text()
    assert "The sum is 20." in text and "enough" in text


def test_a_step_in_one_file_reaches_plan_result_and_page(tmp_path: Path) -> None:
    check_told(tmp_path)


def test_planted_fold_that_forgets_a_gate(tmp_path: Path, monkeypatch: Any) -> None:
    exact = results.in_sections
    monkeypatch.setattr(
        results, "in_sections",
        lambda told: [one.__class__(**{**vars(one), "gates": ()}) for one in exact(told)],
    )  # fmt: skip
    with pytest.raises((AssertionError, KeyError)):
        check_told(tmp_path)


def killed_job(runs: Path) -> None:
    exact = Double.make

    def make(step: Any, stage: Any, given: Any, meter: Any) -> Any:
        made = exact(step, stage, given, meter)
        if step.name == "double-1":
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    Double.make = make  # type: ignore[method-assign]
    run_job(toy_job(), Place(runs=runs))


def test_killed_and_resumed_equals_straight(tmp_path: Path) -> None:
    straight = run_job(toy_job(), Place(runs=tmp_path / "straight"))
    process = get_context("fork").Process(target=killed_job, args=(tmp_path / "killed",))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert not list((tmp_path / "killed").glob("*/result.json"))
    resumed = run_job(toy_job(), Place(runs=tmp_path / "killed"))
    assert without_times(resumed) == without_times(straight)


def test_a_model_is_published_in_the_run(tmp_path: Path) -> None:
    result = run_job(publishing_job(), Place(folder=tmp_path / "here"))
    assert result["run"] == str(tmp_path / "here")
    assert result["model"] == str(tmp_path / "here" / "model")
    assert (tmp_path / "here" / "model" / "numbers.json").read_text() == "[0, 4, 8, 12, 16]"


def test_another_job_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    run_job(toy_job(), Place(folder=tmp_path / "here"))
    with pytest.raises(SettingError, match="other settings"):
        run_job(toy_job("other"), Place(folder=tmp_path / "here"))


def test_a_job_without_gates_has_none(tmp_path: Path) -> None:
    result = run_job(toy_job(parts=[]), Place(runs=tmp_path))
    assert "gates" not in result and "claims" not in result and "model" not in result
