"""A page for the terminal: verdict, headline, gates and tables as aligned plain text."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from burnish.contracts.page import Block, Chart, Page, Samples, Slider, Table, Text
from burnish.report.cells import column_texts, is_numeric_column, visible
from burnish.report.pages import check_page
from burnish.report.tables import (
    GATE_COLUMNS,
    VERDICT_MARKS,
    change,
    chart_table,
    gate_rows,
)

_MOST_CHART_ROWS = 20  # longer curves are for the page, not for a terminal


def page_as_text(page: Page) -> str:
    """The page without its samples' texts, ready to print; ends with a newline.

    Control characters in the page come out as visible pictures, so model output cannot move
    the cursor. Raises InputError if the page cannot be drawn.
    """
    check_page(page)
    parts = [f"{visible(page.verdict)}  ({VERDICT_MARKS[page.good]})"]
    if page.headline:
        parts.append(table_as_text(["", "", ""], page.headline))
    if page.gates:
        rows = [
            [f"{g['mark']} {g['outcome']}" if key == "outcome" else g[key] for key in _GATE_KEYS]
            for g in gate_rows(page)
        ]
        parts.append("Gates\n" + table_as_text(GATE_COLUMNS, rows))
    parts += [f"{visible(block.title)}\n{_block_as_text(block)}" for block in page.blocks]
    if page.command:
        parts.append(f"Run it again\n{visible(page.command)}")
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


_GATE_KEYS = ("name", "outcome", "value", "margin", "unit", "n", "sentence")


def table_as_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows under named columns, two spaces apart; numbers to the right; a line a row.

    A row of empty column names is left out. Width counts wide (East Asian) characters twice.
    """
    cells, right = [], []
    for index, name in enumerate(columns):
        values = [row[index] for row in rows]
        texts = [" ".join(text.split()) for text in column_texts(values)]
        cells.append([visible(name), *texts])
        right.append(is_numeric_column(values))
    widths = [max(map(_width, column)) for column in cells]
    lines = []
    for row in zip(*cells, strict=True):
        padded = [
            " " * (width - _width(text)) + text if flush else text + " " * (width - _width(text))
            for text, width, flush in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    if any(columns):
        lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines if any(columns) else lines[1:]) + "\n"


def _width(text: str) -> int:
    """Terminal cells the text takes up."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _block_as_text(block: Block) -> str:
    match block:
        case Table() | Slider():
            body = table_as_text(block.columns, block.rows)
        case Chart():
            table = chart_table(block)
            if len(table.rows) > _MOST_CHART_ROWS:
                body = f"{len(table.rows)} points; the report page draws them.\n"
            else:
                body = table_as_text(table.columns, table.rows)
        case Samples():
            changes = [change(sample) for sample in block.samples]
            body = table_as_text(
                ["", ""], [[kind, changes.count(kind)] for kind in sorted(set(changes))]
            )
        case Text():
            return visible(block.text)
    return body + (f"{visible(block.caption)}\n" if block.caption else "")
