"""The one family of errors that users see: what is wrong, what was given, what to do.

Every error is also the matching standard type, so `except ValueError` keeps working,
and every message reads `{name} {rule}, got {value!r}. {remedy}.`
"""

from typing import Any


class BurnishError(Exception):
    """Something the user can mend; the command line prints it as one sentence.

    `exit_code` is the status that the command line ends with (DESIGN.md, section 4).
    Source: ours.
    """

    exit_code = 2

    def __init__(self, name: str, value: Any, rule: str, *, remedy: str) -> None:
        self.name, self.value, self.rule, self.remedy = name, value, rule, remedy
        super().__init__(f"{name} {rule}, got {value!r}. {remedy.rstrip('.')}.")

    def __str__(self) -> str:  # KeyError and OSError would quote or number the message
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:  # errors cross process borders
        return (_rebuild, (type(self), self.name, self.value, self.rule, self.remedy))


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
