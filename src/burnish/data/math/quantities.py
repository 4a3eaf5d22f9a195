"""Numbers with a unit or a noun: `5 km`, `2 hours 30 minutes`, `72 stamps`."""

from collections.abc import Sequence
from fractions import Fraction

from burnish.data.math.exact import exact
from burnish.data.math.expressions import parse, variables
from burnish.data.math.keys import expression_key, rational_key
from burnish.data.math.numeric import Key
from burnish.data.math.tokens import Token, Unreadable, tokenize
from burnish.data.math.units import Unit, combined, units

Found = tuple[str, Key, Fraction | None]
NOT_NOUNS = {"not", "no", "never", "nor", "or", "and", "is", "are", "if", "but", "neither", "than"}
FREE_NAMES = ("pi", "sqrt", "sin", "cos", "tan", "log", "ln", "exp")
POWERS = {"square": 2, "sq": 2, "cubic": 3}
MAX_NOUNS = 6


def quantity(tokens: Sequence[Token]) -> Found | None:
    """Type, key and value of a number with a unit or a noun; None for anything else.

    A unit that is known makes a quantity, which no pure number equals. A noun counts things and
    changes nothing.
    Source: ours. Oracle: tests/data/test_quantities.py::test_planted_quantities
    """
    if not any(token.kind in ("word", "text") for token in tokens):
        return None
    tokens = _spliced(tokens)
    total, powers, at, exactly = Fraction(0), None, 0, True
    while at < len(tokens):
        start = at
        while at < len(tokens) and not _is_unit(tokens, at):
            at += 1
        if at == start or at == len(tokens):
            return _counted(tokens) if start == 0 else None
        value = _value(tokens[start:at])
        unit, at = _unit(tokens, at)
        if value is None or unit is None:
            return _with_unit(tokens[start:at], start, at, tokens) if exactly else None
        if powers is not None and unit[1] != powers:
            return None
        powers = unit[1]
        total += value * unit[0]
    return _quantity(total, powers or ())


def _quantity(value: Fraction, powers: tuple[tuple[str, int], ...]) -> Found:
    key = rational_key(value)
    return ("quantity", ("unit", powers, key), None) if powers else ("quantity", key, value)


def _with_unit(part: Sequence[Token], start: int, at: int, tokens: Sequence[Token]) -> Found | None:
    r"""An irrational number of a known unit: `2\sqrt{3} cm`."""
    first = next((i for i in range(len(tokens)) if _is_unit(tokens, i)), None)
    if start or at != len(tokens) or first is None:
        return None
    unit, _ = _unit(tokens, first)
    try:
        tree = parse(tokens[:first])
    except Unreadable:
        return None
    if unit is None or variables(tree):
        return None
    key = expression_key(("mul", (tree, ("num", unit[0]))))
    return "quantity", ("unit", unit[1], key) if unit[1] else key, None


def _counted(tokens: Sequence[Token]) -> Found | None:
    """A number with a noun behind it."""
    first = next((i for i, t in enumerate(tokens) if t.kind == "word" and _is_noun(t)), None)
    if not first or len(tokens) - first > MAX_NOUNS:
        return None
    nouns = tokens[first:]
    if any(t.kind != "word" or t.text.casefold() in NOT_NOUNS for t in nouns):
        return None
    value = _value(tokens[:first])
    return None if value is None else ("quantity", rational_key(value), value)


def _is_noun(token: Token) -> bool:
    return len(token.text) > 1 and not token.text.startswith(FREE_NAMES)


def _value(tokens: Sequence[Token]) -> Fraction | None:
    try:
        return exact(parse(tokens)) if tokens else None
    except Unreadable:
        return None


def _spliced(tokens: Sequence[Token]) -> list[Token]:
    """Tokens with what is in text commands as words of its own."""
    found: list[Token] = []
    for token in tokens:
        if token.kind != "text":
            found.append(token)
            continue
        inner = [Token(**{**vars(t), "glued": False}) for t in tokenize(token.text)]
        found += inner
    return found


def _is_unit(tokens: Sequence[Token], at: int) -> bool:
    token = tokens[at]
    if token.kind != "word" or at == 0:
        return False
    name = token.text
    if name in POWERS:
        return True
    if name not in units() and name.casefold() not in units():
        return False
    return len(name) > 1 or not token.glued or name in "€£¥₹"


def _unit(tokens: Sequence[Token], at: int) -> tuple[Unit | None, int]:
    """The unit that begins at `at`, and where it ends."""
    parts: list[tuple[str, int]] = []
    sign, power = 1, 1
    while at < len(tokens):
        token = tokens[at]
        if token.text in ("/", "per") and parts:
            sign, at = -1, at + 1
        elif token.text in ("*", r"\cdot") and parts:
            at += 1
        elif token.kind == "word" and token.text in POWERS:
            power, at = POWERS[token.text], at + 1
        elif token.kind == "word" and (name := _named(token.text)) is not None:
            if parts and sign == 1 and tokens[at - 1].text not in ("*", r"\cdot"):
                break
            at += 1
            if at + 1 < len(tokens) and tokens[at].text in ("^", "**"):
                digits = [t for t in tokens[at + 1 : at + 4] if t.text not in ("{", "}")]
                if digits and digits[0].integer and digits[0].value is not None:
                    power = int(digits[0].value)
                    at += 4 if tokens[at + 1].text == "{" else 2
            parts.append((name, sign * power))
            sign, power = 1, 1
        else:
            break
    return (combined(parts) if parts else None), at


def _named(name: str) -> str | None:
    return name if name in units() else name.casefold() if name.casefold() in units() else None
