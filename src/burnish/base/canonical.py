"""One JSON form of every value, and the hashes made from it."""

# Values of any type are walked, so what is inside them is unknown.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import dataclasses
import enum
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError
from burnish.base.text import well_formed


def jsonable(value: Any) -> Any:
    """Return `value` as plain JSON types: dataclasses, enums, paths, sets and numpy numbers too.

    Raises: TypeError, for what has no such form.
    """
    if isinstance(value, enum.Enum):
        return jsonable(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    numpy = sys.modules.get("numpy")  # a numpy value can only exist if numpy is loaded
    if numpy is not None and isinstance(value, numpy.generic | numpy.ndarray):
        return value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {_key(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(jsonable(item) for item in value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} has no JSON form: {value!r}")


def dump_json(value: Any, *, name: str = "value", **options: Any) -> str:
    """Return `value` as JSON text that has a UTF-8 form: lone surrogates are replaced.

    Raises: InputError under `name`, for NaN, infinities and too many levels.
    """
    try:
        text = json.dumps(jsonable(value), ensure_ascii=False, allow_nan=False, **options)
    except RecursionError:
        rule, remedy = "must not be nested so deeply", "Write fewer levels"
        raise InputError(name, type(value).__name__, rule, remedy=remedy) from None
    except ValueError:  # the one thing that JSON cannot say of what is left
        rule, remedy = "must contain finite numbers", "Record a failure as a value of its own"
        raise InputError(name, repr(value)[:200], rule, remedy=remedy) from None
    return well_formed(text)


def parse_json(text: str | bytes, *, name: str) -> Any:
    """Read JSON, and NaN and infinities where Python's writers left them; no lone surrogates stay.

    Raises: ValueError, for what is no JSON; InputError under `name`, for too many levels.
    """
    try:
        value = json.loads(text)
        escaped = b"\\u" in text if isinstance(text, bytes) else "\\u" in text
        return well_formed(value) if escaped else value
    except RecursionError:
        got, remedy = text[:40], "Write fewer levels"
        raise InputError(name, got, "must not be nested so deeply", remedy=remedy) from None


def content_hash(value: Any) -> str:
    """sha256 [hex] of a value's canonical JSON; equal content has equal hashes everywhere.

    A dataclass counts as the mapping of its fields, a tuple as a list; order of keys is nothing.
    Raises: InputError, for NaN and infinities.
    Source: ours.
    Oracle: tests/base/test_records.py::test_content_hash_is_the_sha256_of_canonical_json
    """
    text = dump_json(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: Path | str) -> str:
    """sha256 [hex] of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str(key.value) if isinstance(key, enum.Enum) else key
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)
    raise TypeError(f"a JSON key must be a string or an int, not {key!r}")
