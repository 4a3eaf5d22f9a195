"""The one family of errors that users see: what is wrong, what was given, what to do.

Every error is also the matching standard type, so `except ValueError` keeps working,
and every message reads `{name} {rule}, got {value!r}. {remedy}.`, in at most `MAX_CHARS`.
"""

from typing import Any

MAX_CHARS = 380  # of a message; with what the command line puts before it, a line has at most 400
GAP = " ... "


class BurnishError(Exception):
    """Something the user can mend; the command line prints it as one sentence.

    `exit_code` is the status that the command line ends with (DESIGN.md, section 4).
    Source: ours.
    """

    exit_code = 2

    def __init__(self, name: str, value: Any, rule: str, *, remedy: str) -> None:
        self.name, self.value, self.rule, self.remedy = name, value, rule, remedy
        super().__init__(_message(name, value, rule, remedy))

    def __str__(self) -> str:  # KeyError and OSError would quote or number the message
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:  # errors cross process borders
        return (_rebuild, (type(self), self.name, self.value, self.rule, self.remedy))


def _message(name: str, value: Any, rule: str, remedy: str) -> str:
    """The sentence, on one line; its longest parts lose their middles until it is short enough."""
    parts = [name, rule, repr(value), remedy.rstrip(".")]
    parts = [" ".join(part.split()) for part in parts]
    room = MAX_CHARS - len(" , got . .")
    while (surplus := sum(map(len, parts)) - room) > 0:
        sizes = sorted(map(len, parts))
        kept = max(sizes[-1] - surplus, sizes[-2], len(GAP) + 2)
        longest = max(range(len(parts)), key=lambda i: len(parts[i]))
        parts[longest] = shortened(parts[longest], min(kept, sizes[-1] - 1))
    end = "" if parts[-1].endswith("?") else "."
    return "{} {}, got {}. {}".format(*parts) + end


def shortened(text: str, size: int) -> str:
    """A text of at most `size` characters: a longer one loses its middle."""
    if len(text) <= size:
        return text
    head = (size - len(GAP) + 1) // 2
    return text[:head] + GAP + text[len(text) - (size - len(GAP) - head) :]


def _rebuild(
    kind: type[BurnishError], name: str, value: Any, rule: str, remedy: str
) -> BurnishError:
    return kind(name, value, rule, remedy=remedy)


class SettingError(BurnishError, ValueError):
    """A setting is outside what it may be."""


class InputError(BurnishError, ValueError):
    """A file, row or task that was given cannot be used; the name says which."""


class UnknownNameError(BurnishError, LookupError):
    """A name that nothing is registered under; the remedy suggests the nearest."""


class MissingFileError(BurnishError, FileNotFoundError):
    """A file or folder that was named does not exist."""


class ModelError(BurnishError, RuntimeError):
    """A model cannot be loaded, or lacks what the command needs of it."""


class MissingExtraError(BurnishError, ImportError):
    """An optional package is not installed; the remedy is the line that installs it."""


class StorageError(BurnishError, OSError):
    """A file could not be written: full disk, no permission."""


class RemoteError(BurnishError, ConnectionError):
    """Another server did not answer, or answered with an error."""


class IncompleteError(BurnishError, RuntimeError):
    """The work ended without the result that was asked for; what was finished is kept."""

    exit_code = 1


class DoesNotFitError(BurnishError, MemoryError):
    """The plan needs more than this machine has; the remedy names a smaller one."""

    exit_code = 3
