"""Errors of the sandbox that are not the program's."""

from burnish.base.errors import BurnishError


class IsolationError(BurnishError, RuntimeError):
    """The isolation that was asked for is not available on this machine; nothing was run."""

    exit_code = 3
