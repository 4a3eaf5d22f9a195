"""Answers that people's models write: every row of ../shared/cases/answers.jsonl."""

from fixtures.cases import read_cases

from burnish.contracts.task import Task, Verdict
from burnish.data.checkers import judge

VERDICTS = {"right": Verdict.RIGHT, "wrong": Verdict.WRONG}


def test_every_answer_of_the_cases():
    wrong, rows = [], read_cases("answers.jsonl")
    assert rows and {row["expected"] for row in rows} <= set(VERDICTS)
    for row in rows:
        task = Task(id="1", prompt="?", answer=row["reference"], group="g", checker="number")
        found = judge(row["text"], task)
        if found.verdict != VERDICTS[row["expected"]]:
            wrong.append((row, found))
    assert wrong == []
