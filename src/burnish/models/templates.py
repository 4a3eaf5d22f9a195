"""Chat templates, rendered in jinja's sandbox with the variables that transformers provides."""

import functools
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any


def render(template: str, messages: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> str:
    """The text of a conversation; `given` are further names that the template may use.

    Raises: jinja2.TemplateError, where the template is none or refuses the messages.
    Source: transformers, `render_jinja_template`.
    Oracle: tests/models/test_quick.py::test_conversations_are_rendered_as_transformers_does
    """
    compiled = _compiled(template)
    return compiled.render(messages=list(messages), tools=None, documents=None, **given)


@functools.lru_cache(maxsize=8)
def _compiled(template: str) -> Any:
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(template)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As transformers writes it: jinja's own filter escapes what HTML would read."""
    options: dict[str, Any] = {"indent": indent, "separators": separators, "sort_keys": sort_keys}
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _refuse(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)
