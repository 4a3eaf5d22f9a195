"""Expressions by recursive descent: tokens in, a tree of tuples out. Nothing is evaluated."""

import itertools
from collections.abc import Sequence
from typing import Any

from burnish.data.math.descent import CONSTANTS, FUNCTIONS, Parser, Tree
from burnish.data.math.primaries import primary
from burnish.data.math.tokens import Token, Unreadable, tokenize


def parse(tokens: Sequence[Token]) -> Tree:
    """The tree of an expression.

    Raises: Unreadable, for anything that is no expression from its first token to its last.
    Source: ours. Linear but for the depth, which is bounded.
    Oracle: tests/data/test_expressions.py::test_planted_values
    """
    if any(_is_word(a) and _is_word(b) for a, b in itertools.pairwise(tokens)):
        raise Unreadable("words stand side by side")
    parser = Parser(tokens, primary)
    tree = parser.sum()
    if parser.at < len(parser.tokens):
        raise Unreadable(f"{parser.tokens[parser.at].text!r} does not belong to an expression")
    return tree


def read_expression(text: str) -> Tree:
    """The tree of an expression as text. Raises: Unreadable."""
    return parse(tokenize(text))


def _is_word(token: Token) -> bool:
    known = token.text in FUNCTIONS or token.text in CONSTANTS
    return token.kind == "word" and len(token.text) > 1 and not known


def variables(tree: Any) -> set[str]:
    """Names of the free variables of a tree."""
    if not isinstance(tree, tuple) or not tree:
        return set()
    if tree[0] == "var":
        return {tree[1]}
    if tree[0] == "big":
        inner = variables(tree[5]) - {tree[2]}
        return inner | variables(tree[3]) | variables(tree[4])
    found: set[str] = set()
    for part in tree:
        if isinstance(part, tuple):
            found |= variables(part)
    return found
