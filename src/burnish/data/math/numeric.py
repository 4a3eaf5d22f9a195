"""Values of trees to many digits, at fixed points of their variables: equal values, equal keys.

A key is a function of one tree alone, so equality of keys is transitive whatever is compared.
Digits grow with the size of the numbers in the tree; a term that would vanish beside another, or
a value beyond all bounds, is `Absorbed`: such a tree is known by its structure instead.
"""

import functools
import hashlib
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from burnish.data.math.descent import Tree
from burnish.data.math.expressions import variables

DIGITS = 50
MAX_DIGITS = 3200
MAX_LOG2 = 1 << 50  # of a magnitude
NUM_POINTS = 3
SNAP_FRAC = 0.7  # of the digits: largest numerator times denominator that a value is taken for
MAX_WORK = 4000  # steps of an evaluation

Key = tuple[Any, ...]


class Absorbed(Exception):
    """The value cannot be told from another one at any digits that are affordable."""


class Undefined(Exception):
    """The expression has no value, as 1/0."""


def fingerprint(tree: Tree) -> Key:
    """The key of a tree: `("q", top, bottom)` for a rational value, else its leading digits.

    Raises: Absorbed, where digits cannot tell; Undefined, where there is no value.
    Source: ours; the evaluation is mpmath's. Departure: equality of analytic expressions is
    tested at fixed points to 50 digits or more, which no proof accompanies.
    Oracle: tests/data/test_numeric.py::test_equal_exactly_when_sympy_says_so
    """
    digits = digits_for(tree)
    values = values_at_points(tree, digits)
    if len(set(map(str, values))) == 1 and (value := snapped(values[0], digits)) is not None:
        return ("q", value.numerator, value.denominator)
    names = tuple(sorted(variables(tree)))
    return ("n", digits, names, *(rounded(value, digits) for value in values))


def digits_for(tree: Tree) -> int:
    """Digits at which trees with numbers of such a size can be told apart."""
    bits, digits = _largest_bits(tree), DIGITS
    while digits * 64 < bits * DIGITS:
        digits *= 2
    if digits > MAX_DIGITS:
        raise Absorbed
    return digits


def values_at_points(tree: Tree, digits: int, num_points: int = NUM_POINTS) -> list[Any]:
    """The value at each of the fixed points; at one point where there is no variable."""
    context = _context(2 * digits + 50)
    names = sorted(variables(tree))
    found = []
    for point in range(num_points if names else 1):
        known = {name: point_of(context, name, point) for name in names}
        found.append(_Evaluation(context, known, digits).value(tree))
    return found


def point_of(context: Any, name: str, point: int) -> Any:
    """The value that a variable has at a point: positive at the first, of any sign elsewhere."""
    drawn = hashlib.sha256(f"{name}/{point}".encode()).digest()
    size = context.mpf(int.from_bytes(drawn[:16], "big")) / 2**127 + context.mpf(1) / 7
    return -size if point and drawn[16] % 2 ^ (point == 1) else size


