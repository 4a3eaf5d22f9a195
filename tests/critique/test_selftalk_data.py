"""Self-talk rows of planted errors, against the program that verifies steps."""

import pytest
from fixtures.critics import chains

from burnish.critique import selftalk_data
from burnish.critique.planted import planted_solutions
from burnish.critique.selftalk import parse_talk
from burnish.critique.selftalk_data import talk_rows
from burnish.data.chains import chain_of


def check_rows():
    solutions = planted_solutions(chains(30), right_frac=0.3, seed=0)
    rows = talk_rows(solutions)
    assert len(rows) == 30
    for one, row in zip(solutions, rows, strict=True):
        right = "\n".join(chain_of(one.task).steps())
        assert row["step"] == right and row["trajectory"].endswith(right)
        assert "".join(span["text"] for span in row["spans"]) == row["answer"]
        assert any(not span["learned"] for span in row["spans"]) == (not one.right)
        assert parse_talk(row["answer"]) is not None


def test_rows():
    check_rows()


def test_planted_rest_from_the_start(monkeypatch):
    real = selftalk_data.weave
    monkeypatch.setattr(selftalk_data, "weave", lambda critique, rest: real(critique, rest[1:] * 2))
    with pytest.raises((AssertionError, IndexError)):
        check_rows()
