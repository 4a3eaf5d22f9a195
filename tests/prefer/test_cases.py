"""Pairs in the shapes that people publish: every row of ../shared/cases/pairs.jsonl."""

import pytest
from fixtures.cases import read_cases

from burnish.prefer.formats import RowError, read_row

SYSTEM = "Answer in one word."
WANTED = {  # shape: its system text; one pair of it all the same
    "ultrafeedback": None,
    "prompt messages, whole conversations": None,
    "system column, input column": SYSTEM,
    "system column, question column": SYSTEM,
    "HH transcript": None,
    "alpaca ranking": None,
    "ShareGPT ranking with system": SYSTEM,
    "content blocks": None,
}
UNKNOWN = "unknown columns"


def test_every_shape_of_the_cases():
    rows = {row["shape"]: row["row"] for row in read_cases("pairs.jsonl")}
    assert set(rows) == {*WANTED, UNKNOWN}
    for shape, system in WANTED.items():
        found = read_row(rows[shape], 1)
        assert (found.question, found.chosen, found.rejected) == (
            "Name a metal.", "Iron.", "Wood.",
        ), shape  # fmt: skip
        assert (found.turns, found.system) == ((), system), shape
    with pytest.raises(RowError, match=r"prompt.*\['lose', 'query', 'win'\]"):
        read_row(rows[UNKNOWN], 1)
