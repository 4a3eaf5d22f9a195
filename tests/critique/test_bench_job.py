"""Runs of `critique bench`: rows, predictions and the score."""

import json
from pathlib import Path

import pytest

from burnish.base.errors import InputError, MissingFileError, SettingError
from burnish.base.records import read_records
from burnish.critique import bench_job
from burnish.critique.bench_job import bench_critic
from burnish.critique.build_job import build_critiques
from burnish.critique.processbench import read_processbench
from burnish.critique.settings import CritiqueBenchSettings, CritiqueBuildSettings
from burnish.critique.wording import Wording
from burnish.jobs.job import Place

CHAINS = "chain:sums?size=20&steps=3"


def settings(**given):
    fields = {"model": "scripted", "data": CHAINS, "wording": Wording(form="compact"), **given}
    return CritiqueBenchSettings(**fields)


def check_program(runs, data=CHAINS):
    result = bench_critic(settings(data=data), Place(runs=runs))
    assert result["f1"]["value"] == 1.0 and result["parse_rate"] == 1.0
    assert result["chance"]["f1"] == pytest.approx(0.25, abs=0.05)  # a skipped line: one in three
    rows = list(read_records(Path(result["rows"])))
    assert len(rows) == result["num"] == 20
    assert sum(row["label"] >= 0 for row in rows) == result["num_erroneous"]
    assert all(row["match"] and row["prediction"] == row["label"] for row in rows)


@pytest.mark.parametrize("data", [CHAINS, CHAINS + "&labels=1"])
def test_the_program_is_right_on_every_planted_row(tmp_path, data):
    check_program(tmp_path, data)


def test_planted_prediction_one_step_late(tmp_path, monkeypatch):
    real = bench_job.prediction
    monkeypatch.setattr(bench_job, "prediction", lambda one: real(one) + 1)
    with pytest.raises(AssertionError):
        check_program(tmp_path)


def test_a_model_reads_a_file_and_a_run(tiny_folder, tmp_path):
    place = Place(runs=tmp_path)
    built = build_critiques(CritiqueBuildSettings(tasks=("chain:sums?size=4&steps=2",)), place)
    model, short = str(tiny_folder("llama")), {"max_new_tokens": 3, "limit": 4}
    of_run = bench_critic(settings(model=model, data=built["run"], **short), place)
    assert of_run["num"] == 4 and of_run["parse_rate"] == 0.0
    assert of_run["erroneous"]["value"] == 0.0  # unusable critiques stay in the denominator
    again = bench_critic(settings(model=model, data=of_run["rows"], **short), place)
    assert again["num"] == 4  # its own rows are ProcessBench's format
    found = list(read_records(Path(again["rows"])))
    assert all(row["prediction"] is None and not row["match"] for row in found)
    assert [one.first_error for one in read_processbench(Path(again["rows"]))] == [
        row["label"] for row in found
    ]


def test_a_changed_file_is_refused(tiny_folder, tmp_path):
    """What the critic wrote is neither mixed with other solutions' nor dropped."""
    first = bench_critic(settings(), Place(runs=tmp_path / "runs"))
    path, run = tmp_path / "rows.jsonl", Place(folder=tmp_path / "run")
    lines = Path(first["rows"]).read_text().splitlines(keepends=True)
    given = settings(model=str(tiny_folder("llama")), data=str(path), max_new_tokens=3)
    path.write_text("".join(lines[:3]))
    wanted = bench_critic(given, run)["f1"]
    path.write_text("".join(lines[:2]))
    with pytest.raises(SettingError, match="'bench' has begun with other solutions"):
        bench_critic(given, run)
    path.write_text("".join(lines[:3]))
    assert bench_critic(given, run)["f1"] == wanted


def test_what_is_no_bench_is_refused(tmp_path):
    place = Place(runs=tmp_path / "runs")
    with pytest.raises(MissingFileError):
        bench_critic(settings(data=str(tmp_path / "gone.jsonl")), place)
    row = {"id": "a-0", "problem": "?", "steps": ["x"], "final_answer_correct": True, "label": -1}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(SettingError, match="can verify chains of sums only"):
        bench_critic(settings(data=str(path)), place)
    path.write_text("")
    with pytest.raises(InputError, match="must be at least one"):
        bench_critic(settings(model="smollm2-135m", data=str(path)), place)
    with pytest.raises(SettingError, match="right_frac must lie in"):
        settings(right_frac=1.5)
    assert not (tmp_path / "runs").exists()
