"""Which texts may reach those scorers of reasoning-gym that run the answer as Python.

Some scorers call `eval` or sympy's `parse_expr` (which evaluates too) on the model's text. A model
may write anything, so only texts of a small grammar, without calls other than of named functions
and without numbers that grow beyond reach, are passed on. `Integral(...)` is left out on purpose:
the problem written down again would score as its own solution.
"""

import math
import re

MAX_LITERAL_CHARS = 4000
MAX_EXPRESSION_CHARS = 400
MAX_POWER = 1000

# scorer -> grammar; found by reading reasoning-gym 0.1.19, and again by a test
GRAMMARS = {
    "binary_matrix": "literal",
    "n_queens": "literal",
    "spiral_matrix": "literal",
    "string_insertion": "literal",
    "countdown": "arithmetic",
    "puzzle24": "arithmetic",
    "intermediate_integration": "expression",
    "polynomial_multiplication": "expression",
    "simple_integration": "expression",
}
_TRIGONOMETRIC = {"sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan"}
_FUNCTIONS = _TRIGONOMETRIC | {
    "sinh",
    "cosh",
    "tanh",
    "exp",
    "log",
    "ln",
    "sqrt",
    "abs",
    "Abs",
    "pi",
}
_LITERAL = re.compile(r"[0-9A-Za-z_\s\[\],'\".+-]*+")
_ARITHMETIC = re.compile(r"[0-9+\-*/().\s]*+")
_EXPRESSION = re.compile(r"[0-9A-Za-z+\-*/^().\s]*+")
_EXPONENT = re.compile(
    r"\s*(?:-?\s*([0-9]{1,2})(?![0-9.])|[A-Za-z]\b|\(\s*-?\s*([0-9]{1,2})(?:\s*/\s*[0-9]{1,3})?\s*\))"
)


def is_harmless(dataset: str, answer: str) -> bool:
    """Whether `answer` may be given to the scorer of `dataset`.

    True for every text where the scorer does not evaluate it.
    Source: ours.
    Oracle: tests/data/test_grammar.py::test_no_planted_program_runs
    """
    match GRAMMARS.get(dataset):
        case None:
            return True
        case "literal":
            return len(answer) <= MAX_LITERAL_CHARS and bool(_LITERAL.fullmatch(answer))
        case "arithmetic":
            short = len(answer) <= MAX_EXPRESSION_CHARS and "**" not in answer
            return short and bool(_ARITHMETIC.fullmatch(answer))
        case _:
            return _is_expression(answer)


def _is_expression(answer: str) -> bool:
    if len(answer) > MAX_EXPRESSION_CHARS or not _EXPRESSION.fullmatch(answer):
        return False
    words = re.findall(r"[A-Za-z]+", answer)
    if not all(len(word) == 1 or word in _FUNCTIONS for word in words):
        return False
    return not re.search(r"\.\s*[A-Za-z]", answer) and _power_bound(answer) <= MAX_POWER


def _power_bound(answer: str) -> float:
    """The largest power that nested exponents could reach; infinity for towers of them."""
    nested, single = 1, 1
    for match in re.finditer(r"\*\*", answer):
        exponent = _EXPONENT.match(answer, match.end())
        if exponent is None or answer[exponent.end() :].lstrip().startswith("**"):
            return math.inf
        power = int(exponent[1] or exponent[2] or 1)
        if answer[: match.start()].rstrip().endswith(")"):
            nested *= max(power, 1)
        single = max(single, power)
    return nested * single
