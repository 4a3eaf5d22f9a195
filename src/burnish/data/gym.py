"""The bridge to reasoning-gym: its data sets by name and options, its entries as JSON values."""

import dataclasses
import functools
import json
import typing
import warnings
from collections.abc import Mapping
from typing import Any

from burnish.base.errors import InputError, SettingError, UnknownNameError
from burnish.base.registry import suggest

SET_BY_US = ("seed", "size")  # fields of every config that the caller must not give


def build_dataset(name: str, options: Mapping[str, str], *, size: int, seed: int) -> Any:
    """Return reasoning-gym's data set `name` with `options` as written in a source spec.

    Raises: UnknownNameError, for the name; SettingError, for an option or its value.
    """
    config_type = _config_type(name)
    types = typing.get_type_hints(config_type)
    known = [f.name for f in dataclasses.fields(config_type) if f.name not in SET_BY_US]
    values = {}
    for key, text in options.items():
        if key not in known:
            rule = "is not an option of reasoning-gym's data set"
            raise SettingError(f"option of {name!r}", key, rule, remedy=suggest(key, known))
        values[key] = _coerce(f"{name}?{key}", text, types[key])
    from reasoning_gym import create_dataset

    try:  # its configs validate with assertions
        return create_dataset(name, size=size, seed=seed, **values)
    except (AssertionError, ValueError, TypeError) as error:
        remedy = f"reasoning-gym says: {error}"
        raise SettingError(f"options of {name!r}", values, "must fit", remedy=remedy) from error


@functools.lru_cache(maxsize=64)
def scorer(name: str, options_json: str) -> Any:
    """Return `score_answer(answer, entry)` of the data set that made a task."""
    return build_dataset(name, json.loads(options_json), size=1, seed=0).score_answer


def freeze(value: Any) -> Any:
    """Return a value of an entry as JSON values, keeping tuples and keys that are no strings.

    Some scorers compare with tuples, which plain JSON would turn into lists; `thaw` undoes this.
    Raises: InputError, for a type that has no such form.
    Source: ours. Oracle: tests/data/test_gym.py::test_thaw_undoes_freeze
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple):
        return {"!tuple": [freeze(item) for item in value]}
    if isinstance(value, list):
        return [freeze(item) for item in value]
    if isinstance(value, dict):
        if all(isinstance(key, str) and not key.startswith("!") for key in value):
            return {key: freeze(item) for key, item in value.items()}
        return {"!dict": [[freeze(key), freeze(item)] for key, item in value.items()]}
    remedy = "Choose another data set; this one's entries cannot be stored"
    raise InputError("metadata of a task", type(value).__name__, "must be plain", remedy=remedy)


def thaw(value: Any) -> Any:
    """Return what `freeze` was given."""
    if isinstance(value, list):
        return [thaw(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "!tuple" in value:
        return tuple(thaw(item) for item in value["!tuple"])
    if "!dict" in value:
        return {thaw(key): thaw(item) for key, item in value["!dict"]}
    return {key: thaw(item) for key, item in value.items()}


def datasets() -> dict[str, tuple[type, type]]:
    """The classes of each data set and of its settings, by name."""
    with warnings.catch_warnings():  # of packages that it needs, when they are first compiled
        warnings.simplefilter("ignore", SyntaxWarning)
        import reasoning_gym  # noqa: F401 - takes most of a second, and fills DATASETS
    from reasoning_gym.factory import DATASETS

    return DATASETS


def _config_type(name: str) -> Any:
    known = datasets()
    if name not in known:
        rule = "is not one of reasoning-gym's"
        raise UnknownNameError("data set", name, rule, remedy=suggest(name, known))
    return known[name][1]


def _coerce(name: str, text: str, kind: Any) -> Any:
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    given: Any = text
    if kind in (tuple, list) or typing.get_origin(kind) in (tuple, list):
        given = text.split(",")
    elif text in ("none", "None"):
        given = None
    try:
        return TypeAdapter(kind).validate_python(given)
    except (ValidationError, PydanticUserError) as error:
        written = getattr(kind, "__name__", str(kind))
        remedy = "Lists are written a,b,c" if given != text else "Look up the option's values"
        raise SettingError(name, text, f"must be of type {written}", remedy=remedy) from error
