"""The tokens of static views: characters, word stems, and code without its names."""

import functools
import keyword
import re
import unicodedata
import zlib
from collections.abc import Callable

import numpy as np
from jaxtyping import Int

CODE = re.compile(r"[^\W\d]\w*|\d+|\S")
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+(?:\.\d+)?|[^\W\d_a-zA-Z]+")
NAME, NUMBER = 1, 2
ENDINGS = ("ations", "ation", "ings", "ing", "edly", "ed", "ies", "es", "s", "ly", "er")
LEAST_STEM = 3
# words that are in most programs and their descriptions, whatever they do
STOP_WORDS = """
def return function let const var for if else while in of the a an to is and or not true false none
null import from self int float double str string list vector std include public static void char
bool args input output
"""
MAX_CACHE = 1 << 20


def plain(text: str) -> str:
    """A text in normal form: NFKC, runs of white space as one space, lower case."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.replace("\ufeff", ""))
    return " ".join(text.split()).lower()


def characters(text: str) -> Int[np.ndarray, " T"]:
    """The characters of `plain(text)` as their code points."""
    data = plain(text).encode("utf-32-le", "replace")
    return np.frombuffer(data, dtype="<u4").astype(np.int64)


class _Known(dict[str, int]):
    """Ids of the words seen so far; a new word gets its own on first use."""

    def __init__(self, make: Callable[[str], int]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, word: str) -> int:
        found = self[word] = self._make(word)
        return found

    def of(self, words: list[str]) -> Int[np.ndarray, " T"]:
        if len(self) > MAX_CACHE:
            self.clear()
        return np.fromiter(map(self.__getitem__, words), np.int64, len(words))


class Coder:
    """Tokens of code: names and numbers are anonymous, Python's keywords and operators stay.

    So a renamed copy has the tokens of its original. Words of other languages count as names.
    Source: token normalisation as in clone detection, e.g. CCFinder (Kamiya et al. 2002).
    Oracle: tests/curate/test_tokens.py::test_renamed_code_has_the_same_tokens
    """

    def __init__(self) -> None:
        self._known = _Known(self._id)
        words = sorted(keyword.kwlist)
        self._fixed = {word: NUMBER + 1 + i for i, word in enumerate(words)}

    def __call__(self, text: str) -> Int[np.ndarray, " T"]:
        """Token ids; never 0."""
        tokens = CODE.findall(text.removeprefix("\ufeff"))
        return self._known.of(tokens)

    def _id(self, token: str) -> int:
        if token in self._fixed:
            return self._fixed[token]
        first = token[0]
        if first.isalpha() or first == "_":
            return NAME
        return NUMBER if first.isdigit() else 1000 + ord(first)


class Stemmer:
    """Stems of a text's words, including words inside names, without the most common ones."""

    def __init__(self) -> None:
        self._known = _Known(self._id)

    def __call__(self, text: str) -> Int[np.ndarray, " T"]:
        """Hashes of the stems; 0 for a word that is left out."""
        words = WORD.findall(text)
        return self._known.of(words)

    @staticmethod
    def _id(word: str) -> int:
        found = stem(word.lower())
        return (
            0 if found in _stop() else zlib.crc32(unicodedata.normalize("NFKC", found).encode()) + 1
        )


@functools.cache
def _stop() -> frozenset[str]:
    return frozenset(STOP_WORDS.split())


def stem(word: str) -> str:
    """A word without its common English ending."""
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= LEAST_STEM:
            return word[: -len(ending)]
    return word
