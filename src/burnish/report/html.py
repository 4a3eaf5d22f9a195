"""A page as one folder that opens from disk: no server, no network, readable without scripts."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from burnish.base.errors import MissingFileError
from burnish.base.records import atomic_write
from burnish.contracts.page import Chart, Page, Table
from burnish.report.cells import column_texts, is_number, is_numeric_column, visible
from burnish.report.pages import check_page
from burnish.report.tables import (
    GATE_COLUMNS,
    VERDICT_MARKS,
    change,
    chart_table,
    flat,
    gate_rows,
)


def write_report(page: Page, folder: Path) -> Path:
    """Write the page and what it needs into `folder`; returns the path of `index.html`.

    `index.html` is written last, so a report that exists is whole. The same page gives the
    same bytes. Raises InputError if the page cannot be drawn, StorageError if the disk fails.
    """
    html = render(page)
    assets = files("burnish.report") / "templates"
    contents = {name: (assets / name).read_bytes() for name in ("report.css", "report.js")}
    if any(isinstance(block, Chart) for block in page.blocks):
        contents["plotly.min.js"] = _plotly_script()
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with atomic_write(folder / "assets" / name, mode="wb") as file:
            file.write(content)
    with atomic_write(folder / "index.html", mode="wb") as file:
        file.write(html.encode())
    return folder / "index.html"


def render(page: Page) -> str:
    """The page as HTML text; everything that came from outside is escaped."""
    check_page(page)
    template = build_environment().get_template("page.html")
    return template.render(
        page=page,
        gates=gate_rows(page),
        gate_columns=GATE_COLUMNS,
        verdict_mark=VERDICT_MARKS[page.good],
        provenance=Table(
            title="Provenance",
            columns=["What", "Value"],
            rows=list(flat(page.provenance).items()),
        ),
        has_charts=any(isinstance(block, Chart) for block in page.blocks),
    )


@cache
def build_environment() -> Environment:
    """Jinja with escaping on, undefined names an error, and control characters made visible.

    One for all pages: its templates are compiled once.
    """
    environment = Environment(
        loader=PackageLoader("burnish.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"columns": _columns, "spec": _spec, "change": change}
    environment.filters |= {"data_table": chart_table, "paragraphs": _paragraphs}
    return environment


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _plotly_script() -> bytes:
    script = files("plotly") / "package_data" / "plotly.min.js"
    if not script.is_file():
        remedy = 'Install it again: pip install --force-reinstall "plotly>=6"'
        raise MissingFileError("plotly's script", str(script), "must exist", remedy=remedy)
    return script.read_bytes()


def _columns(table: Table) -> list[dict[str, Any]]:
    """The table by columns: name, is it numeric, and its cells as (text, exact number or None)."""
    columns = []
    for index, name in enumerate(table.columns):
        values = [row[index] for row in table.rows]
        exact = [repr(value) if is_number(value) else None for value in values]
        cells = list(zip(column_texts(values), exact, strict=True))
        columns.append({"name": name, "numeric": is_numeric_column(values), "cells": cells})
    return columns


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in text.split("\n\n") if part.strip()]


def _spec(chart: Chart) -> Markup:
    """The chart as JSON that is safe inside a script element; what is not finite is a gap."""
    return htmlsafe_json_dumps(_plain(asdict(chart)), dumps=json.dumps, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
