"""One form of a task's text, whatever the order of commuting operands: what makes two tasks one."""

import re

from burnish.base.records import content_hash
from burnish.contracts.task import Task

NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
TOKEN = re.compile(rf"\s*({NUMBER}|[-+*/^()])")
# numbers, operators and brackets, with an operator between numbers somewhere
SPAN = re.compile(rf"[-(\s]*{NUMBER}[\s)]*(?:[-+*/^][-(\s]*{NUMBER}[\s)]*)+")
LIST = re.compile(rf"-?{NUMBER}(?:\s*(?:,|\band\b)\s*-?{NUMBER})+")
# words after which the order of a list of numbers changes no answer
UNORDERED = re.compile(
    r"\b(?:gcd|lcm|greatest common|least common|highest common|lowest common|sum of|product of|"
    r"average of|mean of|median of|maximum of|minimum of|largest of|smallest of|sort)\b"
)
SIGNS = str.maketrans(  # times, dots, divided by, minus, en dash
    {"\u00d7": "*", "\u00b7": "*", "\u22c5": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-"}
)


def content_key(task: Task) -> str:
    """Hash of the canonical prompt: equal for tasks that ask the same. Answers do not count.

    Source: ours. Oracle: tests/data/test_canonical.py::test_commuted_operands_are_one_task
    """
    return content_hash(canonical_text(task.prompt))


def canonical_text(text: str) -> str:
    """Lower case, white space collapsed, operands of sums and products sorted.

    Sums are sorted by signed term and products by factor, inside brackets too; a list of numbers
    is sorted where its order changes no answer (a greatest common divisor, a mean). Everything
    else stays where it is: `7 - 4` and `4 - 7` are two tasks.
    Source: ours. Oracle: tests/data/test_canonical.py::test_equal_forms_have_equal_values
    """
    text = " ".join(text.translate(SIGNS).lower().split())
    text = SPAN.sub(_sorted_span, text)
    if UNORDERED.search(text):
        text = LIST.sub(lambda found: ", ".join(sorted(_items(found[0]))), text)
    return " ".join(text.split())


def _items(text: str) -> list[str]:
    return [
        item.strip() for item in re.split(r",(?!\d{3}\b)|,(?=\s)|\band\b", text) if item.strip()
    ]


def _sorted_span(found: re.Match[str]) -> str:
    """The span with its operands sorted; as it is where it is no expression."""
    span = found[0]
    core = span.strip()
    try:
        return span.replace(core, _Parser(core).expression())
    except ValueError:
        return span


class _Parser:
    """A recursive-descent reader of sums, products, powers and brackets that sorts as it reads."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        at = 0
        while at < len(text):
            token = TOKEN.match(text, at)
            if token is None:
                raise ValueError(text)
            self._tokens.append(token[1])
            at = token.end()
        self._at = 0

    def expression(self) -> str:
        """The whole text, sorted. Raises: ValueError, where it is no expression."""
        found = self._sum()
        if self._at != len(self._tokens):
            raise ValueError(self._tokens[self._at])
        return found

    def _next(self, *wanted: str) -> str:
        if self._at < len(self._tokens) and self._tokens[self._at] in wanted:
            self._at += 1
            return self._tokens[self._at - 1]
        return ""

    def _sum(self) -> str:
        terms = [f"{self._next('+', '-') or '+'} {self._product()}"]
        while sign := self._next("+", "-"):
            terms.append(f"{sign} {self._product()}")
        return " ".join(sorted(terms)).removeprefix("+ ")

    def _product(self) -> str:
        factors = [f"* {self._power()}"]
        while sign := self._next("*", "/"):
            factors.append(f"{sign} {self._power()}")
        return " ".join(sorted(factors)).removeprefix("* ")

    def _power(self) -> str:
        base = self._atom()
        return f"{base} ^ {self._power()}" if self._next("^") else base

    def _atom(self) -> str:
        if sign := self._next("-", "+"):
            return f"{sign}{self._atom()}"
        if self._next("("):
            inner = self._sum()
            if not self._next(")"):
                raise ValueError("(")
            return f"( {inner} )"
        if self._at == len(self._tokens) or self._tokens[self._at] in "+-*/^)":
            raise ValueError("operand")
        self._at += 1
        return self._tokens[self._at - 1]
