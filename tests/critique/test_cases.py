"""Answers that people's models write: every row of ../shared/cases/grade.jsonl, by the command."""

from fixtures.cases import CASES, read_cases


def test_every_row_of_the_cases(burnish):
    rows = read_cases("grade.jsonl")
    assert len(rows) >= 147 and all(isinstance(row["correct"], bool) for row in rows)
    done = burnish("critique", "grade", "--jsonl", CASES / "grade.jsonl", "--json")
    assert done.json["num"] == len(rows) and done.json["disagreements"] == []
    assert [one["correct"] for one in done.json["rows"]] == [row["correct"] for row in rows]
    for row, one in zip(rows, done.json["rows"], strict=True):
        assert one["gold_type"] and one["verdict"] != "unscored", row
