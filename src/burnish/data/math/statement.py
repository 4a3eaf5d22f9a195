r"""Where a worked text states its answer. One rule decides, and never what the answer is.

The first rule that finds a mark decides, the last such mark of the text: `####`; `\boxed{...}`;
`<answer>`; `answer is`, `answer:`, `option is`; else the whole text where it is one answer; else
the last formula between dollar signs, and the last number of the prose.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from burnish.data.answers import between_tags, boxes, first_result, last_number
from burnish.data.math.answer import Answer, read_answer
from burnish.data.math.tokens import MAX_CHARS, Unreadable
from burnish.data.numbers import Number, clean_text

_MARK = re.compile(
    r"\b(?:final\s+answer|answer|correct\s+(?:option|choice)|option|choice)s?[*_\"'\s]*+"
    r"(?:is\b|are\b|[:=])[ \t:*_]*+|\b(?:option|choice)\s+(?=\(?[A-H]\)?(?![A-Za-z]))",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"\.(?=\s+[A-Z\\])|[.,]?\s(?:because|since|so that|as)\s|\n")
_MATH = re.compile(r"\$\$?([^$]+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_DISPLAY = re.compile(r"\\[()\[\]]")
_JOIN = re.compile(r"\s*\$?\s*(?:,|and|or|;)\s*(?:and|or)?\s*\$?\s*")
_YES_OR_NO = re.compile(r"\s*(yes|no|true|false)\b\s*[,.;:!-]", re.IGNORECASE)
_LINES = ("**", "__")
MAX_WHOLE_CHARS = 300


@dataclass(frozen=True, kw_only=True)
class Statement:
    """An answer that was found in a text, and the rule that found it."""

    answer: Answer
    rule: str


def find_answer(text: str) -> Statement:
    """The answer that a text states.

    Raises: Unreadable, with the reason; Unresolved, where the symbolic worker was stopped.
    Source: ours. Oracle: tests/data/test_statement.py::test_planted_statements
    """
    if not text.strip():
        raise Unreadable("the text is empty")
    for rule, span in _marked(text):
        return Statement(answer=_read(span, rule), rule=rule)
    if len(text) <= MAX_WHOLE_CHARS:
        whole = _whole(text)
        if whole is not None:
            return Statement(answer=whole, rule="whole")
    return _in_prose(text)


def _marked(text: str) -> Iterator[tuple[str, str]]:
    if "####" in text:
        yield "hashes", text.rpartition("####")[2].strip().partition("\n")[0]
    if "\\boxed" in text:
        yield "box", _boxed(text)
    inside = between_tags(text)
    if inside is not None:
        yield "tag", inside
    marks = list(_MARK.finditer(text))
    if marks:
        yield "mark", _after(text[marks[-1].end() :])


def _boxed(text: str) -> str:
    found = boxes(text)
    if not found:
        raise Unreadable("a box is not closed")
    contents, previous = [found[-1][2]], found[-1]
    for box in reversed(found[:-1]):
        between = text[box[1] : previous[0]]
        if _JOIN.fullmatch(between):
            contents.insert(0, box[2])
        elif not between.strip(" $\n") and box[2] != contents[0]:
            raise Unreadable("several different answers are boxed")
        else:
            break
        previous = box
    return ", ".join(contents)


def _after(rest: str) -> str:
    line, _, following = rest.partition("\n")
    if not line.strip("*_ $[\\"):
        return following.strip().lstrip("$*_[\\ \n").partition("\n")[0].strip("*_ $")
    return line


def _read(span: str, rule: str) -> Answer:
    """The answer of a span: all of it, its first sentence, else its first number."""
    span = _DISPLAY.sub("", span).strip()
    for mark in _LINES:
        span = span.replace(mark, "")
    first = _SENTENCE.split(span, maxsplit=1)[0].strip(" ,")
    candidates = [span] if rule in ("box", "tag") else [first]
    error: Unreadable | None = None
    for candidate in candidates:
        try:
            answer = read_answer(candidate)
        except Unreadable as found:
            error = found
            continue
        if answer.kind not in ("text", "raw") and not _holds_words(answer):
            return answer
    number = first_result(clean_text(first))
    prose = rule in ("mark", "hashes") and number is not None and number.value is not None
    if prose and number and (quoted := _number_with_unit(first, number)) is not None:
        return quoted
    if error is not None:
        raise error
    return read_answer(candidates[0])


def _holds_words(answer: Answer) -> bool:
    return answer.kind in ("list", "tuple") and "'text'" in repr(answer.key)


def _number_with_unit(text: str, number: Number) -> Answer | None:
    cleaned = clean_text(text)
    words = re.match(r"\s?(?:%|[A-Za-z]+)?", cleaned[number.end :])
    for tail in (words[0] if words else "", ""):
        try:
            found = read_answer(number.text + tail)
        except Unreadable:
            continue
        if found.kind != "text":
            return found
    return None


def _whole(text: str) -> Answer | None:
    text = _DISPLAY.sub("", text)
    sentence = text.strip().replace("**", "")
    if (begun := _YES_OR_NO.match(sentence)) is not None:
        return read_answer(begun[1])
    try:
        answer = read_answer(sentence)
    except Unreadable:
        if len(text.split()) <= 2:
            raise
        return None
    prose = len(re.findall(r"[A-Za-z]{2,}", text)) >= 3 and re.search(r"[0-9$]", text)
    if (answer.kind in ("text", "raw") or _holds_words(answer)) and prose:
        return None
    return answer


def _is_operand(text: str, number: Number) -> bool:
    """Whether the number is one of an expression that was not read."""
    before, after = text[: number.start].rstrip(), text[number.end :].lstrip(" %")
    return before.endswith(("+", "*", "/", "^", "(")) or after.startswith(("+", "*", "^", "_"))


def _in_prose(text: str) -> Statement:
    tail = text[-MAX_CHARS:]
    formulas = [next(x for x in match.groups() if x) for match in _MATH.finditer(tail)]
    for formula in reversed(formulas[-3:]):
        try:
            answer = read_answer(formula)
        except Unreadable:
            continue
        if answer.kind != "text":
            return Statement(answer=answer, rule="formula")
    cleaned = clean_text(tail)
    number = last_number(cleaned)
    if number is not None and number.value is not None and not _is_operand(cleaned, number):
        answer = _number_with_unit(tail, number)
        if answer is not None:
            return Statement(answer=answer, rule="last number")
    if len(text) > MAX_WHOLE_CHARS:
        raise Unreadable("the text states no answer")
    return Statement(answer=read_answer(text.strip()), rule="whole")
