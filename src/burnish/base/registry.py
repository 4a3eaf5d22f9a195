"""Methods by name: a spec such as `triangle:budget=1024,sinks=4` names a method and its settings.

Grammar of a spec:

    spec  := name [":" field {"," field}]
    field := key "=" value

The first `:` ends the name and the first `=` ends a key, so values may hold both freely
(`openai:url=http://127.0.0.1:8000/v1?a=b`). Commas part fields, except inside `[...]`, `{...}`
or `"..."`. A value is written as in `--set`: `4`, `0.5`, `true`, `none`, `word`, `[1,2]`, or
`"a string, quoted as in JSON"`.
"""

import dataclasses
import importlib
import importlib.metadata
import pkgutil
import threading
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar, cast

from burnish.base.coercion import (
    coerce_text,
    coerce_value,
    default_of,
    field_types,
    write_text,
)
from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.naming import suggest

PLUGIN_GROUP = "burnish.plugins"

Method = TypeVar("Method")
AnyClass = TypeVar("AnyClass", bound=type)


class Registry(Generic[Method]):
    """The methods of one kind, found by scanning `package` and the plug-ins on first use.

    A method is a frozen keyword-only dataclass; its fields are its settings. Outside packages
    join through the entry point group `burnish.plugins`, whose entries name modules to import.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._methods: dict[str, type[Method]] = {}
        self._scanned = self._plugged = self._scanning = False
        self._lock = threading.RLock()  # a second thread waits until all methods are there

    def register(self, name: str) -> Callable[[AnyClass], AnyClass]:
        """Register the decorated dataclass. Raises: SettingError, if it cannot be a method."""

        def decorate(cls: AnyClass) -> AnyClass:
            self._check_method(name, cls)
            self._methods[name] = cast("type[Method]", cls)
            return cls

        return decorate

    def names(self) -> list[str]:
        """All registered names, sorted."""
        self._scan()
        return sorted(self._methods)

    def get(self, name: str) -> type[Method]:
        """The class registered under `name`; plug-ins are loaded only for a name of theirs.

        Raises: UnknownNameError.
        """
        self._scan_package()
        if name not in self._methods:
            self._scan()
        if name not in self._methods:
            rule = "is not registered"
            raise UnknownNameError(self.kind, name, rule, remedy=suggest(name, self._methods))
        return self._methods[name]

    def build(self, name: str, /, **fields: Any) -> Method:
        """Make the method from values, for example those of a `run.json`.

        Raises: UnknownNameError; SettingError, for a field that is unknown, missing or ill-typed.
        """
        cls = self.get(name)
        types = self._checked_types(name, cls, fields)
        values = {key: coerce_value(f"{name}.{key}", v, types[key]) for key, v in fields.items()}
        return cls(**values)

    def parse(self, spec: str) -> Method:
        """Make the method that a spec describes (grammar: see the module).

        Raises: UnknownNameError; SettingError, for a field that is unknown, missing or ill-typed.
        """
        name, _, rest = spec.partition(":")
        cls = self.get(name.strip())
        texts: dict[str, str] = {}
        for part in _split_fields(rest) if rest.strip() else []:
            key, equals, text = part.partition("=")
            if not equals or key.strip() in texts:
                rule = "must be key=value" if not equals else "gives a field twice"
                raise SettingError(
                    f"{self.kind} spec {spec!r}", part.strip(), rule,
                    remedy="Write name:key=value,key=value; quote a value that contains a comma",
                )  # fmt: skip
            texts[key.strip()] = text.strip()
        types = self._checked_types(name.strip(), cls, texts)
        values = {
            key: coerce_text(f"{name.strip()}.{key}", text, types[key])
            for key, text in texts.items()
        }
        return cls(**values)

    def spec(self, method: Method) -> str:
        """Return the canonical spec, defaults left out: `parse(spec(m)) == m`."""
        cls: type[Any] = type(method)
        name, types = self.name_of(method), field_types(cls)
        parts = [
            f"{field.name}={write_text(field.name, value, types[field.name])}"
            for field in dataclasses.fields(cls)
            if field.init and (value := getattr(method, field.name)) != default_of(field)
        ]
        return f"{name}:{','.join(parts)}" if parts else name

    def name_of(self, method: Method) -> str:
        """The name that the class of `method` is registered under. Raises: UnknownNameError."""
        self._scan()
        for name, cls in self._methods.items():
            if cls is type(method):
                return name
        cls_name, remedy = type(method).__name__, suggest("", self._methods)
        raise UnknownNameError(f"{self.kind} class", cls_name, "is not registered", remedy=remedy)

    def _scan(self) -> None:
        """Load the package's modules and the plug-ins."""
        self._scan_package()
        if self._plugged:
            return
        with self._lock:
            if self._plugged or self._scanning:
                return
            self._scanning = True
            try:
                for entry_point in importlib.metadata.entry_points(group=PLUGIN_GROUP):
                    entry_point.load()
                self._plugged = True
            finally:
                self._scanning = False

    def _scan_package(self) -> None:
        """Load the package's modules only: plug-ins may be heavy."""
        if self._scanned:
            return
        with self._lock:
            if self._scanned or self._scanning:  # a sibling may ask for names while it loads
                return
            self._scanning = True
            try:
                package = importlib.import_module(self.package)
                for module in pkgutil.iter_modules(package.__path__, f"{self.package}."):
                    importlib.import_module(module.name)
                self._scanned = True
            finally:
                self._scanning = False

    def _check_method(self, name: str, cls: type) -> None:
        parameters = getattr(cls, "__dataclass_params__", None)  # None: not a dataclass
        frozen = parameters is not None and parameters.frozen
        if not frozen or not all(f.kw_only for f in dataclasses.fields(cls) if f.init):
            rule = "must be a frozen keyword-only dataclass"
            remedy = "Put @dataclass(frozen=True, kw_only=True) below the register line"
            raise SettingError(f"{self.kind} {name!r}", cls.__name__, rule, remedy=remedy)
        if not name or any(c in name for c in ":=, "):
            rule = "must not be empty or hold ':', '=', ',' or a space"
            raise SettingError(f"{self.kind} name", name, rule, remedy="Name it as its file")
        taken = self._methods.get(name)
        place = f"{cls.__module__}.{cls.__qualname__}"
        if taken is not None and f"{taken.__module__}.{taken.__qualname__}" != place:
            rule = f"is already registered by {taken.__module__}.{taken.__qualname__}"
            raise SettingError(f"{self.kind} name", name, rule, remedy="Choose another name")

    def _checked_types(self, name: str, cls: type, given: Iterable[str]) -> dict[str, Any]:
        types, given = field_types(cls), list(given)
        for key in given:
            if key not in types:
                where, rule = f"{self.kind} {name!r}", "has no such field"
                raise SettingError(where, key, rule, remedy=suggest(key, types))
        for field in dataclasses.fields(cls):
            required = field.init and default_of(field) is dataclasses.MISSING
            if required and field.name not in given:
                rule = f"needs {field.name!r}"
                remedy = f"Write {name}:{field.name}=VALUE"
                raise SettingError(f"{self.kind} {name!r}", sorted(given), rule, remedy=remedy)
        return types


def _split_fields(text: str) -> list[str]:
    parts, start, depth, quoted, escaped = list[str](), 0, 0, False, False
    for i, char in enumerate(text):
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    if quoted or depth != 0:
        rule = "must have balanced brackets and quotes"
        raise SettingError("spec", text, rule, remedy='Quote text that contains them: key="a[b"')
    return [*parts, text[start:]]
