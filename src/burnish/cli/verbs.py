"""A command is one function that returns an `Outcome`: the shell prints it, Python gets its result.

`Commands.command` registers the function for the shell, and gives back what `burnish.GROUP.VERB`
calls: the same arguments under the same names, and what `--json` prints.
"""

import functools
import inspect
import json
import keyword
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

import typer

from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.naming import suggest
from burnish.cli.options import AsJson, called_as, show_result

Function = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command did.

    `text` makes what a terminal shows of a result without a page; `show` prints it instead.
    `notes` are lines for stderr, whatever is printed on stdout. `check` raises where the result
    is shown and yet is an error.
    """

    result: Mapping[str, Any]
    text: Callable[[], str] | None = None
    show: Callable[[], None] | None = None
    next_command: str = ""
    exit_code: int = 0
    notes: tuple[str, ...] = ()
    check: Callable[[], None] | None = None


class Commands:
    """The commands of a group, or those of the first level where `group` is empty."""

    def __init__(self, group: str = "", *, help: str = "", more: "Commands | None" = None) -> None:
        self.group = group
        self.verbs: dict[str, Function] = {}
        self.app = typer.Typer()
        if group:
            self.app = typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None)
        if more is not None:
            self.app.add_typer(more.app)
            self.verbs |= more.verbs

    def command(self, name: str = "") -> Callable[[Function], Function]:
        """Make a function a command of the shell and a verb of Python."""

        def register(function: Function) -> Function:
            verb = name or function.__name__
            self.app.command(verb)(_for_shell(function))
            words = ("burnish", self.group, verb)
            self.verbs[verb] = _for_python(function, ".".join(filter(None, words)))
            return self.verbs[verb]

        return register


def _for_shell(function: Function) -> Function:
    """The function with `--json`, whose outcome is printed and becomes the exit status."""
    signature = inspect.signature(function)
    if signature.return_annotation is not Outcome:
        return function

    @functools.wraps(function)
    def command(as_json: bool, **given: Any) -> None:
        outcome: Outcome = function(**given)
        for line in outcome.notes:
            print(line, file=sys.stderr)
        if outcome.show is not None and not as_json:
            outcome.show()
        else:
            show_result(
                outcome.result,
                as_json=as_json,
                next_command=outcome.next_command,
                text=outcome.text,
            )
        if outcome.check is not None:
            outcome.check()
        raise typer.Exit(outcome.exit_code)

    kind = inspect.Parameter.KEYWORD_ONLY
    last = inspect.Parameter("as_json", kind, default=False, annotation=AsJson)
    parameters = [p.replace(kind=kind) for p in signature.parameters.values()]
    shown = signature.replace(parameters=[*parameters, last], return_annotation=None)
    command.__signature__ = shown  # pyright: ignore[reportAttributeAccessIssue] - typer reads it
    command.__annotations__ = {p.name: p.annotation for p in shown.parameters.values()}
    return command


def _for_python(function: Function, name: str) -> Function:
    """The function as Python calls it: checked arguments in, the result out.

    Source: ours. Oracle: tests/cli/test_verbs.py::test_python_returns_what_json_prints
    """
    parameters = inspect.signature(function).parameters
    shown = python_signature(function)
    names = {word: p.name for p in parameters.values() for word in keyword_names(p)}

    @functools.wraps(function)
    def verb(*args: Any, **kwargs: Any) -> dict[str, Any] | None:
        for word in kwargs:
            if word not in names:
                raise UnknownNameError(
                    f"argument of {name}", word, "is not known", remedy=suggest(word, names)
                )
        named = {names[word]: value for word, value in kwargs.items()}
        if len(named) < len(kwargs):
            raise TypeError(f"{name}() got two names of one argument: {', '.join(kwargs)}")
        bound = shown.bind(*args, **named)
        given = {p: _taken(p, v, parameters[p].annotation) for p, v in bound.arguments.items()}
        words = [repr(value) for value in args] + [f"{k}={v!r}" for k, v in kwargs.items()]
        token = called_as.set(f"{name}({', '.join(words)})")
        try:
            outcome = function(**given)
        finally:
            called_as.reset(token)
        if outcome is None:
            return None
        if outcome.check is not None:
            outcome.check()
        return {key: value for key, value in outcome.result.items() if key != "page"}

    verb.__name__, verb.__qualname__ = name.rpartition(".")[2], name.removeprefix("burnish.")
    verb.__signature__ = shown  # pyright: ignore[reportAttributeAccessIssue] - `inspect` reads it
    verb.__annotations__ = {p.name: p.annotation for p in shown.parameters.values()}
    return verb


def python_signature(function: Function) -> inspect.Signature:
    """What Python shows of a command: arguments by place, options by name, plain types."""
    signature = inspect.signature(function)
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [
        p.replace(kind=kinds[is_argument(p)], annotation=announced(p.annotation))
        for p in signature.parameters.values()
    ]
    result = dict[str, Any] if signature.return_annotation is Outcome else None
    ordered = sorted(parameters, key=lambda p: p.kind)
    return signature.replace(parameters=ordered, return_annotation=result)


def is_argument(parameter: inspect.Parameter) -> bool:
    """Whether the shell knows a parameter by its place."""
    return isinstance(parameter_info(parameter), typer.models.ArgumentInfo)


def parameter_info(parameter: inspect.Parameter) -> Any:
    """What typer is told of a parameter; None where it is told nothing."""
    return next(iter(getattr(parameter.annotation, "__metadata__", ())), None)


def keyword_names(parameter: inspect.Parameter) -> list[str]:
    """The names of a parameter in Python: those of its option, with a line for each dash.

    A name that Python keeps for itself has a line behind it: `from_`.
    """
    info = parameter_info(parameter)
    declared = [] if info is None or is_argument(parameter) else [info.default, *_words(info)]
    words = [word.partition("/")[0].strip("-") for word in declared if isinstance(word, str)]
    names = [word.replace("-", "_") for word in words] or [parameter.name]
    return [f"{name}_" if keyword.iskeyword(name) else name for name in names]


def _words(info: Any) -> tuple[str, ...]:
    return tuple(info.param_decls or ())


def announced(annotation: Any) -> Any:
    """The type that Python is shown: what the shell reads of a word is left out."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _taken(name: str, value: Any, annotation: Any) -> Any:
    """A value as the function takes it. Raises SettingError where the type does not fit."""
    from burnish.base.coercion import coerce_value

    wanted = announced(annotation)
    kinds = [get_origin(part) or part for part in (wanted, *get_args(wanted))]
    if list in kinds and value is not None:
        if isinstance(value, Mapping):  # of `set`: settings by their names
            value = [f"{key}={_written(inner)}" for key, inner in value.items()]
        several = isinstance(value, list | tuple)
        value = [_worded(one) for one in (value if several else [value])]
    elif str in kinds:
        value = _worded(value)
    try:
        return coerce_value(f"argument {name}", value, wanted)
    except SettingError as error:
        raise SettingError(error.name, value, error.rule, remedy=error.remedy) from None


def _worded(value: Any) -> Any:
    """A number or a path as the shell would be given it."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if number or isinstance(value, os.PathLike) else value


def _written(value: Any) -> str:
    if isinstance(value, str | os.PathLike):
        return str(value)
    try:
        return json.dumps(value)
    except TypeError:
        remedy = "Give JSON values: numbers, strings, true, null, lists, maps"
        rule = "must contain JSON values"
        raise SettingError("argument set", value, rule, remedy=remedy) from None
