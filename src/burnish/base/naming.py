"""Did-you-mean: suggestions for an unknown name."""

import difflib
from collections.abc import Iterable

MAX_LISTED = 20


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a remedy for an unknown name: the nearest known one, and the list of all.

    A long list is left out where a name is near.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near and len(names) > MAX_LISTED:
        return f"Did you mean {near[0]!r}?"
    listed = ", ".join(names[:MAX_LISTED]) or "none"
    if len(names) > MAX_LISTED:
        listed += f" and {len(names) - MAX_LISTED} more"
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Known: {listed}"
