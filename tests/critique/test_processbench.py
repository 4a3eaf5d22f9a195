"""ProcessBench's format, written and read."""

import json
from dataclasses import replace

import pytest
from fixtures.critics import chains

from burnish.base.errors import InputError
from burnish.critique import processbench
from burnish.critique.grammar import steps_of
from burnish.critique.planted import planted_solutions
from burnish.critique.processbench import (
    measure_predictions,
    read_processbench,
    write_processbench,
)


def check_inverse(path):
    solutions = planted_solutions(chains(12), right_frac=0.4, seed=0)
    assert write_processbench(path, solutions) == 12
    again = read_processbench(path)
    assert [steps_of(one.text) for one in again] == [steps_of(one.text) for one in solutions]
    assert [one.first_error for one in again] == [one.first_error for one in solutions]
    assert [one.right for one in again] == [one.right for one in solutions]
    assert [one.origin for one in again] == [one.origin for one in solutions]
    assert [one.task.answer for one in again] == [one.task.answer for one in solutions]


def test_read_is_the_inverse_of_write(tmp_path):
    check_inverse(tmp_path / "a.jsonl")


def test_planted_labels_from_one(tmp_path, monkeypatch):
    real = processbench.to_row
    plus = lambda n, s: {**real(n, s), "label": max(0, real(n, s)["label"])}  # noqa: E731
    monkeypatch.setattr(processbench, "to_row", plus)
    with pytest.raises(AssertionError):
        check_inverse(tmp_path / "a.jsonl")


def check_by_hand():
    """Three rows with an error, two found; two right ones, one passed: F1 = 2ab / (a + b) = 4/7."""
    rows = [{"label": label, "steps": ["x"] * 3} for label in (0, 1, 2, -1, -1)]
    found = measure_predictions([0, 1, None, -1, 0], rows)
    assert (found["num"], found["num_erroneous"]) == (5, 3)
    assert found["erroneous"]["value"] == pytest.approx(2 / 3)
    assert found["correct"]["value"] == pytest.approx(1 / 2)
    assert found["f1"]["value"] == pytest.approx(4 / 7)
    assert found["f1"]["low"] <= 4 / 7 <= found["f1"]["high"]
    assert found["chance"] == {"erroneous": 0.25, "correct": 0.25, "f1": 0.25}


def test_numbers_by_hand():
    check_by_hand()


def test_planted_mean_of_the_two_accuracies(monkeypatch):
    monkeypatch.setattr(processbench, "harmonic_mean", lambda a, b: (a + b) / 2)
    with pytest.raises(AssertionError):
        check_by_hand()


def test_one_kind_of_row_has_no_f1():
    found = measure_predictions([0, 1], [{"label": 0, "steps": ["x"]}, {"label": 0, "steps": []}])
    assert found["f1"] is None and found["correct"] is None and found["chance"]["f1"] is None
    assert found["erroneous"]["value"] == 0.5


def test_a_wrong_end_is_labelled_at_the_last_step(tmp_path):
    solution = planted_solutions(chains(1), right_frac=1.0, seed=0)[0]
    text = solution.text.rpartition(" ")[0] + " 9999"
    wrong = replace(solution, text=text, right=False, first_error=len(steps_of(text)))
    write_processbench(tmp_path / "a.jsonl", [wrong])
    assert read_processbench(tmp_path / "a.jsonl")[0].first_error == len(steps_of(text)) - 1


ROW = {
    "id": "gsm8k-0",
    "problem": "?",
    "steps": ["a", "b"],
    "final_answer_correct": True,
    "label": -1,
}


def test_steps_of_several_lines_stay_one_step(tmp_path):
    """ProcessBench's own steps have blank lines and headings; labels must count the same steps."""
    steps = ["First:\n\n\\[x = 1\\]", "#### Step 2\n2 + 2 = 5", "", "#### 5"]
    (tmp_path / "a.jsonl").write_text(json.dumps({**ROW, "steps": steps, "label": 1}))
    found = read_processbench(tmp_path / "a.jsonl")[0]
    assert steps_of(found.text) == ["First: \\[x = 1\\]", "Step 2 2 + 2 = 5", "-", "5"]
    assert steps_of(found.text)[found.first_error].endswith("2 + 2 = 5")


@pytest.mark.parametrize(
    "change", [{"label": 2}, {"label": "x"}, {"steps": "a"}, {"steps": [1]}, {"id": None}]
)
def test_wrong_rows_are_named(tmp_path, change):
    row = {k: v for k, v in {**ROW, **change}.items() if v is not None}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    with pytest.raises(InputError, match="row 1"):
        read_processbench(tmp_path / "a.jsonl")
