"""A scorer trained on a tiny model, and how it is measured."""

import pytest
from fixtures.curating import ordinary

from burnish.base.errors import InputError, SettingError
from burnish.base.records import write_records
from burnish.curate import train_job
from burnish.curate.complexity import load_scorer
from burnish.curate.train_job import TrainScorerSettings, train_scorer
from burnish.jobs.job import Place


def check_ranks(tmp_path, tiny_folder, name):
    write_records(tmp_path / "seeds.jsonl", ordinary(60))
    settings = TrainScorerSettings(
        model=str(tiny_folder()), pools=(str(tmp_path / "seeds.jsonl"),), num_seeds=40, penalty=1e-3
    )
    found = train_scorer(settings, Place(folder=tmp_path / name))
    assert found["spearman"] > 0.5 and found["num_heldout_seeds"] == 8
    assert load_scorer(found["scorer"]).info["num_seeds"] == 40


def test_a_scorer_ranks_levels_of_new_seeds(tmp_path, tiny_folder):
    check_ranks(tmp_path, tiny_folder, "run")


def test_planted_levels_in_another_order(tmp_path, tiny_folder, monkeypatch):
    original = train_job.fit_head
    monkeypatch.setattr(
        train_job, "fit_head", lambda states, levels, **given: original(states, 5 - levels, **given)
    )
    with pytest.raises(AssertionError):
        check_ranks(tmp_path, tiny_folder, "planted")


def test_too_few_seeds(tmp_path, tiny_folder):
    write_records(tmp_path / "seeds.jsonl", ordinary(3))
    settings = TrainScorerSettings(
        model=str(tiny_folder()), pools=(str(tmp_path / "seeds.jsonl"),), num_seeds=10
    )
    with pytest.raises(InputError, match="seeds"):
        train_scorer(settings, Place(folder=tmp_path / "run"))
    with pytest.raises(SettingError):
        TrainScorerSettings()
