"""The tables that stand behind gates and charts, for HTML and the terminal alike."""

from collections.abc import Mapping
from typing import Any

from burnish.contracts.page import Chart, Page, Sample, Series, Table
from burnish.report.cells import interval_text, number_text
from burnish.report.pages import gate_from_json

OUTCOME_MARKS = {"pass": "✓", "fail": "✗", "undetermined": "?"}
VERDICT_MARKS = {
    True: "✓ gain shown",
    False: "✗ harm shown",
    None: "? undecided",
    "measured": "measured",
}
GATE_COLUMNS = (
    "Gate",
    "Outcome",
    "Value [95% interval]",
    "Margin",
    "Unit",
    "n",
    "Reading",
)


def gate_rows(page: Page) -> list[dict[str, str]]:
    """One row a gate: texts under the keys name, outcome, mark, value, margin, n, sentence."""
    rows = []
    for gate in map(gate_from_json, page.gates):
        decide = f" About n = {gate.n_to_decide} would decide." if gate.n_to_decide else ""
        rows.append(
            {
                "name": gate.name,
                "outcome": gate.outcome,
                "mark": OUTCOME_MARKS[gate.outcome],
                "value": interval_text(gate.value, gate.low, gate.high),
                "margin": number_text(gate.margin),
                "unit": gate.unit,
                "n": str(gate.n),
                "sentence": gate.sentence + decide,
            }
        )
    return rows


def chart_table(chart: Chart) -> Table:
    """Every number of the chart: a column a series where they share x, else a row a point."""
    shared = all(list(s.x) == list(chart.series[0].x) for s in chart.series)
    return _wide(chart) if shared else _long(chart)


def _wide(chart: Chart) -> Table:
    columns: list[str] = [chart.x_label]
    cells: list[list[Any]] = [list(chart.series[0].x) if chart.series else []]
    for series in chart.series:
        name = series.name if len(chart.series) > 1 else chart.y_label
        for bound, values in _heights(series).items():
            columns.append(f"{name}{bound}")
            cells.append(values)
    rows = [list(row) for row in zip(*cells, strict=True)]
    return Table(title=chart.title, columns=columns, rows=rows)


def _long(chart: Chart) -> Table:
    bounded = any(s.low is not None for s in chart.series)
    columns = [
        "Series",
        chart.x_label,
        chart.y_label,
        *(["low", "high"] if bounded else []),
    ]
    rows = []
    for series in chart.series:
        gaps = [None] * len(series.x)
        bounds = [series.low or gaps, series.high or gaps] if bounded else []
        points = zip(series.x, series.y, *bounds, strict=True)
        rows += [[series.name, *point] for point in points]
    return Table(title=chart.title, columns=columns, rows=rows)


def _heights(series: Series) -> dict[str, list[float | None]]:
    columns = {"": series.y, ", low": series.low, ", high": series.high}
    return {name: list(values) for name, values in columns.items() if values is not None}


def change(sample: Sample) -> str:
    """What became of the sample: newly right, newly wrong, both right or both wrong."""
    return {
        (False, True): "newly right",
        (True, False): "newly wrong",
        (True, True): "both right",
        (False, False): "both wrong",
    }[sample.before_right, sample.after_right]


def joined(path: str, key: Any) -> str:
    """The dotted path of `key` below `path`."""
    return f"{path}.{key}" if path else str(key)


def flat(mapping: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted path; lists and empty mappings are values."""
    values = {}
    for key, value in mapping.items():
        at = joined(path, key)
        values |= flat(value, at) if isinstance(value, Mapping) and value else {at: value}
    return values
