"""ProcessBench's format, written and read."""

import json

import pytest
from fixtures.critics import chains

from burnish.base.errors import InputError
from burnish.critique import processbench
from burnish.critique.grammar import steps_of
from burnish.critique.planted import planted_solutions
from burnish.critique.processbench import read_processbench, write_processbench


def check_inverse(path):
    solutions = planted_solutions(chains(12), right_frac=0.4, seed=0)
    assert write_processbench(path, solutions) == 12
    again = read_processbench(path)
    assert [steps_of(one.text) for one in again] == [steps_of(one.text) for one in solutions]
    assert [one.first_error for one in again] == [one.first_error for one in solutions]
    assert [one.right for one in again] == [one.right for one in solutions]
    assert [one.task.answer for one in again] == [one.task.answer for one in solutions]


def test_read_is_the_inverse_of_write(tmp_path):
    check_inverse(tmp_path / "a.jsonl")


def test_planted_labels_from_one(tmp_path, monkeypatch):
    real = processbench._row
    plus = lambda n, s: {**real(n, s), "label": max(0, real(n, s)["label"])}  # noqa: E731
    monkeypatch.setattr(processbench, "_row", plus)
    with pytest.raises(AssertionError):
        check_inverse(tmp_path / "a.jsonl")


ROW = {
    "id": "gsm8k-0",
    "problem": "?",
    "steps": ["a", "b"],
    "final_answer_correct": True,
    "label": -1,
}


@pytest.mark.parametrize(
    "change", [{"label": 2}, {"label": "x"}, {"steps": "a"}, {"steps": [1]}, {"id": None}]
)
def test_wrong_rows_are_named(tmp_path, change):
    row = {k: v for k, v in {**ROW, **change}.items() if v is not None}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    with pytest.raises(InputError, match="row 1"):
        read_processbench(tmp_path / "a.jsonl")
