"""The tables behind gates and charts, written out by hand."""

from dataclasses import asdict, replace

import pytest

from burnish.contracts.page import Chart, Page, Sample, Series
from burnish.contracts.record import Gate
from burnish.report import tables
from burnish.report.tables import change, chart_table, flat, gate_rows
from burnish.report.text import page_as_text

OPEN = Gate(
    name="better", outcome="undetermined", margin=0.5, value=0.25, low=-0.75, high=1.25, n=12,
    unit="points", sentence="Not decided.", n_to_decide=345,
)  # fmt: skip
PASSED = replace(OPEN, name="short", outcome="pass", sentence="Decided.", n_to_decide=None)


BETWEEN = "0.25 [\u22120.75, 1.25]"


def page_with(*gates: Gate) -> Page:
    return Page(title="t", verdict="v", good=None, gates=[asdict(gate) for gate in gates])


def check_gates() -> None:
    assert gate_rows(page_with(OPEN, PASSED)) == [
        {"name": "better", "outcome": "undetermined", "mark": "?", "value": BETWEEN,
         "margin": "0.5", "unit": "points", "n": "12",
         "sentence": "Not decided. About n = 345 would decide."},
        {"name": "short", "outcome": "pass", "mark": "✓", "value": BETWEEN,
         "margin": "0.5", "unit": "points", "n": "12", "sentence": "Decided."},
    ]  # fmt: skip


def test_gates_by_hand() -> None:
    check_gates()


def test_planted_gate_without_what_would_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = tables.gate_from_json
    monkeypatch.setattr(tables, "gate_from_json", lambda row: replace(exact(row), n_to_decide=None))
    with pytest.raises(AssertionError):
        check_gates()


def test_the_terminal_shows_every_cell_of_a_gate_once() -> None:
    (line,) = [s for s in page_as_text(page_with(PASSED)).splitlines() if s.startswith("short")]
    assert line.split() == [
        "short", "✓", "pass", "0.25", "[\u22120.75,", "1.25]", "0.5", "points", "12", "Decided.",
    ]  # fmt: skip


def chart(*series: Series) -> Chart:
    return Chart(title="c", kind="line", series=list(series), x_label="steps", y_label="loss")


A = Series(name="a", x=[1, 2], y=[0.5, 0.25], low=[0.25, 0.125], high=[0.75, 0.5])
B = Series(name="b", x=[1, 2], y=[3, 4])


def test_one_series_is_named_by_the_axis_and_two_by_themselves() -> None:
    alone = chart_table(chart(A))
    assert alone.columns == ["steps", "loss", "loss, low", "loss, high"]
    assert alone.rows == [[1, 0.5, 0.25, 0.75], [2, 0.25, 0.125, 0.5]]
    both = chart_table(chart(A, B))
    assert both.columns == ["steps", "a", "a, low", "a, high", "b"]
    assert both.rows == [[1, 0.5, 0.25, 0.75, 3], [2, 0.25, 0.125, 0.5, 4]]


def test_other_places_give_a_row_a_point() -> None:
    found = chart_table(chart(A, replace(B, x=[1, 3])))
    assert found.columns == ["Series", "steps", "loss", "low", "high"]
    assert found.rows == [
        ["a", 1, 0.5, 0.25, 0.75], ["a", 2, 0.25, 0.125, 0.5],
        ["b", 1, 3, None, None], ["b", 3, 4, None, None],
    ]  # fmt: skip
    plain = chart_table(chart(B, replace(B, name="c", x=[1, 3])))
    assert plain.columns == ["Series", "steps", "loss"]
    assert plain.rows[-1] == ["c", 3, 4]
    assert chart_table(chart()).rows == []


def test_what_became_of_a_sample() -> None:
    kinds = {
        (False, True): "newly right", (True, False): "newly wrong",
        (True, True): "both right", (False, False): "both wrong",
    }  # fmt: skip
    for (before, after), kind in kinds.items():
        sample = Sample(prompt="p", answer="a", before="b", after="c", before_right=before,
                        after_right=after, group="g")  # fmt: skip
        assert change(sample) == kind


def test_nested_mappings_by_hand() -> None:
    nested = {"a": {"b": 1, "c": {"d": [2]}}, "e": {}, "f": None}
    assert flat(nested) == {"a.b": 1, "a.c.d": [2], "e": {}, "f": None}
