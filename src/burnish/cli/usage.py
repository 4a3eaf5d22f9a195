"""Wrong use of the command line as one sentence with a suggestion."""

import re
import sys
from typing import Any

import typer

from burnish.base.errors import BurnishError, SettingError, UnknownNameError
from burnish.base.naming import suggest

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # typer exports only its subclass


def as_one_sentence(error: Any) -> BurnishError:
    """The error of the parser as one of ours."""
    context = error.ctx
    where = context.command_path if context is not None else "burnish"
    known = {} if context is None else getattr(context.command, "commands", {})
    message = error.format_message()
    if context is not None and hasattr(error, "possibilities"):
        return _unknown_option(error.option_name, context.command)
    if known and (found := re.match(r"No such command '(.*?)'", message)):
        return UnknownNameError(
            "command", found[1], "is not known", remedy=suggest(found[1], known)
        )
    param, remedy = getattr(error, "param", None), f"See `{where} --help`"
    if param is None:
        return SettingError("command line", message.rstrip("."), "is not valid", remedy=remedy)
    is_option = param.param_type_name == "option"
    name = f"option {param.opts[0]}" if is_option else f"argument {param.name.upper()}"
    if hasattr(error, "param_type"):
        return SettingError(name, None, "must be given", remedy=remedy)
    reason = error.message.rstrip(".")
    return SettingError(name, _given(param.opts), f"is not valid ({reason})", remedy=remedy)


def is_help(error: Exception) -> bool:
    """Whether a group was called without a command, which prints its help."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _given(options: list[str]) -> str:
    """What was written after one of the options; the parser does not tell."""
    words = [part for word in sys.argv[1:] for part in word.split("=", 1)]
    places = [index for index, word in enumerate(words[:-1]) if word in options]
    return words[places[-1] + 1] if places else " ".join(sys.argv[1:])


def _unknown_option(name: str, command: Any) -> BurnishError:
    options = [word for param in command.params for word in param.opts if word.startswith("--")]
    remedy = suggest(name, [*options, "--help"])
    if "--set" in options:
        remedy += "; other settings are written --set NAME=VALUE"
    return UnknownNameError("option", name, "is not known", remedy=remedy)
