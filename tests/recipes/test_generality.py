"""General ability: rows by hand, gates on planted changes."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from fixtures.tiny import reference_logits

from burnish.base.errors import InputError
from burnish.base.meter import Meter
from burnish.data.cloze import FAMILIES, draw_cloze
from burnish.recipes import generality
from burnish.recipes.generality import (
    draw_texts,
    general_changes,
    general_gates,
    general_table,
    measure_general,
)
from burnish.recipes.settings import GeneralSettings
from burnish.recipes.steps import improve_steps

SETTINGS = GeneralSettings(num_texts=6, text_tokens=19, num_questions=5)


def log_probs(reference: Any, tokens: list[int]) -> torch.Tensor:
    logits = reference_logits(reference, tokens)[:-1].log_softmax(-1)
    return logits[torch.arange(len(tokens) - 1), torch.tensor(tokens[1:])]


def test_rows_by_hand(tiny_model: Any, tiny_reference: Any) -> None:
    model, reference = tiny_model("llama"), tiny_reference("llama")
    rows = measure_general(model, SETTINGS, Meter(), seed=1)
    assert len(rows) == 6 + 3 * 5
    for row, (name, text) in zip(rows[:6], draw_texts(SETTINGS, seed=1), strict=True):
        tokens = model.tokenizer(text)["input_ids"][:19]
        assert row["name"] == name and row["part"] == "text"
        assert row["value"] == pytest.approx(-log_probs(reference, tokens).mean().item(), abs=1e-4)
    asked = [one for name in FAMILIES for one in draw_cloze(name, 5, seed=1)]
    for row, one in zip(rows[6:], asked, strict=True):
        prompt = model.tokenizer(one.text)["input_ids"]
        totals = {}
        for end in one.ends:
            own = model.tokenizer(end, add_special_tokens=False)["input_ids"]
            totals[end] = log_probs(reference, [*prompt, *own])[-len(own) :].sum().item()
        assert row["value"] == float(max(totals, key=totals.__getitem__) == one.answer)


def test_planted_first_end_always(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers depend on the model: always taking the first end is noticed."""
    exact = measure_general(tiny_model("llama"), SETTINGS, Meter(), seed=1)
    monkeypatch.setattr(generality, "sum", lambda values: 0.0, raising=False)
    assert exact != measure_general(tiny_model("llama"), SETTINGS, Meter(), seed=1)


def rows_of(losses: list[float], right: list[int]) -> list[dict[str, Any]]:
    texts = [{"part": "text", "name": f"kjv/{i}", "value": v} for i, v in enumerate(losses)]
    asked = [{"part": "question", "name": f"kind/{i}", "value": v} for i, v in enumerate(right)]
    return [*texts, *asked]


LOSSES, RIGHT = [2.0 + 0.01 * i for i in range(24)], [1, 0, 1, 1] * 60


def outcomes(losses: list[float], right: list[int]) -> list[str]:
    changes = general_changes(rows_of(LOSSES, RIGHT), rows_of(losses, right), seed=0)
    return [gate.outcome for gate in general_gates(changes, GeneralSettings())]


def test_a_model_is_as_able_as_itself() -> None:
    assert outcomes(LOSSES, RIGHT) == ["pass", "pass"]


def test_a_model_that_forgot_fails() -> None:
    worse = [loss + 0.3 + 0.01 * (i % 3) for i, loss in enumerate(LOSSES)]
    assert outcomes(worse, RIGHT) == ["fail", "pass"]
    assert outcomes(LOSSES, [0] * 120 + RIGHT[120:]) == ["pass", "fail"]


def test_the_table_holds_both_sides() -> None:
    better = [loss - 1 for loss in LOSSES]
    table = general_table(rows_of(LOSSES, RIGHT), rows_of(better, RIGHT))
    assert [row[:3] for row in table.rows] == [
        ["kjv", "loss, nats a token", 24],
        ["kind", "accuracy", 240],
    ]
    assert table.rows[0][3] - table.rows[0][4] == pytest.approx(1)


def test_a_corpus_of_short_texts_is_refused(tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_text("short")
    with pytest.raises(InputError, match="must hold a text"):
        draw_texts(replace(SETTINGS, corpora=(str(tmp_path),)), seed=0)


def test_no_texts_leave_it_unmeasured(settings: Any) -> None:
    cls = improve_steps.get("general")
    off = replace(settings, general=replace(settings.general, num_texts=0))
    assert [len(cls.configured(one).planned()) for one in (settings, off)] == [2, 0]
    assert cls.configured(off).tell(lambda name: None) == ()
