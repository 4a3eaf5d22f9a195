"""A scorer trained on a tiny model, and how it is measured."""

import pytest
from fixtures.curating import ordinary, row

from burnish.base.errors import InputError, SettingError
from burnish.base.records import write_records
from burnish.contracts.generation import Completion
from burnish.curate import train_job
from burnish.curate.complexity import load_scorer
from burnish.curate.train_job import TrainScorerSettings, seed_instructions, train_scorer
from burnish.engine import answers
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


def test_changed_seeds_are_refused(tmp_path, tiny_folder):
    check_ranks(tmp_path, tiny_folder, "run")
    settings = TrainScorerSettings(
        model=str(tiny_folder()), pools=(str(tmp_path / "seeds.jsonl"),), num_seeds=40, penalty=1e-3
    )
    write_records(tmp_path / "seeds.jsonl", ordinary(50))
    with pytest.raises(SettingError, match="'train' has begun with other seeds"):
        train_scorer(settings, Place(folder=tmp_path / "run"))


def test_planted_levels_in_another_order(tmp_path, tiny_folder, monkeypatch):
    original = train_job.fit_head
    monkeypatch.setattr(
        train_job, "fit_head", lambda states, levels, **given: original(states, 5 - levels, **given)
    )
    with pytest.raises(AssertionError):
        check_ranks(tmp_path, tiny_folder, "planted")


def train_by_model(tmp_path, tiny_folder, monkeypatch, said):
    """The model's answers are planted; everything else is real."""
    monkeypatch.setattr(answers, "answer_all", said)
    write_records(tmp_path / "seeds.jsonl", ordinary(60))
    settings = TrainScorerSettings(
        model=str(tiny_folder()), pools=(str(tmp_path / "seeds.jsonl"),), num_seeds=30,
        evolve=f"model:{tiny_folder()}", penalty=1e-3,
    )  # fmt: skip
    return train_scorer(settings, Place(folder=tmp_path / "by-model"))


def test_a_model_evolves_the_seeds(tmp_path, tiny_folder, monkeypatch):
    """Each round adds words; one seed is not evolved further, and is counted."""

    def said(handle, prompts, *, log, meter, how):
        texts = [p.content[0]["content"].split("Task:\n")[1].split("\n\nNew")[0] for p in prompts]
        texts = ["" if i == 7 and how.label.endswith("1") else f"{t} also sorted in reverse"
                 for i, t in enumerate(texts)]  # fmt: skip
        return [
            Completion(id=p.id, tokens=(), text=text, finish="eos", num_passes=1)
            for p, text in zip(prompts, texts, strict=True)
        ]

    found = train_by_model(tmp_path, tiny_folder, monkeypatch, said)
    assert (found["num_not_evolved"], found["num_heldout_seeds"]) == (5, 6)
    assert found["spearman"] > 0.5
    assert load_scorer(found["scorer"]).info["num_seeds"] == 30  # not the whole chains alone


def test_a_model_that_writes_nothing(tmp_path, tiny_folder, monkeypatch):
    def said(handle, prompts, **_):
        return [
            Completion(id=p.id, tokens=(), text=" ", finish="eos", num_passes=1) for p in prompts
        ]

    with pytest.raises(InputError, match="follows instructions"):
        train_by_model(tmp_path, tiny_folder, monkeypatch, said)


def test_too_few_seeds(tmp_path, tiny_folder):
    write_records(tmp_path / "seeds.jsonl", ordinary(3))
    settings = TrainScorerSettings(
        model=str(tiny_folder()), pools=(str(tmp_path / "seeds.jsonl"),), num_seeds=10
    )
    with pytest.raises(InputError, match="seeds"):
        train_scorer(settings, Place(folder=tmp_path / "run"))
    with pytest.raises(SettingError):
        TrainScorerSettings()
    for wrong in ("model:", "models", ""):
        with pytest.raises(SettingError, match="operators, answers or model:NAME"):
            TrainScorerSettings(pools=("x",), evolve=wrong)


def test_seeds_are_distinct_and_drawn_by_the_seed(tmp_path):
    rows = [row(i, f"Task {i % 40}", "x") for i in range(100)]
    write_records(tmp_path / "seeds.jsonl", rows)
    pools = (str(tmp_path / "seeds.jsonl"),) * 2
    every = seed_instructions(TrainScorerSettings(pools=pools))
    assert sorted(every) == sorted({f"Task {i}" for i in range(40)})
    some = [seed_instructions(TrainScorerSettings(pools=pools, num_seeds=12, seed=s))
            for s in (0, 0, 1)]  # fmt: skip
    assert list(some[0]) == list(some[1]) == list(every)[:12] and some[0] != some[2]


def test_sizes_of_answers_are_learned(tmp_path, tiny_folder):
    """How often an instruction says "more" is how long its answer is; rows without one are out."""
    rows = [row(i, f"Task {i}" + " more" * (i % 7), "x " * (2 + 5 * (i % 7))) for i in range(70)]
    rows += [row(f"empty-{i}", f"Nothing {i}", "") for i in range(9)]
    write_records(tmp_path / "seeds.jsonl", rows)
    settings = TrainScorerSettings(
        model=str(tiny_folder()), pools=(str(tmp_path / "seeds.jsonl"),), evolve="answers",
        penalty=1e-3,
    )  # fmt: skip
    sizes = seed_instructions(settings)
    assert len(sizes) == 70 and sizes["Task 3 more more more"] == 17
    found = train_scorer(settings, Place(folder=tmp_path / "run"))
    assert found["spearman"] > 0.5 and found["num_heldout_seeds"] == 14
    assert found["num_not_evolved"] == 0
    assert found["mean_score_by_level"][0] < found["mean_score_by_level"][-1]
    scorer = load_scorer(found["scorer"])
    assert scorer.weight.shape[0] == 1 and scorer.info["evolve"] == "answers"


def test_equal_answers_cannot_be_ranked(tmp_path, tiny_folder):
    rows = [row(i, f"Task {i}", "x y") for i in range(30)]
    write_records(tmp_path / "seeds.jsonl", rows)
    pools = (str(tmp_path / "seeds.jsonl"),)
    settings = TrainScorerSettings(model=str(tiny_folder()), pools=pools, evolve="answers")
    found = train_scorer(settings, Place(folder=tmp_path / "run"))
    assert found["spearman"] is None and found["spearman_length"] is None
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "Spearman undefined" in page and "logarithm of the number of code tokens" in page
    assert "missing" not in page
