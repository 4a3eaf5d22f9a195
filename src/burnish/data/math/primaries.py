r"""What an expression is made of: numerals, names, brackets, fractions, roots, functions, sums."""

from fractions import Fraction

from burnish.data.math.descent import (
    BIG,
    BINOMIALS,
    CLOSING,
    CONSTANTS,
    FRACTIONS,
    FUNCTIONS,
    GREEK,
    MINUS,
    TRIG,
    Parser,
    Tree,
)
from burnish.data.math.tokens import Token, Unreadable, tokenize

ENGLISH = {"not", "the", "are", "for", "and", "but", "was", "one", "two", "six", "ten", "all"}
MATRICES = {"pmatrix", "bmatrix", "matrix", "vmatrix"}


def primary(parser: Parser) -> Tree:
    """One primary. Raises: Unreadable, where none begins."""
    token = parser.take()
    if token.kind == "num":
        if parser.peek() == "_":
            raise Unreadable("a numeral has an index")
        return ("num", token.value)
    if token.kind == "text":
        return _text(token)
    if token.kind == "word":
        return _word(parser, token)
    if token.text in CLOSING:
        return _group(parser, token.text)
    if token.text == "|":
        parser.bars += 1
        inner = parser.sum()
        parser.bars -= 1
        parser.expect("|")
        return ("fn", "abs", (inner,))
    if token.kind == "command":
        return _command(parser, token)
    raise Unreadable(f"{token.text!r} begins no expression")


def _text(token: Token) -> Tree:
    inner = Parser(tokenize(token.text), primary)
    if not (inner.kind() == "num" or token.text in CONSTANTS or len(token.text) == 1):
        raise Unreadable(f"the words {token.text!r} are no expression")
    tree = inner.sum()
    if inner.peek():
        raise Unreadable(f"the words {token.text!r} are no expression")
    return tree


def _group(parser: Parser, opened: str) -> Tree:
    bars, parser.bars = parser.bars, 0
    inner = parser.sum()
    if opened == "{" and parser.peek() == r"\choose":
        parser.take()
        inner = ("fn", "binomial", (inner, parser.sum()))
    parser.bars = bars
    parser.expect(CLOSING[opened])
    name = {r"\lfloor": "floor", r"\lceil": "ceil", r"\lvert": "abs"}.get(opened)
    if opened in (r"\{", r"\langle"):
        raise Unreadable("a set stands inside an expression")
    return ("fn", name, (inner,)) if name else inner


def _word(parser: Parser, token: Token) -> Tree:
    name = token.text
    if name in FUNCTIONS and name not in ("e", "i"):
        return _function(parser, name)
    if name in CONSTANTS:
        return ("const", CONSTANTS[name])
    if len(name) == 1:
        return _variable(parser, name)
    alone = len(parser.tokens) == 1
    if (
        name.casefold() in ENGLISH
        or len(name) > 4
        or (len(name) > 3 and not token.glued)
        or (len(name) == 3 and alone)
    ):
        raise Unreadable(f"the word {name!r} is no expression")
    parts = [name[0], "pi"] if name.endswith("pi") and len(name) == 3 else list(name)
    rest = [Token(kind="word", text=part, glued=True) for part in parts[1:]]
    parser.tokens[parser.at : parser.at] = rest  # letters are factors of their own
    return _variable(parser, parts[0])


def letter(char: str) -> Tree:
    """A letter alone: a constant or a variable."""
    return ("const", CONSTANTS[char]) if char in CONSTANTS else ("var", char)


def _variable(parser: Parser, name: str) -> Tree:
    if parser.peek() == "_":
        parser.take()
        return ("var", f"{name}_{_index(parser)}")
    return letter(name)


def _index(parser: Parser) -> str:
    """An index, as text."""
    token = parser.take()
    if token.text != "{":
        return token.text
    parts = []
    while parser.peek() != "}":
        parts.append(parser.take().text)
    parser.take()
    return "".join(parts)


def _command(parser: Parser, token: Token) -> Tree:
    name = token.text
    if name in FRACTIONS:
        top = _braces(parser)
        return ("mul", (top, ("pow", _braces(parser), MINUS)))
    if name in BINOMIALS:
        top = _braces(parser)
        return ("fn", "binomial", (top, _braces(parser)))
    if name == r"\sqrt":
        return _root(parser)
    if name in BIG:
        return _big(parser, BIG[name])
    if name in CONSTANTS:
        return ("const", CONSTANTS[name])
    if name[1:] in FUNCTIONS:
        return _function(parser, name[1:])
    if name[1:] in GREEK:
        return _variable(parser, name[1:])
    if name == r"\begin":
        return _determinant(parser)
    raise Unreadable(f"the command {name} is not known")


def _braces(parser: Parser) -> Tree:
    parser.expect("{")
    inner = parser.sum()
    parser.expect("}")
    return inner


def _root(parser: Parser) -> Tree:
    index: Tree = ("num", Fraction(2))
    if parser.peek() == "[":
        parser.take()
        index = parser.sum()
        parser.expect("]")
    if parser.peek() == "{":
        radicand = _braces(parser)
    elif parser.peek() == "(":
        parser.take()
        radicand = parser.sum()
        parser.expect(")")
    else:
        radicand = primary(parser)
    return ("pow", radicand, ("pow", index, MINUS))