def snapped(value: Any, digits: int) -> Fraction | None:
    """The rational of small height that a value is, to all digits; None where there is none."""
    if value.imag != 0:
        return None
    sign, man, exp, _ = value.real._mpf_
    if man == 0:
        return Fraction(0)
    if abs(exp) > 40 * digits:
        return None
    whole = Fraction(man) * Fraction(2) ** exp
    limit = int(SNAP_FRAC * digits)
    near = (
        whole.limit_denominator(10 ** (limit // 2)) if whole < 10**limit else Fraction(round(whole))
    )
    height = near.numerator * near.denominator
    close = abs(near - whole) * 10 ** (digits + 2) <= whole
    if not close or height >= 10**limit:
        return None
    return -near if sign else near


def rounded(value: Any, digits: int) -> Key:
    """The leading digits of a complex value, each part against the size of the whole."""
    return (_leading(value.real, digits), _leading(value.imag, digits))


def _leading(part: Any, digits: int) -> str:
    from mpmath.libmp import to_str

    return "0" if part == 0 else str(to_str(part._mpf_, digits, min_fixed=1, max_fixed=0))


@functools.lru_cache(maxsize=16)
def _shared(digits: int, _thread: int) -> Any:
    import mpmath

    context = mpmath.MPContext()
    context.dps = digits
    return context


def _context(digits: int) -> Any:
    """An arithmetic context of this thread alone."""
    import threading

    return _shared(digits, threading.get_ident())


def _largest_bits(tree: Any) -> int:
    if not isinstance(tree, tuple) or not tree:
        return 0
    if tree[0] == "num":
        return tree[1].numerator.bit_length() + tree[1].denominator.bit_length()
    if tree[0] == "pow":
        power = tree[2]
        inner = _largest_bits(tree[1])
        if power[0] == "num" and power[1].denominator == 1 and 1 < abs(power[1]) < 2000:
            return max(inner * int(abs(power[1])) if inner < 4000 else inner, _largest_bits(power))
        return max(inner, _largest_bits(power))
    return max((_largest_bits(part) for part in tree if isinstance(part, tuple)), default=0)


class _Evaluation:
    """One evaluation: the context, the variables and what may still be spent."""

    def __init__(self, context: Any, known: Mapping[str, Any], digits: int) -> None:
        self.context, self.known, self.digits = context, known, digits
        self.work = 0
        self.tiny = context.mpf(10) ** -(digits + 20)
        self.negligible = context.mpf(10) ** -(digits - 20)

    def value(self, tree: Tree) -> Any:
        self.work += 1
        if self.work > MAX_WORK:
            raise Absorbed
        kind = tree[0]
        if kind == "num":
            return self.context.mpc(self._rational(tree[1]))
        if kind == "var":
            return self.context.mpc(self.known[tree[1]])
        if kind == "const":
            return self._constant(tree[1])
        if kind == "add":
            return self._sum([self.value(part) for part in tree[1]])
        if kind == "mul":
            return self._product(tree[1])
        if kind == "pow":
            return self._checked(self._power(self.value(tree[1]), self.value(tree[2]), tree[2]))
        if kind == "fn":
            return self._checked(self._function(tree[1], [self.value(x) for x in tree[2]]))
        raise Absorbed  # sums and integrals are brought to a closed form before

    def _rational(self, value: Fraction) -> Any:
        return self.context.mpf(value.numerator) / value.denominator

    def _constant(self, name: str) -> Any:
        context = self.context
        if name == "inf":
            raise Undefined("infinity is no number")
        return context.mpc({"pi": +context.pi, "e": +context.e, "i": context.mpc(0, 1)}[name])

    def _sum(self, terms: list[Any]) -> Any:
        total = self.context.mpc(0)
        for term in terms:
            total += term
        largest = max(abs(term) for term in terms)
        smallest = min((abs(term) for term in terms if term != 0), default=largest)
        if smallest < largest * self.negligible:
            raise Absorbed
        return self._cleaned(total, largest)

    def _product(self, parts: tuple[Tree, ...]) -> Any:
        total = self.context.mpc(1)
        for part in parts:
            total = self._checked(total * self.value(part))
        return total

    def _cleaned(self, value: Any, scale: Any) -> Any:
        """Zero for what is nothing but rounding, in either part."""
        real, imag = value.real, value.imag
        real = self.context.mpf(0) if abs(real) <= scale * self.tiny else real
        imag = self.context.mpf(0) if abs(imag) <= scale * self.tiny else imag
        return self.context.mpc(real, imag)

    def _checked(self, value: Any) -> Any:
        value = self.context.mpc(value)
        for part in (value.real, value.imag):
            if not self.context.isfinite(part):
                raise Undefined("a value is not finite")
            if part != 0 and abs(self.context.mag(part)) > MAX_LOG2:
                raise Absorbed
        return self._cleaned(value, abs(value))

    def _power(self, base: Any, power: Any, power_tree: Tree) -> Any:
        if base == 0:
            if power.imag == 0 and power.real > 0:
                return base
            raise Undefined("zero to a power that is not positive")
        context = self.context
        if power.imag == 0 and context.isint(power.real) and abs(power.real) < 2**40:
            whole = int(power.real)
            if abs(whole * context.mag(base)) > MAX_LOG2:
                raise Absorbed
            return base**whole if base.imag != 0 else context.mpc(base.real**whole)
        if abs(power) * (abs(context.mag(base)) + 2) > MAX_LOG2:
            raise Absorbed
        if power_tree[0] == "pow" and base.imag == 0 and base.real < 0:
            odd = self._odd_root(base, power)
            if odd is not None:
                return odd
        return context.exp(power * context.log(base))

    def _odd_root(self, base: Any, power: Any) -> Any:
        """The real root of odd index of a negative number, as school mathematics has it."""
        index = 1 / power
        near = self.context.nint(index.real)
        if index.imag == 0 and abs(index.real - near) < self.tiny and int(near) % 2:
            return self.context.mpc(-((-base.real) ** power.real))
        return None

    def _function(self, name: str, given: list[Any]) -> Any:
        context, one = self.context, given[0]
        if name == "degrees":
            return one
        if name in ("floor", "ceil", "max", "min"):
            if any(value.imag != 0 for value in given):
                raise Undefined(f"{name} of a complex number")
            parts = [value.real for value in given]
            return (
                {"floor": context.floor, "ceil": context.ceil}[name](parts[0])
                if len(parts) == 1 and name in ("floor", "ceil")
                else (max if name == "max" else min)(parts)
            )
        if name == "abs":
            return abs(one)
        if name == "factorial":
            return self._gamma(one + 1)
        if name == "binomial":
            return context.binomial(one, given[1])
        if name == "ln":
            if one == 0:
                raise Undefined("the logarithm of zero")
            return context.log(one)
        if name in ("gcd", "lcm"):
            raise Absorbed
        if abs(one) > 1e9:  # digits of the argument would be lost
            raise Absorbed
        called = getattr(context, name.replace("arc", "a"))
        try:
            return called(one)
        except (ValueError, ZeroDivisionError) as error:
            raise Undefined(f"{name} has no value there") from error

    def _gamma(self, value: Any) -> Any:
        if value.imag == 0 and value.real <= 0 and self.context.isint(value.real):
            raise Undefined("the factorial of a negative number")
        if abs(value) > 2**40:
            raise Absorbed
        return self.context.gamma(value)
