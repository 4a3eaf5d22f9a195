"""Programming languages: how each is found, compiled and run. One file each, found by name."""

import functools

from burnish.base.errors import UnknownNameError
from burnish.base.naming import suggest
from burnish.base.registry import Registry
from burnish.sandbox.languages.language import Language

languages: Registry[Language] = Registry("language", "burnish.sandbox.languages")


@functools.cache
def find_language(spec: str) -> Language:
    """The language of a spec (`cpp:standard=c++20`), an alias (`c++`) or an extension (`.rs`).

    Raises: UnknownNameError; SettingError, for a field that the language does not have.
    """
    name, colon, rest = spec.strip().partition(":")
    named = _aliases().get(name.lower().lstrip("."))
    if named is None:
        remedy = suggest(name, languages.names())
        raise UnknownNameError("language", spec, "is not known", remedy=remedy)
    return languages.parse(named + colon + rest)


def language_name(language: Language) -> str:
    """The registered name of a language."""
    return languages.name_of(language)


def _aliases() -> dict[str, str]:
    found = {}
    for name in languages.names():
        cls = languages.get(name)
        for alias in (name, *cls.aliases, *(e.lstrip(".") for e in cls.extensions)):
            found.setdefault(alias.lower(), name)
    return found
