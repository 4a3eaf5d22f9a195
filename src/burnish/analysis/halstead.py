"""Halstead's measures and the maintainability index."""

import math
from collections import Counter
from typing import TYPE_CHECKING

from burnish.analysis.roles import Roles
from burnish.analysis.schema import Halstead
from burnish.sandbox.syntax import text_of

if TYPE_CHECKING:
    from tree_sitter import Node

_ATOMS = ("string", "char", "regex", "rune", "raw_text", "heredoc", "template")
_WORDS = ("identifier", "name", "number", "integer", "float", "literal", "constant", "true",
          "false", "null", "nil", "none", "undefined", "this", "self", "super", "bareword",
          "word", "variable")  # fmt: skip


def halstead_of(counts: tuple[int, int, int, int]) -> Halstead:
    """Halstead's measures of distinct operators and operands, and all operators and operands.

    V = N log2 n, D = h1/2 N2/h2, E = D V, T = E/18 s, B = V/3000.
    Source: Halstead 1977, as radon and the paper's Fig. 4 compute them.
    Oracle: tests/analysis/test_figures.py::test_halstead_values_of_figure_4
    """
    h1, h2, num_operators, num_operands = counts
    vocabulary, length = h1 + h2, num_operators + num_operands
    volume = length * math.log2(vocabulary) if vocabulary else 0.0
    difficulty = h1 / 2 * num_operands / h2 if h2 else 0.0
    calculated = sum(h * math.log2(h) for h in (h1, h2) if h)
    effort = difficulty * volume
    return Halstead(
        h1=h1, h2=h2, N1=num_operators, N2=num_operands, vocabulary=vocabulary, length=length,
        calculated_length=calculated, volume=volume, difficulty=difficulty, effort=effort,
        time_s=effort / 18, bugs=volume / 3000,
    )  # fmt: skip


def count_tokens(root: "Node", roles: Roles) -> tuple[int, int, int, int]:
    """Operators and operands by the tokens of the tree: names and literals are operands.

    Closing brackets are not counted: they belong to the opening one.
    Source: ours, after the usual token rules; each tool counts differently.
    """
    operators: Counter[str] = Counter()
    operands: Counter[str] = Counter()
    stack = [root]
    while stack:
        node = stack.pop()
        if node.type in roles.comments:
            continue
        if node.is_named and (not node.child_count or _is_atom(node)):
            (operands if _is_operand(node) else operators)[text_of(node)] += 1
        elif not node.child_count:
            if node.type not in {")", "]", "}"}:
                operators[node.type] += 1
        else:
            stack.extend(node.children)
    return len(operators), len(operands), operators.total(), operands.total()


def maintainability_index(
    volume: float, complexity: int, num_code_lines: int, comment_frac: float
) -> float:
    """0 (unmaintainable) to 100: under 10 red, under 20 yellow.

    max(0, 100 (171 - 5.2 ln V - 0.23 G - 16.2 ln L + 50 sin sqrt(2.46 C)) / 171) with C the
    comments' share, in radians of its percentage.
    Source: radon's definition; the paper prints the bands, and a value that radon does not give.
    Oracle: tests/analysis/test_basic.py::test_maintainability_is_radons
    """
    if volume <= 0 or num_code_lines <= 0:
        return 100.0
    comments = 50 * math.sin(math.sqrt(2.46 * math.radians(100 * comment_frac)))
    value = 171 - 5.2 * math.log(volume) - 0.23 * complexity - 16.2 * math.log(num_code_lines)
    return min(max(0.0, 100 * (value + comments) / 171), 100.0)


def _is_atom(node: "Node") -> bool:
    return any(part in node.type for part in _ATOMS) and "interpol" not in str(node)


def _is_operand(node: "Node") -> bool:
    return _is_atom(node) or any(part in node.type for part in _WORDS)
