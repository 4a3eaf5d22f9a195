"""Parsing any of our languages with its tree-sitter grammar."""

import ctypes
import functools
import importlib
from typing import TYPE_CHECKING, Any

from burnish.base.errors import MissingExtraError, SettingError
from burnish.sandbox.languages import find_language, language_name

if TYPE_CHECKING:
    from tree_sitter import Node, Parser, Tree


def has_grammar(language: str) -> bool:
    """Whether a language has a tree-sitter grammar that installs; R has none."""
    return bool(find_language(language).grammar)


def parse(code: str, language: str) -> "Tree":
    """The concrete syntax tree; what does not parse stands in it as ERROR nodes.

    Raises: SettingError, for a language without a grammar; MissingExtraError, without its wheel.
    """
    return _parser(language_name(find_language(language))).parse(code.encode(errors="replace"))


def error_frac(tree: "Tree") -> float:
    """The fraction of bytes in ERROR nodes, and a little for each token that is missing."""
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


def text_of(node: "Node") -> str:
    """The source text of a node."""
    return (node.text or b"").decode(errors="replace")


@functools.cache
def _parser(name: str) -> "Parser":
    module, _, function = find_language(name).grammar.partition(":")
    if not module:
        remedy = "Choose a language with a grammar"
        raise SettingError("language", name, "has no tree-sitter grammar", remedy=remedy)
    try:
        from tree_sitter import Language, Parser

        pointer = getattr(importlib.import_module(module), function)()
    except ImportError as error:
        rule, remedy = "is not installed", "pip install 'burnish[sandbox]'"
        raise MissingExtraError(f"grammar of {name}", error.name, rule, remedy=remedy) from error
    return Parser(Language(_capsule(pointer) if isinstance(pointer, int) else pointer))


def _capsule(pointer: int) -> Any:
    """The form that tree-sitter asks for, of the plain address that older wheels (Perl's) give."""
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = (
        ctypes.py_object,
        (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p),
    )
    return make(pointer, b"tree_sitter.Language", None)
