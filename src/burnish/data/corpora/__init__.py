"""Texts to be remembered, written as a spec: `stdlib`, `austen`, `kjv`, `hub:name=...`, a path."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from burnish.base.canonical import content_hash
from burnish.base.errors import MissingFileError
from burnish.base.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Document:
    """One text of a corpus; `read` loads it when it is needed."""

    name: str
    read: Callable[[], str]


@runtime_checkable
class Corpus(Protocol):
    """A collection of texts, always in the same order."""

    def documents(self) -> Sequence[Document]:
        """Every text, each with a name. Raises MissingFileError or InputError."""
        ...


corpora: Registry[Corpus] = Registry("corpus", "burnish.data.corpora")


def parse_corpus(spec: str) -> Corpus:
    """The corpus of a spec; what is no registered name is the path of a file or folder.

    Raises UnknownNameError, SettingError, and MissingFileError for a path that is not there.
    """
    name = spec.partition(":")[0]
    if name in corpora.names():
        return corpora.parse(spec)
    if Path(spec).exists():
        return corpora.build("files", path=spec)
    if any(c in spec for c in "/\\."):
        remedy = f"Name a file or folder, or one of {', '.join(corpora.names())}"
        raise MissingFileError("corpus", spec, "does not exist", remedy=remedy)
    return corpora.parse(spec)  # says which names there are


def corpus_key(spec: str) -> str:
    """Hash of a corpus's texts, by which runs know whether it has changed.

    Raises what `parse_corpus` and reading raise.
    Source: ours. Oracle: tests/data/test_corpora.py::test_a_key_is_that_of_the_texts
    """
    return content_hash([(one.name, one.read()) for one in parse_corpus(spec).documents()])
