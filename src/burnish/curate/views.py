"""Static views: each compares rows with references of the benchmark's items by shared n-grams."""

import ast
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from burnish.curate.grams import GramIndex, Stream
from burnish.curate.tokens import Coder, Stemmer, characters
from burnish.curate.translate import TARGETS, translate
from burnish.data.benchmarks import BenchmarkItem

Tokenize = Callable[[str], Int[np.ndarray, " T"]]
PROMPT = "prompt"  # the kind of a reference that is no code
LEAST_GRAMS = 8  # a reference of fewer says nothing
CODE = re.compile(r"^\s*(?:def|class|import|from|function|public|#include|const|let|var)\b", re.M)


@dataclass(frozen=True)
class View:
    """A way of tokenizing texts, its references, and the item of each reference.

    `kinds[r]` says what a reference is: prompt, solution, or a language that it is translated to.
    """

    name: str
    length: int
    tokenize: Tokenize
    owners: Int[np.ndarray, " E"]
    kinds: tuple[str, ...]
    index: GramIndex

    @classmethod
    def of(
        cls,
        name: str,
        length: int,
        tokenize: Tokenize,
        references: Iterable[tuple[int, str, str]],
    ) -> "View":
        """A view of (item, kind, text); references of too few distinct grams are left out."""
        found = [(item, kind, tokenize(text)) for item, kind, text in references if text.strip()]
        streams = Stream.of([tokens for _, _, tokens in found])
        sizes = GramIndex({length: streams}, len(found)).sizes
        kept = [one for one, size in zip(found, sizes, strict=True) if size >= LEAST_GRAMS]
        index = GramIndex({length: Stream.of([t for _, _, t in kept])}, len(kept))
        owners = np.array([item for item, _, _ in kept], dtype=np.int64)
        return cls(name, length, tokenize, owners, tuple(kind for _, kind, _ in kept), index)

    def match(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Distinct pairs (text, gram) that some reference has."""
        return self.index.match(Stream.of([self.tokenize(text) for text in texts]))


def static_views(items: Sequence[BenchmarkItem]) -> list[View]:
    """The three static views of a benchmark.

    `characters`: 5-grams of the prompt, white space and case apart. `words`: stems of the prompt's
    words. `code`: 5-grams of the solution, names and numbers apart, in Python and, for leaks into
    other languages, translated by `translate`.
    Source: character containment and masked code after `docs/papers/xcoder.md`; ours.
    Oracle: tests/curate/test_views.py::test_shares_equal_brute_force
    """
    known = list(references(items))
    prompts = [one for one in known if one[1] == PROMPT]
    return [
        View.of("characters", 5, characters, prompts),
        View.of("words", 1, Stemmer(), prompts),
        View.of("code", 5, Coder(), [one for one in known if one[1] != PROMPT]),
    ]


def references(items: Sequence[BenchmarkItem]) -> Iterable[tuple[int, str, str]]:
    """What rows are compared with: (item, kind, text) of prompts, solutions and translations."""
    for i, item in enumerate(items):
        yield i, PROMPT, item.prompt
        whole = whole_solution(item)
        yield i, "python", whole
        for target in TARGETS:
            yield i, target, translate(whole, target)


def whole_solution(item: BenchmarkItem) -> str:
    """The reference solution, after its prompt if that begins the program; "" if not code."""
    whole = item.solution if parses(item.solution) else item.prompt + item.solution
    return whole if CODE.search(whole) else ""


def parses(code: str) -> bool:
    """Whether a text is Python that defines something."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return any(isinstance(node, kinds) for node in tree.body)
