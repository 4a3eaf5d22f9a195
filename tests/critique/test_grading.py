"""Grading files of pairs."""

import json

import pytest

from burnish.base.errors import InputError
from burnish.critique import grading
from burnish.critique.grading import grade_file, graded

ROWS = [
    ("1/2", "0.5", True),
    ("3", "4", False),
    ("3", "\\boxed{}", False),
    ("2 km", "2000 m", True),
]


def write(path, rows=ROWS):
    path.write_text(
        "\n".join(json.dumps({"gold": g, "answer": a, "correct": c}) for g, a, c in rows)
    )
    return path


def check_rows(path):
    found = grade_file(write(path))
    assert found["rows"] == [graded(gold, answer) for gold, answer, _ in ROWS]
    assert found["num_correct"] == 2 and found["disagreements"] == []
    assert found["verdicts"] == {"right": 2, "wrong": 1, "unreadable": 1}


def test_a_file_equals_its_rows(tmp_path):
    check_rows(tmp_path / "a.jsonl")


def test_planted_rows_in_another_order(tmp_path, monkeypatch):
    real = grading._grade_chunk
    monkeypatch.setattr(grading, "_grade_chunk", lambda chunk: real(chunk)[::-1])
    with pytest.raises(AssertionError):
        check_rows(tmp_path / "a.jsonl")


def test_disagreements_are_named(tmp_path):
    assert grade_file(write(tmp_path / "a.jsonl", [("1", "2", True)]))["disagreements"] == [1]


def test_wrong_rows_are_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"gold": "1"}')
    with pytest.raises(InputError, match="answer of row 1"):
        grade_file(path)
    path.write_text('{"gold": "1", "answer": "1", "correct": "false"}')
    with pytest.raises(InputError, match="correct of row 1 must be true or false"):
        grade_file(path)
    path.write_text("")
    with pytest.raises(InputError, match="at least one row"):
        grade_file(path)
