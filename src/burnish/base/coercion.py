"""From written text and parsed files to the values that a field's type allows.

One grammar serves `--set key=value`, method specs and settings files: a value is JSON, else
YAML 1.2 (so `1e-4` is a number, `no` and `on` are words, `none` is null), else the bare text.
Types are then checked strictly: `"5"` is no int, `1` is no bool, `2.0` is no int.
"""

# yaml has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import dataclasses
import json
import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

from burnish.base.canonical import jsonable
from burnish.base.errors import InputError, SettingError

_CORE_TAGS = {  # YAML 1.2 core schema; PyYAML's own rules read `1e-4` as text and `no` as false
    "null": (r"~|null|Null|NULL|none|None|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(?:0|[1-9][0-9_]*)", list("-+0123456789")),
    "float": (
        r"[-+]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
        r"|\.?(?:inf|Inf|INF|infinity|Infinity))|\.?(?:nan|NaN|NAN)",
        list("-+0123456789.iInN"),
    ),
}


def field_types(cls: type) -> dict[str, Any]:
    """Map each field that a dataclass takes to its resolved annotation."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def default_of(field: "dataclasses.Field[Any]") -> Any:
    """The value that a dataclass field has when none is given, or `dataclasses.MISSING`."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def inner_dataclass(annotation: Any) -> type | None:
    """Return the dataclass that an annotation `D` or `D | None` names, else None."""
    candidates = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type)]
    if get_args(annotation) and type(None) not in get_args(annotation):
        return None
    return next((c for c in candidates if dataclasses.is_dataclass(c)), None)


def coerce_value(name: str, value: Any, annotation: Any) -> Any:
    """Return `value` as its annotation says; lists become tuples, strings become enums and paths.

    Raises: SettingError, when the type does not fit.
    """
    from pydantic import TypeAdapter, ValidationError

    rule = f"must be {_type_name(annotation)}"
    try:
        text = json.dumps(jsonable(value), ensure_ascii=False)
    except TypeError:  # a date of TOML, an object given from Python
        remedy = "Give JSON values: numbers, strings, true, null, lists, maps"
        raise SettingError(name, value, rule, remedy=remedy) from None
    try:  # JSON mode: strict on scalars, and yet a list may be a tuple
        return TypeAdapter(annotation).validate_json(text, strict=True)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"].replace("Input should", "It should")
        raise SettingError(name, value, rule, remedy=reason) from None


def coerce_text(name: str, text: str, annotation: Any) -> Any:
    """Read `text` as the annotation wants it: as JSON, YAML, YAML of plain strings, bare text.

    Raises: SettingError, when no reading fits the type.
    """
    first_error: SettingError | None = None
    for candidate in _readings(text):
        try:
            return coerce_value(name, candidate, annotation)
        except SettingError as error:
            first_error = first_error or error
    assert first_error is not None  # bare text is always a reading
    raise SettingError(name, text, first_error.rule, remedy=first_error.remedy)


def write_text(name: str, value: Any, annotation: Any) -> str:
    """Return the shortest text from which `coerce_text` reads `value` again, as JSON if need be."""
    quoted = json.dumps(jsonable(value), ensure_ascii=False, separators=(",", ":"))
    plain = jsonable(value)
    if not isinstance(plain, str) or not plain or re.search(r'[,"\[\]{}\s]', plain):
        return quoted
    try:
        return plain if coerce_text(name, plain, annotation) == value else quoted
    except SettingError:
        return quoted


def parse_yaml(text: str, *, name: str, strings: bool = False) -> Any:
    """Parse YAML 1.2; with `strings`, leave every scalar as it is written.

    Raises: InputError, naming the line.
    """
    import yaml

    loader = yaml.BaseLoader if strings else _core_loader()
    try:
        return yaml.load(text, Loader=loader)  # both loaders build plain values only
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        got = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else text
        problem = getattr(error, "problem", None) or str(error)
        raise InputError(
            where, got[:80], "must be YAML", remedy=f"The parser says: {problem}"
        ) from None


def _readings(text: str) -> list[Any]:
    readings: list[Any] = []
    try:
        readings.append(json.loads(text))
    except ValueError:
        for strings in (False, True):
            try:
                readings.append(parse_yaml(text, name="value", strings=strings))
            except InputError:
                continue  # not YAML: the bare text remains
    return [*readings, text]


def _core_loader() -> Any:
    import yaml

    class CoreLoader(yaml.SafeLoader):
        pass

    CoreLoader.yaml_implicit_resolvers = {}  # else it inherits the rules of YAML 1.1
    for tag, (pattern, first) in _CORE_TAGS.items():
        CoreLoader.add_implicit_resolver(
            f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first
        )
    return CoreLoader


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(repr, get_args(annotation)))}"
    return str(annotation).replace("typing.", "").replace("NoneType", "None")
