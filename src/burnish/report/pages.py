"""JSON -> `Page`, checked on the way: the inverse of `dataclasses.asdict`."""

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from burnish.base.errors import InputError
from burnish.contracts.page import (
    Block,
    Chart,
    Page,
    Sample,
    Samples,
    Series,
    Slider,
    Table,
    Text,
)
from burnish.contracts.record import Gate
from burnish.report.cells import is_number

GATE_OUTCOMES = ("pass", "fail", "undetermined")
_RERUN = "Write the page with dataclasses.asdict, or run the command again"


def page_from_json(mapping: Mapping[str, Any]) -> Page:
    """The page that `dataclasses.asdict` was called on; lists where it had tuples.

    Raises InputError, which names the place (`page.blocks[2].series[0].y`), for unknown or
    missing fields, unknown kinds of block, wrong types and lengths that do not match.
    """
    fields = _fields(Page, mapping, "page")
    fields["blocks"] = _each(_block, fields.get("blocks", ()), "page.blocks")
    fields["headline"] = _each(_tile, fields.get("headline", ()), "page.headline")
    page = Page(**fields)
    check_page(page)
    return page


def check_page(page: Page) -> None:
    """Raise InputError where a page cannot be drawn: a wrong type, or lengths that differ."""
    for name in ("title", "verdict", "command"):
        _text(getattr(page, name), f"page.{name}")
    if page.good not in (True, False, None, "measured"):
        rule = "must be true, false, null or measured"
        raise InputError("page.good", page.good, rule, remedy=_RERUN)
    if not isinstance(page.provenance, Mapping):
        raise InputError("page.provenance", page.provenance, "must be a mapping", remedy=_RERUN)
    _each(_tile, page.headline, "page.headline")
    _each(gate_from_json, page.gates, "page.gates")
    for index, block in enumerate(page.blocks):
        _check_block(block, f"page.blocks[{index}]")


def gate_from_json(mapping: Mapping[str, Any], where: str = "gate") -> Gate:
    """The `Gate` of one row of `page.gates`; raises InputError as `page_from_json` does."""
    gate = Gate(**_fields(Gate, mapping, where))
    if gate.outcome not in GATE_OUTCOMES:
        rule = f"must be one of {', '.join(GATE_OUTCOMES)}"
        raise InputError(f"{where}.outcome", gate.outcome, rule, remedy=_RERUN)
    for name in ("margin", "value", "low", "high", "n"):
        _number(getattr(gate, name), f"{where}.{name}")
    for name in ("name", "unit", "sentence"):
        _text(getattr(gate, name), f"{where}.{name}")
    return gate


