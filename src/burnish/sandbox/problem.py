"""What is judged: code, and tests of three kinds."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.base.coercion import coerce_value, field_types
from burnish.base.errors import InputError
from burnish.base.naming import suggest
from burnish.sandbox.comparators import comparators
from burnish.sandbox.job import Limits
from burnish.sandbox.languages import find_language, language_name
from burnish.sandbox.scripts import fault_of


@dataclass(frozen=True, kw_only=True)
class StdioTest:
    """The program reads `stdin`; its output must be `stdout`, as the comparator sees it."""

    stdin: str
    stdout: str


@dataclass(frozen=True, kw_only=True)
class CallTest:
    """`function(*args)` must return `expected`, which never enters the sandbox."""

    function: str
    args: tuple[Any, ...] = ()
    expected: Any = None


@dataclass(frozen=True, kw_only=True)
class AssertTest:
    """A script that follows the code and must run to its end."""

    asserts: str


Test = StdioTest | CallTest | AssertTest
KINDS: Mapping[str, type[Test]] = {"stdin": StdioTest, "function": CallTest, "asserts": AssertTest}
FIELDS = (
    "code", "language", "tests", "asserts", "comparator", "checker", "limits", "packages", "id",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Code and its tests. `comparator` is a spec of `burnish.sandbox.comparators`.

    `packages` are folders of third-party packages that the code sees read-only: site-packages,
    node_modules, libraries of Perl, Ruby or R.
    """

    code: str
    language: str
    tests: tuple[Test, ...]
    comparator: str = "exact"
    limits: Limits = field(default_factory=Limits)
    packages: tuple[Path, ...] = ()


def read_problem(given: Any, *, name: str = "problem") -> Problem:
    """A problem from JSON. Raises: InputError, naming the place; SettingError, for its limits."""
    if not isinstance(given, Mapping):
        raise InputError(name, given, "must be an object", remedy='Write {"code": ..., ...}')
    for key in given:
        if key not in FIELDS:
            raise InputError(name, key, "has no such field", remedy=suggest(key, FIELDS))
    code, language = given.get("code"), given.get("language", "")
    if not isinstance(code, str) or not isinstance(language, str):
        remedy = 'Write {"code": "print(1)", "language": "python", "tests": [...]}'
        rule = "must be text, and so must its language"
        raise InputError(f"{name}.code", code, rule, remedy=remedy)
    tests = [_read_test(t, f"{name}.tests[{i}]") for i, t in enumerate(_rows(given, name))]
    if "asserts" in given:
        tests.append(_read_test({"asserts": given["asserts"]}, name))
    if not tests:
        remedy = 'Give "tests": [{"stdin": ..., "stdout": ...}] or "asserts": "assert ..."'
        raise InputError(f"{name}.tests", [], "must contain at least one test", remedy=remedy)
    limits = read_limits(given.get("limits", {}), f"{name}.limits")
    comparator = _read_comparator(given, name)
    check_asserts(tests, language, name)
    return Problem(
        code=code, language=language, tests=tuple(tests), comparator=comparator, limits=limits,
        packages=_read_packages(given.get("packages", []), name),
    )  # fmt: skip


def check_asserts(tests: Sequence[Test], language: str, name: str = "problem") -> None:
    """Check that every assert script tests something. Raises: InputError, naming the script."""
    found = language_name(find_language(language)) if language else ""
    for i, test in enumerate(tests):
        if isinstance(test, AssertTest) and (rule := fault_of(test.asserts, found)):
            remedy = "Call what checks, or write asserts"
            raise InputError(f"{name}.asserts[{i}]", test.asserts[:80], rule, remedy=remedy)


def read_limits(given: Any, name: str = "limits", base: Limits | None = None) -> Limits:
    """Limits from JSON. Raises: InputError, SettingError, naming the limit."""
    if not isinstance(given, Mapping):
        remedy = 'Write {"cpu_s": 2, "memory_bytes": 268435456}'
        raise InputError(name, given, "must be an object", remedy=remedy)
    types = field_types(Limits)
    for key in given:
        if key not in types:
            raise InputError(name, key, "has no such limit", remedy=suggest(key, types))
    values = {key: coerce_value(f"{name}.{key}", v, types[key]) for key, v in given.items()}
    return dataclasses.replace(base or Limits(), **values)


def _read_packages(given: Any, name: str) -> tuple[Path, ...]:
    if not isinstance(given, list) or not all(isinstance(path, str) and path for path in given):
        remedy = 'Write "packages": ["/usr/lib/python3/dist-packages"]'
        raise InputError(f"{name}.packages", given, "must be a list of folders", remedy=remedy)
    return tuple(Path(path) for path in given)


def _read_comparator(given: Mapping[str, Any], name: str) -> str:
    checker, spec = given.get("checker"), given.get("comparator", "exact")
    if checker is None:
        if not isinstance(spec, str):
            remedy = 'Write "float:absolute=1e-6", or another comparator'
            raise InputError(f"{name}.comparator", spec, "must be a spec", remedy=remedy)
        return spec
    if not isinstance(checker, Mapping) or not isinstance(checker.get("code"), str):
        remedy = 'Write "checker": {"code": ..., "language": "python"}'
        raise InputError(f"{name}.checker", checker, "must contain code", remedy=remedy)
    return comparators.spec(comparators.build("checker", **checker))


def _rows(given: Mapping[str, Any], name: str) -> Sequence[Any]:
    rows = given.get("tests", [])
    if not isinstance(rows, list):
        remedy = 'Write "tests": [{"stdin": "1", "stdout": "2"}]'
        raise InputError(f"{name}.tests", rows, "must be a list", remedy=remedy)
    return rows


def _read_test(given: Any, name: str) -> Test:
    kind = next((k for k in KINDS if isinstance(given, Mapping) and k in given), None)
    if kind is None and isinstance(given, Mapping) and "stdout" in given:
        kind, given = "stdin", {"stdin": "", **given}
    if kind is None:
        remedy = "A test has stdin and stdout, or function, args and expected, or asserts"
        raise InputError(name, given, "must be a test", remedy=remedy)
    cls = KINDS[kind]
    known = [f.name for f in dataclasses.fields(cls)]
    for key in given:
        if key not in known:
            raise InputError(name, key, "has no such field", remedy=suggest(key, known))
    for key in known:
        text = key in {"stdin", "stdout", "function", "asserts"}
        if key not in given or (text and not isinstance(given[key], str)):
            rule = f"needs {key!r}" + " as text" * text
            raise InputError(name, sorted(given), rule, remedy=f"Add {key!r} to the test")
    if cls is CallTest:
        if not isinstance(given["args"], list):
            raise InputError(name, given["args"], "needs a list of args", remedy="Write [...]")
        given = {**given, "args": tuple(given["args"])}
    return cls(**given)
