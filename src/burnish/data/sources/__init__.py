"""Where tasks come from, written as a spec: a file, `gsm8k:PATH`, `reasoning-gym:NAME?size=500`.

Grammar of a spec: `kind:rest`, where `rest` belongs to the kind, or the path of a file.
Options follow a `?` as in a URL: `reasoning-gym:chain_sum?size=500&min_terms=2&max_terms=3`.
"""

from typing import Protocol

from burnish.base.errors import InputError, MissingFileError, SettingError, UnknownNameError
from burnish.base.records import existing_file
from burnish.base.registry import Registry, suggest
from burnish.contracts.task import Task


class Source(Protocol):
    """A place that tasks come from; the same seed gives the same tasks."""

    @classmethod
    def from_text(cls, text: str) -> "Source":
        """Read what follows `kind:` in a spec."""
        ...

    def load(self, seed: int) -> list[Task]:
        """All tasks of the source, each once."""
        ...


sources: Registry[Source] = Registry("source", "burnish.data.sources")


def parse_source(spec: str) -> Source:
    """Return the source that a spec describes.

    Raises: UnknownNameError; MissingFileError, for what is neither a kind nor a file; SettingError.
    """
    kind, colon, rest = spec.partition(":")
    if colon and kind in sources.names():
        return sources.get(kind).from_text(rest)
    if colon and not any(c in kind for c in "./\\") and len(kind) > 1:
        remedy = suggest(kind, sources.names()) + "; or name a file"
        raise UnknownNameError("source", kind, "is not registered", remedy=remedy)
    if not colon and kind in sources.names():
        remedy = f"Write {kind}:NAME, or ./{kind} for a file of that name"
        raise SettingError("source", spec, "must say which", remedy=remedy)
    try:
        existing_file(spec)
    except MissingFileError as error:
        remedy = f"{error.remedy}. Or write {', '.join(f'{n}:...' for n in sources.names())}"
        raise MissingFileError("tasks", spec, "must be a file or a source", remedy=remedy) from None
    return sources.get("file").from_text(spec)


def load_tasks(spec: str, *, seed: int, limit: int | None = None) -> list[Task]:
    """Return the tasks of a source, each once by content id, at most `limit` of them.

    There may be fewer than a spec asks for where the source holds no more distinct ones; the
    caller sees it by the length.
    Raises: as `parse_source`; InputError, naming `path:line`, for rows that make no task.
    """
    if limit is not None and limit < 1:
        raise SettingError("limit", limit, "must be at least 1", remedy="Leave it out for all")
    tasks = parse_source(spec).load(seed)
    if not tasks:
        rule = "must contain at least one task"
        raise InputError("tasks", spec, rule, remedy="Name another source")
    return tasks[:limit]
