r"""Answers with their type: number, quantity, set, tuple, interval, equation, text and so on.

Every answer has one key, and two answers are the same exactly when their keys are. Which written
forms share a key: `{1,2}`, `1, 2` and `x=1 or x=2`; `x<3` and `(-\infty,3)`; `(1,2)` and `1<x<2`;
`x=5`, `5` and `5 apples`; `50%` and `1/2`; `75 cents` and `$0.75`. Names of unknowns do not count
where the unknown is solved for. A quantity with a unit is never a pure number.
"""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from burnish.data.math.descent import Parser, Tree
from burnish.data.math.exact import exact
from burnish.data.math.expressions import parse, variables
from burnish.data.math.keys import equation_key, expression_key, rational_key
from burnish.data.math.numeric import Key
from burnish.data.math.primaries import matrix, primary
from burnish.data.math.quantities import quantity
from burnish.data.math.regions import HIGHEST, LOWEST, bracketed, combine, region_key, relations
from burnish.data.math.split import (
    COMPARISONS,
    LISTING,
    is_whole,
    separated,
    split,
    strip_ends,
)
from burnish.data.math.tokens import Token, Unreadable, tokenize

PLAIN = re.compile(r"\s*([-+]?)([0-9]{1,300}|[0-9]{1,3}(?:,[0-9]{3})+)(\.[0-9]{1,300})?(?:/([0-9]{1,300}))?\s*\.?\s*")  # fmt: skip # noqa: E501
LATEX_FRACTION = re.compile(r"\s*(-?)\\[dt]?frac\{(-?[0-9]{1,300})\}\{([0-9]{1,300})\}\s*")
DOTS = (r"\ldots", r"\dots", r"\cdots")
ARTICLES = {"the", "a", "an"}
SIGNS = {r"\pm": ("+", "-"), r"\mp": ("-", "+")}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer that was read: its type, its key, and its text.

    `value` is the exact number of a number. `name` is the unknown of `x = 5`.
    """

    kind: str
    key: Key
    text: str = ""
    value: Fraction | None = None
    name: str = ""


@functools.lru_cache(maxsize=8192)
def read_answer(text: str) -> Answer:
    """Read a whole text as one answer.

    Raises: Unreadable, with the reason; Unresolved, where the symbolic worker was stopped.
    Source: ours. Oracle: tests/data/test_answer.py::test_planted_pairs
    """
    plain = _plain_number(text)
    if plain is not None:
        return plain
    tokens = strip_ends(tokenize(text))
    if not tokens:
        raise Unreadable("the answer is empty")
    found = typed(tokens)
    return Answer(**{**vars(found), "text": text.strip().rstrip(".,")})


def _plain_number(text: str) -> Answer | None:
    """The quick way for what most answers are."""
    match = PLAIN.fullmatch(text)
    if match is not None:
        sign, whole, point, bottom = match.groups()
        value = Fraction(whole.replace(",", "") + (point or ""))
        kind = "decimal" if point else "integer"
    else:
        match = LATEX_FRACTION.fullmatch(text)
        if match is None:
            return None
        sign, whole, bottom = match.groups()
        value, kind = Fraction(int(whole)), "rational"
    if bottom is not None:
        if int(bottom) == 0:
            return None
        value, kind = value / int(bottom), "rational"
    value = -value if sign == "-" else value
    return Answer(kind=kind, key=rational_key(value), text=text.strip().rstrip("."), value=value)


def typed(tokens: Sequence[Token]) -> Answer:
    """The answer that tokens are. Raises: Unreadable, Unresolved."""
    tokens = strip_ends(tokens)
    if not tokens:
        raise Unreadable("a part of the answer is empty")
    if len(tokens) == 1 and tokens[0].kind == "text":
        return _in_text(tokens)
    if any(token.text in SIGNS for token in tokens):
        return _both_signs(tokens)
    for read in _READERS:
        found = read(tokens)
        if found is not None:
            return found
    return _expression(tokens)


def _in_text(tokens: Sequence[Token]) -> Answer:
    """What is in a text command: an answer, or words."""
    try:
        inner = strip_ends(tokenize(tokens[0].text))
    except Unreadable as error:
        return _words(tokens, error)
    if not inner or any(token.kind == "text" for token in inner):
        raise Unreadable("the answer is empty")
    return typed(inner)


def _both_signs(tokens: Sequence[Token]) -> Answer:
    parts = []
    for side in (0, 1):
        chosen = [
            Token(kind="op", text=SIGNS[t.text][side]) if t.text in SIGNS else t for t in tokens
        ]
        parts.append(typed(chosen))
    return Answer(kind="set", key=("set", frozenset(_elements(parts))))


def _elements(parts: Sequence[Answer]) -> list[Key]:
    r"""Keys of the elements; a set among them gives its own, as `1, \\pm 2` does."""
    keys: list[Key] = []
    for part in parts:
        keys += list(part.key[1]) if part.key[0] == "set" else [part.key]
    return keys


def _matrix(tokens: Sequence[Token]) -> Answer | None:
    if tokens[0].text != r"\begin":
        return None
    parser = Parser(tokens[1:], primary)
    name, rows = matrix(parser)
    if parser.peek() or name == "vmatrix":
        return None
    keys = tuple(tuple(expression_key(entry) for entry in row) for row in rows)
    return Answer(kind="matrix", key=("matrix", keys))


def _union(tokens: Sequence[Token]) -> Answer | None:
    parts = split(tokens, {r"\cup"})
    if len(parts) < 2:
        return None
    found = [typed(part) for part in parts]
    if all(one.key[0] == "set" for one in found):
        return Answer(kind="set", key=("set", frozenset().union(*(one.key[1] for one in found))))
    return Answer(kind="interval", key=combine([one.key for one in found], union=True))


def _list(tokens: Sequence[Token]) -> Answer | None:
    parts, words = separated(tokens)
    if len(parts) < 2:
        return None
    if any(len(part) == 1 and part[0].text in DOTS for part in parts):
        return _sequence(parts)
    found = [typed(part) for part in parts]
    if all(one.kind == "interval" or one.key[0] == "region" for one in found) and words:
        return Answer(kind="interval", key=combine([x.key for x in found], union="or" in words))
    names = {one.name for one in found}
    if "" not in names and len(names) > 1:
        pairs = frozenset((one.name, one.key) for one in found)
        return Answer(kind="tuple", key=("assigned", pairs))
    keys = _elements(found)
    if len(set(keys)) == len(keys):
        return Answer(kind="list", key=("set", frozenset(keys)))
    return Answer(kind="list", key=("bag", tuple(sorted(map(repr, keys)))))


def _sequence(parts: Sequence[Sequence[Token]]) -> Answer:
    keys = tuple(
        ("dots",) if len(part) == 1 and part[0].text in DOTS else typed(part).key for part in parts
    )
    return Answer(kind="list", key=("sequence", keys))


def _braces(tokens: Sequence[Token]) -> Answer | None:
    if len(tokens) == 1 and tokens[0].text in (r"\emptyset", r"\varnothing"):
        return Answer(kind="set", key=("set", frozenset()))
    if [token.text for token in tokens] == [r"\mathbb", "{", "R", "}"]:
        return Answer(kind="interval", key=region_key([(LOWEST, False, HIGHEST, False)]))
    if tokens[0].text != r"\{" or not is_whole(tokens):
        if tokens[0].text != "{" or not is_whole(tokens):
            return None
        if len(tokens) == 2 or len(split(tokens[1:-1], LISTING)) > 1:
            return _members(tokens[1:-1])  # braces without the backslash
        return typed(tokens[1:-1])
    return _members(tokens[1:-1])


def _members(inner: Sequence[Token]) -> Answer:
    if not inner:
        return Answer(kind="set", key=("set", frozenset()))
    if any(token.text in ("|", r"\mid", ":") for token in inner):
        told = split(inner, {"|", r"\mid", ":"})
        if len(told) == 2 and (found := _relation(told[1])) is not None:
            return found
        return Answer(kind="set", key=("raw", tuple(token.text for token in inner)))
    parts = split(inner, LISTING)
    if any(len(part) == 1 and part[0].text in DOTS for part in parts):
        return Answer(kind="set", key=_sequence(parts).key)
    return Answer(kind="set", key=("set", frozenset(_plus_minus(parts))))


def _plus_minus(parts: Sequence[Sequence[Token]]) -> list[Key]:
    keys: list[Key] = []
    for part in parts:
        one = typed(part)
        signed = any(token.text in SIGNS for token in part)
        keys += list(one.key[1]) if signed else [one.key]
    return keys


def _bracketed(tokens: Sequence[Token]) -> Answer | None:
    if tokens[0].text not in ("(", "[", r"\langle") or not is_whole(tokens):
        return None
    parts = split(tokens[1:-1], {",", ";"})
    if len(parts) < 2:
        return typed(tokens[1:-1]) if tokens[0].text == "(" and len(tokens) > 2 else None
    if any(not part for part in parts):
        raise Unreadable("an entry is empty")
    if len(parts) == 2 and tokens[0].text != r"\langle":
        region = bracketed(tokens, parts)
        if region is not None:
            return Answer(kind=region[0], key=region[1])
    keys = tuple(typed(part).key for part in parts)
    return Answer(kind="tuple", key=("tuple", keys))


def _member(tokens: Sequence[Token]) -> Answer | None:
    parts = split(tokens, {r"\in"})
    return typed(parts[1]) if len(parts) == 2 else None


def _relation(tokens: Sequence[Token]) -> Answer | None:
    if not any(token.text in COMPARISONS for token in tokens):
        return None
    parts = split(tokens, set(COMPARISONS))
    if len(parts) < 2:
        return None
    signs = [COMPARISONS[t.text] for t in _between(tokens, set(COMPARISONS))]
    key = relations([parse(part) for part in parts], signs)
    return Answer(kind="interval" if key[0] in ("region", "tuple") else "inequality", key=key)


def _between(tokens: Sequence[Token], names: set[str]) -> list[Token]:
    depth, found = 0, []
    for token in tokens:
        depth += (token.text in ("(", "[", "{", r"\{")) - (token.text in (")", "]", "}", r"\}"))
        if depth == 0 and token.text in names:
            found.append(token)
    return found


def _equation(tokens: Sequence[Token]) -> Answer | None:
    parts = split(tokens, {"=", "=="})
    if len(parts) < 2:
        return None
    left, right = strip_ends(parts[0]), strip_ends(parts[-1])
    if not left:
        return typed(right)
    if _is_call(left) or (name := _unknown(left)) is None:
        return typed(right)
    if name:
        return _solved(name, left, right)
    if _unknown(right):
        return typed(left) if not variables(parse(left)) else _both(left, right)
    return _both(left, right)


def _solved(name: str, left: Sequence[Token], right: Sequence[Token]) -> Answer:
    try:
        free = variables(parse(right))
    except Unreadable:
        free = set()
    if free:
        return _both(left, right)
    found = typed(right)
    return Answer(**{**vars(found), "name": name})


def _both(left: Sequence[Token], right: Sequence[Token]) -> Answer:
    trees = parse(left), parse(right)
    if not (variables(trees[0]) or variables(trees[1])):
        return typed(right)
    return Answer(kind="equation", key=equation_key(*trees))


def _unknown(tokens: Sequence[Token]) -> str | None:
    """The name that tokens are, "" for another expression, None for words."""
    try:
        tree = parse(tokens)
    except Unreadable:
        return None
    return tree[1] if tree[0] == "var" else ""


def _is_call(tokens: Sequence[Token]) -> bool:
    """`f(x)` and `P(A)`: a name with an argument."""
    return (
        len(tokens) >= 4 and tokens[0].kind == "word" and len(tokens[0].text) == 1
        and tokens[0].text in "fghPFGHTVASN" and tokens[1].text == "(" and is_whole(tokens[1:])
        and tokens[1].glued
    )  # fmt: skip


def _ratio(tokens: Sequence[Token]) -> Answer | None:
    parts = split(tokens, {":", r"\colon"})
    if len(parts) < 2:
        return None
    if any(len(part) == 1 and part[0].text in DOTS for part in parts):
        return Answer(kind="ratio", key=("ratio", _sequence(parts).key))
    texts = ["".join(token.text for token in part) for part in parts]
    tail = re.match(r"([0-9]{2})([ap]m|)", texts[-1].casefold())
    hours = len(parts) == 2 and texts[0].isdigit() and len(texts[0]) <= 2
    if hours and tail and tail[0] == texts[-1].casefold():
        return Answer(kind="time", key=("clock", int(texts[0]), tail[1], tail[2]))
    values = [exact(parse(part)) for part in parts]
    if all(values) and values[0]:
        keys = tuple(rational_key(value / values[0]) for value in values if value)
        return Answer(kind="ratio", key=("ratio", keys))
    return Answer(kind="ratio", key=("ratio", tuple(typed(part).key for part in parts)))


def _base(tokens: Sequence[Token]) -> Answer | None:
    texts = [token.text for token in tokens if token.text not in ("{", "}")]
    if len(texts) == 3 and texts[1] == "_" and texts[0].isdigit() and tokens[0].kind == "num":
        return Answer(kind="base", key=("base", texts[0].lstrip("0"), texts[2].casefold()))
    return None


def _quantity(tokens: Sequence[Token]) -> Answer | None:
    found = quantity(tokens)
    if found is None:
        return None
    kind, key, value = found
    return Answer(kind=kind, key=key, value=value)


def _expression(tokens: Sequence[Token]) -> Answer:
    try:
        tree = parse(tokens)
    except Unreadable as error:
        return _words(tokens, error)
    key = expression_key(tree)
    value = Fraction(key[1], key[2]) if key[0] == "q" else None
    return Answer(kind=_kind(tokens, tree, value), key=key, value=value)


def _kind(tokens: Sequence[Token], tree: Tree, value: Fraction | None) -> str:
    if tokens[-1].text == "%":
        return "percent"
    if tree[0] == "num" or (tree[0] == "mul" and _is_fraction(tree)):
        if "." in tokens[-1].text or tokens[-1].text[:1] == ".":
            return "decimal"
        return "integer" if value is not None and value.denominator == 1 else "rational"
    return "expression"


def _is_fraction(tree: Tree) -> bool:
    parts = [part[1] if part[0] == "pow" else part for part in tree[1]]
    return all(part[0] == "num" for part in parts)


def _words(tokens: Sequence[Token], error: Unreadable) -> Answer:
    """What is no mathematics: words, or commands that are known by their own text only."""
    if any(
        token.kind == "text" or (token.kind == "word" and len(token.text) > 2) for token in tokens
    ):
        words = " ".join(token.text for token in tokens if token.text not in ('"', "'", "`"))
        words = re.sub(r"[.,;!?\s]+", " ", words.casefold()).strip()
        kept = [word for word in words.split() if word not in ARTICLES]
        return Answer(kind="text", key=("text", " ".join(kept)))
    balance = sum((t.text in ("{", r"\{")) - (t.text in ("}", r"\}")) for t in tokens)
    if balance or not any(token.kind == "command" for token in tokens):
        raise error
    if any(
        token.text[1:] in ("frac", "dfrac", "sqrt") for token in tokens if token.kind == "command"
    ):
        raise error
    return Answer(kind="raw", key=("raw", tuple(token.text for token in tokens)))


Reader = Callable[[Sequence[Token]], Answer | None]
_READERS: tuple[Reader, ...] = (
    _matrix, _union, _list, _braces, _bracketed, _member, _relation, _equation, _ratio, _base,
    _quantity,
)  # fmt: skip
