"""Preferences in `improve`, and the run of `burnish prefer train`."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from burnish.base.errors import IncompleteError, SettingError
from burnish.base.meter import Meter
from burnish.base.stages import Stage
from burnish.contracts.record import Record
from burnish.models.handle import ModelHandle
from burnish.models.load import load_model
from burnish.prefer.settings import (
    EvaluateSettings,
    PairSettings,
    PreferSettings,
    PreferTrainSettings,
)
from burnish.recipes import preferring, teaching
from burnish.recipes.preferring import (
    prefer,
    right_length_change,
    right_over_wrong,
    train_preferences,
)
from burnish.report.pages import page_from_json
from burnish.train.settings import LoraSettings, TrainSettings

SETTINGS = PreferSettings(
    train=TrainSettings(
        lora=LoraSettings(rank=3), learning_rate=1e-2, num_steps=4, examples_per_step=4
    ),
    pairs=PairSettings(heldout_frac=0.3),
    evaluate=EvaluateSettings(num_generated=3, max_new_tokens=3),
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))


def check_pairs(pair_up: Callable[..., list[dict[str, str]]], make_record: Any) -> None:
    def record(verdict: str, answer: str, tokens: int, **fields: Any) -> Record:
        return make_record(verdict, answer=answer, tokens=tokens, prompt="p", **fields)

    records = [
        record("right", "long right", 9),
        record("right", "right", 3),
        record("right", "right", 3),  # the same answer again
        record("right", "third right", 20),
        record("wrong", "wrong", 30),
        record("unparsable", "near", 4),
        record("wrong", "nearer to nine", 8),
        record("wrong", "cut at the cap", 3, finish="length"),
        record("unscored", "nobody knows", 3),
        record("wrong", " ", 3),
        record("right", "only right", 5, task="u"),
        record("wrong", "only wrong", 5, task="v"),
    ]
    assert pair_up(records) == [
        {"prompt": "p", "chosen": "right", "rejected": "near"},
        {"prompt": "p", "chosen": "long right", "rejected": "nearer to nine"},
    ]


def test_pairs_by_hand(make_record: Any) -> None:
    check_pairs(right_over_wrong, make_record)


def test_planted_cut_answers_with_a_false_end(make_record: Any) -> None:
    def careless(records: list[Record]) -> list[dict[str, str]]:
        return right_over_wrong([replace(record, finish="eos") for record in records])

    with pytest.raises(AssertionError):
        check_pairs(careless, make_record)


def check_right_length(change: Any, make_record: Any) -> None:
    def side(*answers: tuple[str, int]) -> list[Record]:
        return [
            make_record(verdict, tokens=n, task=str(i)) for i, (verdict, n) in enumerate(answers)
        ]

    before = side(("right", 10), ("right", 20), ("wrong", 90), ("right", 30), ("unparsable", 50))
    after = side(("right", 12), ("right", 24), ("right", 5), ("wrong", 900), ("wrong", 1))
    found = change(before, after, np.random.default_rng(0))
    assert found.value == pytest.approx(3 / 15) and found.n == 2
    assert found.low <= found.value <= found.high


def test_length_of_right_answers_by_hand(make_record: Any) -> None:
    check_right_length(right_length_change, make_record)
    one = [make_record("right", tokens=3)]
    assert right_length_change(one, one, np.random.default_rng(0)) is None


def test_planted_length_of_all_answers(make_record: Any) -> None:
    def of_all(before: list[Record], after: list[Record], rng: Any) -> Any:
        right = [[replace(r, verdict="right") for r in side] for side in (before, after)]
        return right_length_change(*right, rng)

    with pytest.raises(AssertionError):
        check_right_length(of_all, make_record)


def judged(make_record: Any, num: int) -> list[Record]:
    return [
        make_record(verdict, task=str(i), answer=answer * (1 + i % 3), prompt=f"p{i}", tokens=2)
        for i in range(num)
        for verdict, answer in (("right", "yes "), ("wrong", "no "))
    ]


def stage_at(path: Path) -> Stage:
    path.mkdir()
    return Stage(name="prefer-1", path=path, resumed=False, record=lambda kind, **named: None)


def test_the_stage_saves_a_model(make_record: Any, tiny_folder: Any, tmp_path: Path) -> None:
    actor = ModelHandle(str(tiny_folder()), precision="fp32", device="cpu")
    stage, meter = stage_at(tmp_path / "s"), Meter("prefer-1")
    output = prefer(stage, actor, judged(make_record, 9), SETTINGS, meter)
    assert (output["num_pairs"], output["num_steps"]) == (9, 4)
    assert output["num_train"] + output["num_heldout"] == 9
    assert meter.totals()["trained_on"] > 0
    assert "training-state.pt" not in {path.name for path in stage.path.iterdir()}
    before = dict(load_model(str(tiny_folder()), precision="fp32").network.named_parameters())
    after = dict(load_model(str(stage.path / "model"), precision="fp32").network.named_parameters())
    assert any(not torch.equal(before[name], value) for name, value in after.items())
    again = dict(actor.model.network.named_parameters())  # loaded anew: not the one that changed
    assert all(torch.equal(before[name], value) for name, value in again.items())
    json.dumps(output, allow_nan=False)


def test_a_stage_without_enough_pairs(make_record: Any, tiny_folder: Any, tmp_path: Path) -> None:
    actor = ModelHandle(str(tiny_folder()), precision="fp32", device="cpu")
    with pytest.raises(IncompleteError, match="preference pairs must be at least three") as error:
        prefer(stage_at(tmp_path / "s"), actor, judged(make_record, 2), SETTINGS, Meter())
    assert error.value.exit_code == 1


def write_pairs(path: Path, num: int = 12) -> Path:
    rows = [
        {"prompt": f"say {i}", "chosen": "yes " * (1 + i % 4), "rejected": "no " * (1 + i % 3)}
        for i in range(num)
    ]
    rows.append({"prompt": "bad", "chosen": "x", "rejected": "x"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(tiny_folder: Any, tmp_path: Path, **changed: Any) -> dict[str, Any]:
    settings = PreferTrainSettings(**(vars(SETTINGS) | changed), device="cpu")
    pairs = write_pairs(tmp_path / "pairs.jsonl")
    return train_preferences(str(tiny_folder()), pairs, settings, folder=tmp_path / "run")


def check_run(result: dict[str, Any], folder: Path) -> None:
    assert result["num_pairs"] == 12 and result["num_problems"] == 1
    assert result["problems"][0]["row"] == 13
    assert len(result["losses"]) == len(result["accuracies"]) == result["num_steps"] == 4
    assert {"before", "after"} == result["lengths"].keys()
    assert result["margins"]["num_pairs"] == result["num_heldout"]
    assert result["loss"] == {
        "name": "ld-dpo", "beta": 0.1, "alpha": 0.5, "ld_reference": "both", "ld_end": "tail"
    }  # fmt: skip
    page = page_from_json(result["page"])
    titles = [block.title for block in page.blocks]
    for title in ("Margin against length", "Alpha curve", "Training margins", "Generated length",
                  "Weights of tokens, example 1", "Rows that were left out"):  # fmt: skip
        assert title in titles, title
    assert (folder / "report" / "index.html").is_file()
    assert load_model(result["model"], precision="fp32").config is not None


def test_a_run_ends_with_a_model_and_a_page(tiny_folder: Any, tmp_path: Path) -> None:
    result = run(tiny_folder, tmp_path)
    check_run(result, tmp_path / "run")
    again = run(tiny_folder, tmp_path)  # a second time: reused
    assert {**again, "minutes": 0} == {**result, "minutes": 0}
    assert result["model"] == str(tmp_path / "run" / "model")
    assert load_model(str(tmp_path / "run"), precision="fp32").folder == tmp_path / "run" / "model"
    with pytest.raises(SettingError, match="holds a run with other settings"):
        run(tiny_folder, tmp_path, train=replace(SETTINGS.train, num_steps=5))


def test_planted_bad_row_trained_on(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = preferring.read_pairs

    def silent(*given: Any) -> Any:
        found = exact(*given)
        return replace(found, problems=(), pairs=(*found.pairs, found.pairs[0]))

    monkeypatch.setattr(preferring, "read_pairs", silent)
    with pytest.raises(AssertionError):
        check_run(run(tiny_folder, tmp_path), tmp_path / "run")


def test_killed_while_saving_goes_on(
    tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after training: the same call ends with the numbers of a straight run."""
    straight = run(tiny_folder, tmp_path)
    (tmp_path / "b").mkdir()
    exact = teaching.save_model

    def dying(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(teaching, "save_model", dying)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_folder, tmp_path / "b")
    monkeypatch.setattr(teaching, "save_model", exact)
    again = run(tiny_folder, tmp_path / "b")
    for name in ("losses", "margins", "evaluations", "steps", "curve"):
        assert again[name] == straight[name], name
