"""Training critics and actors on tiny models."""

from pathlib import Path

import pytest

from burnish.base.errors import InputError, SettingError
from burnish.critique.build_job import build_critiques
from burnish.critique.critics import read_triples
from burnish.critique.settings import CritiqueBuildSettings
from burnish.critique.wording import Wording
from burnish.jobs.job import Place
from burnish.recipes import critic_training
from burnish.recipes.critic_settings import CriticTrainSettings
from burnish.recipes.critic_training import (
    actor_records,
    critic_records,
    split_triples,
    train_critic,
)
from burnish.train.settings import TrainSettings

WORDING = Wording(form="compact")


@pytest.fixture
def built(tmp_path):
    plan = CritiqueBuildSettings(tasks=("chain:sums?size=8&steps=2",), wording=WORDING)
    return build_critiques(plan, Place(runs=tmp_path))


def test_a_critic_learns_the_form(built, tiny_folder, tmp_path):
    settings = CriticTrainSettings(
        model=str(tiny_folder("llama")),
        triples=built["run"],
        wording=WORDING,
        train=TrainSettings(method="full", num_steps=6, learning_rate=3e-3, examples_per_step=8),
        num_measured=2,
        max_new_tokens=4,
    )
    result = train_critic(settings, Place(runs=tmp_path))
    assert result["losses"][-1] < result["losses"][0]
    assert result["page"]["good"] == "measured"
    assert result["before"]["num"] == result["after"]["num"] == 2
    assert Path(result["model"]).is_dir() and "parse_rate" in result["after"]
    with Path(built["triples"]).open("a") as file:
        file.write(Path(built["triples"]).read_text().splitlines()[0] + "\n")
    with pytest.raises(SettingError, match="'teach' has begun with other triples"):
        train_critic(settings, Place(folder=Path(result["run"])))


def check_both_kinds(triples):
    records = actor_records(triples, WORDING)
    wrong = [t for t in triples if not t.solution.right]
    assert len(records) == len(triples) + len(wrong)
    revisions = [r for r in records if r.id.endswith("/revision")]
    assert all(r.prompt.endswith("again") for r in revisions) and len(revisions) == len(wrong)
    assert len(critic_records(triples, WORDING)) == len(triples)


def test_an_actor_learns_both_kinds(built):
    check_both_kinds(read_triples(Path(built["triples"])))


def test_planted_actor_without_worked_answers(built, monkeypatch):
    monkeypatch.setattr(critic_training, "worked_answer", lambda t: None)
    with pytest.raises(AssertionError):
        check_both_kinds(read_triples(Path(built["triples"])))


def test_no_task_stands_on_both_sides(built):
    train, heldout = split_triples(read_triples(Path(built["triples"])), 0.3, 0)
    names = [{t.solution.task.id for t in side} for side in (train, heldout)]
    assert names[0] and names[1] and not names[0] & names[1]


def test_wrong_input(tmp_path):
    (tmp_path / "t.jsonl").write_text("{}\n")
    settings = CriticTrainSettings(triples=str(tmp_path / "t.jsonl"))
    with pytest.raises(InputError):
        read_triples(Path(settings.triples))
    with pytest.raises(SettingError):
        CriticTrainSettings(heldout_frac=0)
