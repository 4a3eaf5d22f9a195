"""Which of several processes this one is, from the environment that torchrun sets."""

import os

from burnish.base.errors import SettingError


def rank() -> int:
    """This process's number among all, from 0; 0 without torchrun.

    Raises SettingError where `RANK` or `WORLD_SIZE` is not what torchrun sets.
    """
    value, size = _whole("RANK", 0), world_size()
    if not 0 <= value < size:
        remedy = "Start with torchrun, or unset both"
        raise SettingError("RANK", value, f"must lie below WORLD_SIZE={size}", remedy=remedy)
    return value


def world_size() -> int:
    """How many processes work together; 1 without torchrun. Raises SettingError."""
    size = _whole("WORLD_SIZE", 1)
    if size < 1:
        raise SettingError("WORLD_SIZE", size, "must be at least 1", remedy="Start with torchrun")
    return size


def is_main() -> bool:
    """True in the one process that writes files and speaks. Raises SettingError."""
    return rank() == 0


def _whole(name: str, default: int) -> int:
    text = os.environ.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError as error:
        remedy = "Start with torchrun, or unset it"
        raise SettingError(name, text, "must be a whole number", remedy=remedy) from error
