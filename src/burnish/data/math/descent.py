r"""The grammar of sums, products and powers, by recursive descent: a tree of tuples comes out.

Trees: `("num", Fraction)`, `("var", name)`, `("const", pi|e|i|inf)`, `("add", terms)`,
`("mul", factors)`, `("pow", base, exponent)`, `("fn", name, arguments)`,
`("big", sum|prod|int, name, low, high, body)`.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from burnish.data.math.tokens import Token, Unreadable

Tree = tuple[Any, ...]
MAX_DEPTH = 60

MINUS: Tree = ("num", Fraction(-1))
TRIG = ("sin", "cos", "tan", "sec", "csc", "cot")
FUNCTIONS = {
    *TRIG, *(f"arc{name}" for name in TRIG), "sinh", "cosh", "tanh", "ln", "log", "lg", "exp",
    "sqrt", "abs", "floor", "ceil", "gcd", "lcm", "max", "min",
}  # fmt: skip
CONSTANTS = {r"\pi": "pi", "pi": "pi", "e": "e", "i": "i", r"\infty": "inf", "infty": "inf",
             "infinity": "inf", "inf": "inf", "oo": "inf"}  # fmt: skip
GREEK = {
    "theta", "alpha", "beta", "gamma", "lambda", "phi", "varphi", "mu", "sigma", "omega", "tau",
    "rho", "delta", "epsilon", "varepsilon", "Delta", "Omega", "ell", "kappa", "eta", "zeta", "psi",
}  # fmt: skip
TIMES = {"*", r"\times", r"\cdot", r"\ast"}
OVER = {"/", r"\div"}
CLOSING = {"(": ")", "[": "]", "{": "}", r"\{": r"\}", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil",
           r"\lvert": r"\rvert", r"\langle": r"\rangle"}  # fmt: skip
FRACTIONS = {r"\frac", r"\dfrac", r"\tfrac", r"\cfrac"}
BINOMIALS = {r"\binom", r"\dbinom", r"\tbinom"}
BIG = {r"\sum": "sum", r"\prod": "prod", r"\int": "int"}


class Parser:
    """The state of one descent: tokens, place and depth. `primary` reads a numeral, name, group."""

    def __init__(self, tokens: Sequence[Token], primary: Callable[["Parser"], Tree]) -> None:
        self._primary = primary
        self.tokens, self.at, self.depth = list(tokens), 0, 0
        self.bars = 0  # open |...|

    def peek(self) -> str:
        """Text of the next token, "" at the end."""
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def kind(self) -> str:
        """Kind of the next token, "" at the end."""
        return self.tokens[self.at].kind if self.at < len(self.tokens) else ""

    def take(self) -> Token:
        """The next token. Raises: Unreadable, at the end."""
        if self.at >= len(self.tokens):
            raise Unreadable("the expression ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, text: str) -> None:
        """Consume this token. Raises: Unreadable, for any other."""
        if self.peek() != text:
            raise Unreadable(f"{text!r} is missing")
        self.at += 1

    def sum(self) -> Tree:
        """Terms with signs."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("the expression is nested too deeply")
        terms = [self._signed_term()]
        while self.peek() in ("+", "-") and self.kind() == "op":
            terms.append(self._signed_term())
        self.depth -= 1
        return terms[0] if len(terms) == 1 else ("add", tuple(terms))

    def _signed_term(self) -> Tree:
        sign = 1
        while self.peek() in ("+", "-") and self.kind() == "op":
            sign *= -1 if self.take().text == "-" else 1
        term = self._product()
        return negated(term) if sign < 0 else term

    def _product(self) -> Tree:
        factors = [self.factor()]
        while True:
            text = self.peek()
            if text in TIMES:
                self.take()
                factors.append(self._signed_factor())
            elif text in OVER:
                self.take()
                factors.append(("pow", self._signed_factor(), MINUS))
            elif self.starts_factor():
                factors.append(self._implied(factors))
            else:
                return factors[0] if len(factors) == 1 else ("mul", tuple(factors))

    def _signed_factor(self) -> Tree:
        sign = 1
        while self.peek() in ("+", "-"):
            sign *= -1 if self.take().text == "-" else 1
        factor = self.factor()
        return negated(factor) if sign < 0 else factor

    def _implied(self, factors: list[Tree]) -> Tree:
        r"""The next factor of a product without a sign; `2\frac{1}{3}` is a mixed number."""
        before = self.tokens[self.at - 1]
        if self.kind() == "num" and before.kind == "num":
            raise Unreadable("two numbers stand side by side")
        mixes = self.peek() in FRACTIONS and before.integer and len(factors) == 1
        after = self.factor()
        if mixes and _is_proper(after):
            whole = factors.pop()
            return ("add", (whole, after))
        return after

    def starts_factor(self) -> bool:
        """Whether the next token can begin a factor."""
        text, kind = self.peek(), self.kind()
        if kind in ("num", "word", "text"):
            return True
        if kind == "op":
            return text in ("(", "[", "{") or (text == "|" and not self.bars)
        return kind == "command" and (
            text in CLOSING or text in FRACTIONS or text in BINOMIALS or text in BIG
            or text in CONSTANTS or text[1:] in FUNCTIONS or text[1:] in GREEK
            or text in (r"\sqrt", r"\begin")
        )  # fmt: skip

    def factor(self) -> Tree:
        """A primary with what follows it: factorial, per cent, degrees, exponent."""
        base = self._primary(self)
        while True:
            text = self.peek()
            if text == "!" and self.kind() == "op":
                self.take()
                if self.peek() == "!" and self.tokens[self.at].glued:
                    raise Unreadable("a double factorial is not read")
                base = ("fn", "factorial", (base,))
            elif text == "%":
                self.take()
                base = ("mul", (base, ("num", Fraction(1, 100))))
            elif text in ("^", "**"):
                self.take()
                if self._circle():
                    base = ("fn", "degrees", (base,))
                    continue
                return ("pow", base, self.exponent())
            else:
                return base

    def _circle(self) -> bool:
        """Consume a degree sign, if it comes next."""
        if self.peek() == r"\circ":
            self.at += 1
            return True
        if [t.text for t in self.tokens[self.at : self.at + 3]] == ["{", r"\circ", "}"]:
            self.at += 3
            return True
        return False

    def exponent(self) -> Tree:
        """What follows `^`: right associative, a brace group or one factor."""
        return self._signed_factor()


def negated(tree: Tree) -> Tree:
    """Minus `tree`."""
    return ("num", -tree[1]) if tree[0] == "num" else ("mul", (MINUS, tree))


def _is_proper(tree: Tree) -> bool:
    """A fraction of two whole numerals, below one."""
    return (
        tree[0] == "mul" and tree[1][0][0] == "num" and tree[1][1][0] == "pow"
        and tree[1][1][1][0] == "num" and 0 < tree[1][0][1] < tree[1][1][1][1]
    )  # fmt: skip