def _function(parser: Parser, name: str) -> Tree:
    """A function with its index, exponent and argument."""
    base: Tree | None = None
    power: Tree | None = None
    for _ in range(2):
        if parser.peek() == "_" and base is None:
            parser.take()
            base = _braces(parser) if parser.peek() == "{" else primary(parser)
        elif parser.peek() in ("^", "**") and power is None:
            parser.take()
            power = parser.exponent()
    if name == "sqrt" and base is None and power is None:
        return _root(parser)
    if power is not None and name in TRIG and power == MINUS:
        name, power = f"arc{name}", None
    arguments = _arguments(parser)
    tree = _called(name, arguments, base)
    return tree if power is None else ("pow", tree, power)


def _called(name: str, arguments: tuple[Tree, ...], base: Tree | None) -> Tree:
    one = arguments[0]
    if name in TRIG and one[0] == "fn" and one[1] == "degrees":
        one = ("mul", (one[2][0], ("const", "pi"), ("num", Fraction(1, 180))))
    if name in ("gcd", "lcm", "max", "min"):
        return ("fn", name, arguments)
    if len(arguments) != 1:
        raise Unreadable(f"{name} takes one argument")
    if name == "exp":
        return ("pow", ("const", "e"), one)
    if name in ("log", "lg", "ln") and (base is not None or name == "lg"):
        bottom = base if base is not None else ("num", Fraction(10))
        return ("mul", (("fn", "ln", (one,)), ("pow", ("fn", "ln", (bottom,)), MINUS)))
    return ("fn", "ln" if name == "log" else name, (one,))


def _arguments(parser: Parser) -> tuple[Tree, ...]:
    if parser.peek() in ("(", "{", "["):
        closing = CLOSING[parser.take().text]
        found = [parser.sum()]
        while parser.peek() == ",":
            parser.take()
            found.append(parser.sum())
        parser.expect(closing)
        return tuple(found)
    factors = [parser.factor()]
    while parser.starts_factor() and parser.kind() in ("num", "word", "command"):
        text = parser.peek().lstrip("\\")
        if text in FUNCTIONS or parser.peek() in BIG:
            break
        if parser.kind() == "command" and parser.peek() in CLOSING:
            break
        factors.append(parser.factor())
    return (factors[0] if len(factors) == 1 else ("mul", tuple(factors)),)


def _big(parser: Parser, kind: str) -> Tree:
    """A sum, product or definite integral with its bounds."""
    low: Tree | None = None
    high: Tree | None = None
    name = ""
    for _ in range(2):
        mark = parser.peek()
        if mark == "_":
            parser.take()
            braced = parser.peek() == "{"
            if braced:
                parser.take()
            if kind != "int":
                name = parser.take().text
                parser.expect("=")
            low = parser.sum() if braced else primary(parser)
            if braced:
                parser.expect("}")
        elif mark == "^":
            parser.take()
            high = _braces(parser) if parser.peek() == "{" else primary(parser)
    if low is None or high is None:
        raise Unreadable(f"the {kind} has no bounds")
    if kind != "int":
        return ("big", kind, name, low, high, _summand(parser))
    return ("big", kind, *_integrand(parser, low, high))


def _summand(parser: Parser) -> Tree:
    factors = [parser.factor()]
    while parser.starts_factor():
        factors.append(parser.factor())
    return factors[0] if len(factors) == 1 else ("mul", tuple(factors))


def _integrand(parser: Parser, low: Tree, high: Tree) -> tuple[str, Tree, Tree, Tree]:
    """What is between the sign and `dx`."""
    for place in range(parser.at, len(parser.tokens)):
        token = parser.tokens[place]
        if token.kind == "word" and len(token.text) == 2 and token.text[0] == "d":
            inner = Parser(parser.tokens[parser.at : place], primary)
            body = inner.sum() if inner.tokens else ("num", Fraction(1))
            if inner.peek():
                break
            parser.at = place + 1
            return token.text[1], low, high, body
    raise Unreadable("the integral has no differential")


def _determinant(parser: Parser) -> Tree:
    name, rows = matrix(parser)
    if name != "vmatrix" or any(len(row) != len(rows) for row in rows) or len(rows) > 4:
        raise Unreadable("a matrix stands inside an expression")
    return _expanded(rows)


def _expanded(rows: list[list[Tree]]) -> Tree:
    if len(rows) == 1:
        return rows[0][0]
    terms: list[Tree] = []
    for column, head in enumerate(rows[0]):
        minor = [[x for j, x in enumerate(row) if j != column] for row in rows[1:]]
        sign: Tree = ("num", Fraction(-1 if column % 2 else 1))
        terms.append(("mul", (sign, head, _expanded(minor))))
    return ("add", tuple(terms))


def matrix(parser: Parser) -> tuple[str, list[list[Tree]]]:
    """Name of the environment and the rows, after `begin` was taken."""
    name = _index(parser)
    if name not in MATRICES:
        raise Unreadable(f"the environment {name!r} is not known")
    rows: list[list[Tree]] = [[]]
    while parser.peek() != r"\end":
        rows[-1].append(parser.sum())
        if parser.peek() == "&":
            parser.take()
        elif parser.peek() == r"\\":
            parser.take()
            if parser.peek() != r"\end":
                rows.append([])
        elif parser.peek() != r"\end":
            raise Unreadable("a matrix is malformed")
    parser.take()
    if _index(parser) != name:
        raise Unreadable("a matrix is malformed")
    return name, rows
