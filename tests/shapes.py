"""The run-time check of shapes in annotations; an int may stand for a float.

jaxtyping checks the parameters of a call, and after it the parameters once more with the result.
The letters of shapes are bound by the first check and stay bound, so the second one is left the
result alone: half the time for the same findings.
"""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check what `function` is given, or, where jaxtyping made it for the result, the result."""
    notes = getattr(function, "__annotations__", {})
    if function.__code__.co_filename == "<string>" and _hands_on_its_last(function):
        function.__annotations__ = {"return": notes.get("return", Any)}
    return _check(function)


def _hands_on_its_last(function: Callable[..., Any]) -> bool:
    """Whether a function has a keyword `ret...` that jaxtyping adds for the result."""
    code = function.__code__
    first = code.co_argcount
    return any(
        n.startswith("ret") for n in code.co_varnames[first : first + code.co_kwonlyargcount]
    )