def _fields(kind: Any, mapping: Any, where: str) -> dict[str, Any]:
    """The mapping's items if they are fields of the dataclass `kind` and none is missing."""
    if not isinstance(mapping, Mapping):
        raise InputError(where, mapping, "must be a mapping", remedy=_RERUN)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    required = {
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    for name in sorted(mapping.keys() - fields.keys()):
        rule = f"is not a field of {kind.__name__}"
        raise InputError(f"{where}.{name}", mapping[name], rule, remedy=_RERUN)
    for name in sorted(required - mapping.keys()):
        raise InputError(where, sorted(mapping), f"must have a field {name!r}", remedy=_RERUN)
    return dict(mapping)


def _each(build: Callable[[Any, str], Any], items: Any, where: str) -> list[Any]:
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise InputError(where, items, "must be a list", remedy=_RERUN)
    return [build(item, f"{where}[{index}]") for index, item in enumerate(items)]


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(where, value, "must be a string", remedy=_RERUN)
    return value


def _number(value: Any, where: str) -> Any:
    if not is_number(value):
        raise InputError(where, value, "must be a number", remedy=_RERUN)
    return value


def _height(value: Any, where: str) -> Any:
    return None if value is None else _number(value, where)  # null: a gap in the line


def _tile(tile: Any, where: str) -> tuple[str, ...]:
    texts = tuple(_each(_text, tile, where))
    if len(texts) != 3:
        raise InputError(where, tile, "must be label, value and detail", remedy=_RERUN)
    return texts


def _block(mapping: Any, where: str) -> Block:
    kinds = {"chart": Chart, "table": Table, "samples": Samples, "slider": Slider, "text": Text}
    tag = mapping.get("block") if isinstance(mapping, Mapping) else None
    if tag not in kinds:
        rule = f"must have a `block` of {', '.join(kinds)}"
        raise InputError(where, tag, rule, remedy=_RERUN)
    fields = _fields(kinds[tag], mapping, where)
    for name, kind in (("series", Series), ("samples", Sample)):
        if name in fields:
            fields[name] = _each(
                lambda item, at, kind=kind: kind(**_fields(kind, item, at)),
                fields[name],
                f"{where}.{name}",
            )
    return kinds[tag](**fields)


def _check_block(block: Block, where: str) -> None:
    _text(block.title, f"{where}.title")
    match block:
        case Chart():
            for name in ("kind", "x_scale"):
                _one_of(getattr(block, name), Chart.__annotations__[name], f"{where}.{name}")
            for name in ("x_label", "y_label", "caption"):
                _text(getattr(block, name), f"{where}.{name}")
            for index, series in enumerate(block.series):
                _check_series(series, f"{where}.series[{index}]")
                if block.kind == "heat" and list(series.x) != list(block.series[0].x):
                    rule = "must be the same for all rows of a heat map"
                    raise InputError(f"{where}.series[{index}].x", series.x, rule, remedy=_RERUN)
        case Table() | Slider():
            _text(block.caption, f"{where}.caption")
            _each(_text, block.columns, f"{where}.columns")
            for index, row in enumerate(block.rows):
                _same_length(row, block.columns, f"{where}.rows[{index}]")
            if isinstance(block, Slider) and not 0 <= block.start < len(block.rows):
                rule = "must be the number of a row, from 0"
                raise InputError(f"{where}.start", block.start, rule, remedy=_RERUN)
        case Samples():
            _text(block.caption, f"{where}.caption")
            for index, sample in enumerate(block.samples):
                _check_sample(sample, f"{where}.samples[{index}]")
        case Text():
            _text(block.text, f"{where}.text")
        case _:
            raise InputError(where, block, "is not a known kind of block", remedy=_RERUN)


def _one_of(value: Any, choices: Any, where: str) -> None:
    names = typing.get_args(choices)
    if value not in names:
        raise InputError(where, value, f"must be one of {', '.join(names)}", remedy=_RERUN)


def _check_series(series: Series, where: str) -> None:
    _text(series.name, f"{where}.name")
    _each(
        lambda v, at: v if isinstance(v, str) else _number(v, at),
        series.x,
        f"{where}.x",
    )
    for name in ("y", "low", "high"):
        heights = getattr(series, name)
        if heights is not None or name == "y":
            _each(_height, heights, f"{where}.{name}")
            _same_length(heights, series.x, f"{where}.{name}")
    if (series.low is None) != (series.high is None):
        rule = "must have both low and high, or neither"
        raise InputError(where, series.name, rule, remedy=_RERUN)


def _check_sample(sample: Sample, where: str) -> None:
    for name in ("prompt", "answer", "before", "after", "group"):
        _text(getattr(sample, name), f"{where}.{name}")
    for name in ("before_right", "after_right"):
        if not isinstance(getattr(sample, name), bool):
            rule = "must be true or false"
            raise InputError(f"{where}.{name}", getattr(sample, name), rule, remedy=_RERUN)


def _same_length(values: Any, others: Any, where: str) -> None:
    _each(lambda value, _: value, values, where)
    if len(values) != len(others):
        rule = f"must have {len(others)} values"
        raise InputError(where, len(values), rule, remedy=_RERUN)
