"""A page for any result: its own where it has one, else a table of its numbers."""

from collections.abc import Mapping
from typing import Any

from burnish.base.errors import MissingFileError
from burnish.base.provenance import command_line
from burnish.contracts.page import Block, Page, Table
from burnish.report.cells import interval_text, is_number
from burnish.report.comparison import find_metrics
from burnish.report.pages import page_from_json
from burnish.report.tables import flat

MAX_TEXT = 120


def result_page(result: Mapping[str, Any], info: Mapping[str, Any]) -> Page:
    """The page that the run saved; of a run made before results held pages, one of its numbers.

    `info` is the run's `run.json`. Raises InputError, if a saved page cannot be drawn.
    """
    if "page" in result:
        return page_from_json(result["page"])
    what = str(info.get("what", "run"))
    kept = ("created", "key", "git", "code_hash", "host", "versions", "seed")
    return Page(
        title=f"burnish {what}: {result.get('model', '')}".rstrip(": "),
        verdict="This run was made by a version that kept no page; these are its numbers.",
        good="measured",
        blocks=_tables(result),
        command=command_line(info.get("command") or ["burnish", what]),
        provenance={name: info[name] for name in kept if name in info},
    )


def _tables(result: Mapping[str, Any]) -> list[Block]:
    metrics = find_metrics(result)
    rows = [
        [name, interval_text(one["value"], one["low"], one["high"]), one["n"]]
        for name, one in metrics.items()
        if is_number(one["low"]) and is_number(one["high"])
    ]
    inside = tuple(f"{name}." for name in metrics)
    single = [
        [name, value if is_number(value) else str(value)[:MAX_TEXT]]
        for name, value in flat(result).items()
        if isinstance(value, str | int | float | bool) and not name.startswith(inside)
    ]
    tables: list[Block] = []
    if rows:
        columns = ["what", "value [95% interval]", "n"]
        tables.append(Table(title="Measured", columns=columns, rows=rows))
    if single:
        tables.append(Table(title="Numbers", columns=["what", "value"], rows=single))
    if not tables:
        rule = "holds no numbers"
        raise MissingFileError("result", sorted(result), rule, remedy="Repeat the command")
    return tables
