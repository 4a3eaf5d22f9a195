"""Parsing any of our languages with its tree-sitter grammar."""

import ctypes
import functools
import importlib
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from burnish.base.errors import InputError, MissingExtraError, SettingError
from burnish.sandbox.languages import find_language, language_name

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Tree

LEAST_STEPS, BYTES_A_STEP = 300, 8  # a step is some hundred actions of the parser
CHUNK_BYTES = 1 << 12


def has_grammar(language: str) -> bool:
    """Whether a language has a tree-sitter grammar that installs; R has none."""
    return bool(find_language(language).grammar)


def parse(code: str, language: str) -> "Tree":
    """The concrete syntax tree, with ERROR nodes for what does not parse.

    Grammars can go round in circles on texts of another language (TypeScript's on some of R), so
    the work is tried first and bounded: five times and more what programs need, counted, not timed.
    Raises: SettingError, for a language without a grammar; MissingExtraError, without its wheel;
    InputError, where the grammar comes to no end.
    Source: tree-sitter; the bound is ours.
    Oracle: tests/sandbox/test_syntax.py::test_a_grammar_that_goes_in_circles_is_stopped
    """
    name = language_name(find_language(language))
    grammar, source = _grammar(name), code.encode(errors="replace")
    if not _comes_to_an_end(grammar, source):
        remedy, rule = "Name another language", f"cannot be parsed as {name}"
        raise InputError("code", code[:40], rule, remedy=remedy)
    from tree_sitter import Parser

    return Parser(grammar).parse(source)


def _comes_to_an_end(grammar: "Language", source: bytes) -> bool:
    """Parse once with a count of the steps, which only a reading callback allows."""
    from tree_sitter import Parser

    most, steps = LEAST_STEPS + len(source) // BYTES_A_STEP, 0
    given: list[bytes] = []
    view = memoryview(source)  # a slice of all of `source` would be `source` itself

    def read(at: int, _: object) -> bytes:
        given.append(bytes(view[at : at + CHUNK_BYTES]))
        return given[-1]

    def is_too_much(*_: object) -> bool:
        nonlocal steps
        steps += 1
        return steps > most

    try:
        Parser(grammar).parse(read, progress_callback=is_too_much)
        return True
    except ValueError:
        return False
    finally:
        _let_go(given)


def _let_go(given: list[bytes]) -> None:
    """Drop the references that py-tree-sitter (0.25, 0.26) keeps of what it read.

    It never gives them back: of a C file, Perl's grammar kept 260 MB. They are counted, so that
    nothing is dropped where nothing is kept. What has one byte or none belongs to Python.
    """
    usual = max(sys.getrefcount(one) for one in [bytes(2)])  # held by a list and a name, as below
    for one in given:
        for _ in range(sys.getrefcount(one) - usual if len(one) > 1 else 0):
            ctypes.pythonapi.Py_DecRef(ctypes.py_object(one))


def error_frac(tree: "Tree") -> float:
    """The fraction of bytes in ERROR nodes, plus a little for each missing token."""
    root = tree.root_node
    if not root.has_error:
        return 0.0
    num_bytes, stack = 0, [root]
    while stack:
        node = stack.pop()
        if node.is_error:
            num_bytes += max(node.end_byte - node.start_byte, 1)
        elif node.is_missing:
            num_bytes += 1
        elif node.has_error:
            stack.extend(node.children)
    return min(num_bytes / max(root.end_byte, 1), 1.0)


def count_nodes(tree: "Tree", kinds: Collection[str]) -> int:
    """How many nodes of these kinds a tree has, without those that lack a token of their own.

    Raises: SettingError, for a kind that the grammar does not have.
    """
    from tree_sitter import Query, QueryCursor, QueryError

    try:
        query = Query(tree.language, f"[{' '.join(f'({kind})' for kind in kinds)}] @found")
    except QueryError as error:
        remedy = "Name nodes of its grammar"
        raise SettingError("kinds", sorted(kinds), f"must exist ({error})", remedy=remedy) from None
    found = QueryCursor(query).captures(tree.root_node).get("found", ())
    return sum(not any(child.is_missing for child in node.children) for node in found)


def text_of(node: "Node") -> str:
    """The source text of a node."""
    return (node.text or b"").decode(errors="replace")


@functools.cache
def _grammar(name: str) -> "Language":
    module, _, function = find_language(name).grammar.partition(":")
    if not module:
        remedy = "Choose a language with a grammar"
        raise SettingError("language", name, "has no tree-sitter grammar", remedy=remedy)
    try:
        from tree_sitter import Language

        pointer = getattr(importlib.import_module(module), function)()
    except ImportError as error:
        rule, remedy = "is not installed", "pip install 'burnish[sandbox]'"
        raise MissingExtraError(f"grammar of {name}", error.name, rule, remedy=remedy) from error
    return Language(_capsule(pointer) if isinstance(pointer, int) else pointer)


def _capsule(pointer: int) -> Any:
    """The form that tree-sitter asks for, of the plain address that older wheels (Perl's) give."""
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = (
        ctypes.py_object,
        (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p),
    )
    return make(pointer, b"tree_sitter.Language", None)
