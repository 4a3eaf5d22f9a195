"""Written values as the types that fields want, against a table."""

import dataclasses
import datetime
import enum
import math
from pathlib import Path
from typing import Literal

import pytest

from burnish.base.coercion import (
    coerce_text,
    coerce_value,
    default_of,
    field_types,
    inner_dataclass,
    parse_yaml,
    write_text,
)
from burnish.base.errors import InputError, SettingError


class Colour(enum.StrEnum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Inner:
    a: int = 1


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    names: list[str] = dataclasses.field(default_factory=lambda: ["x"])
    must: int = dataclasses.field(kw_only=True)
    made: int = dataclasses.field(init=False, default=3)


READ = [
    ("5", int, 5), ("-5", int, -5), ("1_000", int, 1000), ("1e-4", float, 1e-4), (".5", float, 0.5),
    ("5", float, 5.0), ("5", str, "5"), ("no", str, "no"), ("on", str, "on"), ("true", bool, True),
    ("False", bool, False), ("none", int | None, None), ("~", int | None, None),
    ("", str | None, None), ("none", str, "none"), ("inf", float, math.inf),
    ("[1, 2]", list[int], [1, 2]),
    ("[1,2]", tuple[int, ...], (1, 2)), ("[a, 1]", tuple[str, ...], ("a", "1")),
    ('["a"]', tuple[str, ...], ("a",)), ("red", Colour, Colour.RED), ("a/b", Path, Path("a/b")),
    ('"quoted"', str, "quoted"), ("a: b", str, "a: b"), ("{a: 2}", Inner, Inner(2)),
    ("007", str, "007"), ("1:30", str, "1:30"), ("0x1F", str, "0x1F"),
    ("2024-01-01", str, "2024-01-01"),
    ("[unclosed", str, "[unclosed"), ("x", Literal["x", "y"], "x"), ("é", str, "é"),
]  # fmt: skip
REFUSED = [
    ("2.0", int, "must be int"), ("1", bool, "must be bool"), ("yes", bool, "must be bool"),
    ("a", int, "must be int"), ("z", Literal["x", "y"], "must be one of 'x', 'y'"),
    ("none", int, "must be int"), ("5", list[int], r"must be list\[int\]"),
    ("x", int | None, r"must be int \| None"), ("blue", Colour, "must be Colour"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "annotation", "value"), READ)
def test_texts_are_read_as_their_types(text, annotation, value):
    found = coerce_text("x", text, annotation)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("text", "annotation", "rule"), REFUSED)
def test_texts_of_other_types_are_refused(text, annotation, rule):
    with pytest.raises(SettingError, match=rf"^x {rule}, got '{text}'\. "):
        coerce_text("x", text, annotation)


def test_not_a_number_is_read():
    assert math.isnan(coerce_text("x", "nan", float))


@pytest.mark.parametrize(
    ("value", "annotation"), [("5", int), (1, bool), (2.0, int), (True, int), (None, str), (5, str)]
)
def test_values_are_not_converted(value, annotation):
    with pytest.raises(SettingError, match=f"^x must be {annotation.__name__}, got"):
        coerce_value("x", value, annotation)


def test_what_json_has_not_is_named():
    with pytest.raises(SettingError, match=r"^x must be int, got datetime.*Give JSON values"):
        coerce_value("x", datetime.date(2024, 1, 1), int)


@pytest.mark.parametrize(
    ("value", "annotation", "text"),
    [
        ("red", str, "red"), ("5", str, "5"), ("", str, '""'), ("a b", str, '"a b"'), (5, int, "5"),
        ("none", str | None, '"none"'), (None, str | None, "null"),
        ((1, 2), tuple[int, ...], "[1,2]"),
        ("a,b", str, '"a,b"'), ('say "x"', str, '"say \\"x\\""'), (Colour.RED, Colour, "red"),
        (True, bool, "true"), (0.5, float, "0.5"), ("é", str, "é"), ("{x}", str, '"{x}"'),
    ],
)  # fmt: skip
def test_the_shortest_text_that_is_read_back(value, annotation, text):
    assert write_text("x", value, annotation) == text
    assert coerce_text("x", text, annotation) == value


def test_fields_and_their_defaults():
    fields = {field.name: field for field in dataclasses.fields(Outer)}
    assert field_types(Outer) == {"inner": Inner, "names": list[str], "must": int}
    assert default_of(fields["inner"]) == Inner()
    assert default_of(fields["names"]) == ["x"]
    assert default_of(fields["must"]) is dataclasses.MISSING


@pytest.mark.parametrize(
    ("annotation", "inner"),
    [(Inner, Inner), (Inner | None, Inner), (int, None), (int | None, None), (list[Inner], None)],
)
def test_dataclasses_inside(annotation, inner):
    assert inner_dataclass(annotation) is inner


def test_yaml_is_that_of_version_1_2():
    text = "a: no\nb: 1e3\nd: null\ne: [yes, true]\n"
    wanted = {"a": "no", "b": 1000.0, "d": None, "e": ["yes", True]}
    assert parse_yaml(text, name="f") == wanted
    assert parse_yaml("a: 5", name="f", strings=True) == {"a": "5"}
    with pytest.raises(InputError, match=r"^f:2 must be YAML, got 'b: \]'. The parser says: "):
        parse_yaml("a: 1\nb: ]\n", name="f")
