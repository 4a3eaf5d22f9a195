"""Settings are nested frozen dataclasses; files and `--set a.b=c` fill them in.

Later wins: defaults of the class (or `base`), the file, the overrides in order, `named`.
"""

# Files of settings are walked, so what is inside them is unknown.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from burnish.base.canonical import jsonable
from burnish.base.coercion import (
    coerce_text,
    coerce_value,
    default_of,
    field_types,
    inner_dataclass,
    parse_yaml,
)
from burnish.base.errors import InputError, SettingError
from burnish.base.files import read_text
from burnish.base.naming import suggest

Settings = TypeVar("Settings")


@dataclasses.dataclass(frozen=True)
class _Text:
    """A leaf as it was written on the command line, whose field says how to read it."""

    text: str


def load_settings(
    cls: type[Settings],
    *,
    base: Settings | None = None,
    config: Path | str | None = None,
    overrides: Sequence[str] = (),
    named: Mapping[str, Any] | None = None,
) -> Settings:
    """Make `cls` from a file (.yaml, .yml, .json, .toml) and `key.inner=value` overrides.

    `named` holds values by dotted name, such as those of options; None stands for "not given".
    Raises: SettingError, with the dotted name, for a key that is unknown, missing or ill-typed;
    MissingFileError; InputError, for a file that cannot be parsed.
    """
    tree = {} if config is None else _read_config(Path(config))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            rule, remedy = "must be key=value", "Write --set train.num_steps=100"
            raise SettingError("--set", override, rule, remedy=remedy)
        _put(tree, key.strip(), _Text(text.strip()))
    for name, value in (named or {}).items():
        if value is not None:
            _put(tree, name, value)
    return _fill(cls, base, tree, prefix="")


def to_dict(settings: Any) -> dict[str, Any]:
    """Return settings as nested plain JSON values, as `run.json` holds them."""
    return jsonable(settings)


def differences(a: Any, b: Any) -> dict[str, tuple[Any, Any]]:
    """Return `{dotted name: (in a, in b)}` for every leaf in which two settings differ."""
    left, right = _leaves(a), _leaves(b)
    names = [*left, *(name for name in right if name not in left)]
    return {n: (left.get(n), right.get(n)) for n in names if left.get(n) != right.get(n)}


def _leaves(settings: Any, prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), prefix + field.name
        nested = dataclasses.is_dataclass(value)
        leaves |= _leaves(value, f"{name}.") if nested else {name: jsonable(value)}
    return leaves


def _known_names(cls: type, prefix: str = "") -> list[str]:
    names: list[str] = []
    for key, annotation in field_types(cls).items():
        inner = inner_dataclass(annotation)
        names += _known_names(inner, f"{prefix}{key}.") if inner else [prefix + key]
    return names


def _read_config(path: Path) -> dict[str, Any]:
    text = read_text(path)
    parsers = {
        ".yaml": lambda: parse_yaml(text, name=str(path)),
        ".yml": lambda: parse_yaml(text, name=str(path)),
        ".toml": lambda: tomllib.loads(text),
        ".json": lambda: json.loads(text),
    }
    if path.suffix not in parsers:
        rule = f"must end in {', '.join(parsers)}"
        raise InputError("settings file", str(path), rule, remedy="Rename it")
    try:
        tree = parsers[path.suffix]()
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        rule, remedy = f"must be {path.suffix[1:].upper()}", f"The parser says: {error}"
        raise InputError("settings file", str(path), rule, remedy=remedy) from None
    if tree is None:  # an empty file
        return {}
    if not isinstance(tree, dict):
        rule, remedy = "must contain key: value lines", "See `--help` for the settings"
        raise InputError(str(path), type(tree).__name__, rule, remedy=remedy)
    return tree


def _put(tree: dict[str, Any], name: str, leaf: Any) -> None:
    *outer, last = name.split(".")
    for key in outer:
        inner = tree.setdefault(key, {})
        if not isinstance(inner, dict):
            rule = f"cannot be set inside {key!r}, which was set as a whole"
            value = leaf.text if isinstance(leaf, _Text) else leaf
            raise SettingError(f"setting {name}", value, rule, remedy="Set only one of the two")
        tree = inner
    tree[last] = leaf


def _fill(cls: type[Any], base: Any, tree: Mapping[str, Any], *, prefix: str) -> Any:
    types, changes = field_types(cls), {}
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key, given in tree.items():
        name = f"{prefix}{key}"
        if key not in types:
            _refuse_unknown(cls, name, given, prefix=prefix)
        inner, value = inner_dataclass(types[key]), given
        if isinstance(given, _Text) and inner:
            value = parse_yaml(given.text, name=f"setting {name}")
        if inner and isinstance(value, dict):
            start = default_of(fields[key]) if base is None else getattr(base, key)
            start = start if isinstance(start, inner) else None
            changes[key] = _fill(inner, start, value, prefix=f"{name}.")
        elif isinstance(value, _Text):
            changes[key] = coerce_text(f"setting {name}", value.text, types[key])
        else:
            changes[key] = coerce_value(f"setting {name}", _plain(name, value), types[key])
    if base is None:
        for key, field in fields.items():
            if field.init and default_of(field) is dataclasses.MISSING and key not in changes:
                rule, remedy = "must be given", f"Write --set {prefix}{key}=VALUE"
                raise SettingError(f"setting {prefix}{key}", None, rule, remedy=remedy)
    try:
        return cls(**changes) if base is None else dataclasses.replace(base, **changes)
    except SettingError as error:  # a check of the class itself: say where it stands
        if not prefix or error.name not in types:
            raise
        where = f"setting {prefix}{error.name}"
        raise SettingError(where, error.value, error.rule, remedy=error.remedy) from None


def _plain(name: str, value: Any) -> Any:
    """Return a parsed value; refuse an override that reaches inside it."""
    for key, part in value.items() if isinstance(value, dict) else ():
        if isinstance(part, _Text):
            rule, remedy = "has no inner settings", f"Write --set {name}=VALUE"
            raise SettingError(f"setting {name}", f"{name}.{key}", rule, remedy=remedy)
        _plain(f"{name}.{key}", part)
    return value


def _refuse_unknown(cls: type, name: str, given: Any, *, prefix: str) -> None:
    value, known = given.text if isinstance(given, _Text) else given, _known_names(cls, prefix)
    if isinstance(value, dict):  # a whole unknown section: name its keys, suggest sections
        value = sorted(value)
        known = [
            f"{prefix}{key}" for key, kind in field_types(cls).items() if inner_dataclass(kind)
        ]
    raise SettingError(f"setting {name}", value, "is not known", remedy=suggest(name, known))
