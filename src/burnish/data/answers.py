"""The final answer of a worked text, by fixed rules; several candidates are never weighed.

A text that states several answers is judged by the rule alone: the first rule below that finds
an answer decides, whatever else the text says. That makes hedging useless and the checker a
function of the text.
"""

import re

from burnish.data.numbers import Number, clean_text, find_numbers, read_number

_HEADING = re.compile(r"[.):]\s*\S")  # "#### 2. Then we add" is a heading, not an answer
_ANSWER_IS = re.compile(r"\banswer[*_\"'\s]*+(?:is\b|[:=])[ \t:*_]*+", re.IGNORECASE)
_ANSWER_COLON = re.compile(r"\banswer[*_]*+\s*+:", re.IGNORECASE)
_EXPRESSION = re.compile(r"[-+*/\u00d7\u00f7x()\s$€£0-9.,%^=]*=")
MAX_BOXES = 20  # the last ones
_BOX = re.compile(r"\\boxed\s*\{")
_UNIT = r"(?:\s?[A-Za-z]{1,20}(?:\s[A-Za-z]{1,20})?)?"
_TERM = rf"\(*+[-+]?[$€£]?[0-9][0-9.,/]*+%?{_UNIT}\)*+"
_SUM = re.compile(  # with units, an operator must be there: `60 minutes = 1 hour` is no sum
    rf"{_TERM}(?:\s*(?:[-+*/\u00d7\u00f7x^]|times|plus|minus|of|divided by)\s*{_TERM}){{1,20}}\s*="
)


def final_number(text: str) -> Number | None:
    r"""Return the number that a text gives as its final answer, or None.

    The first of these that holds a number decides, the last occurrence of each mark:
    `#### 42`; `\boxed{42}`; `<answer>42</answer>`; `answer is 42`, `Answer: 42` (also with the
    number alone on the next line); else the last number of the text. After a mark the first
    number counts, and where it begins a sum (`4 + 3 = 7`) the result of the sum.
    Source: ours; `####` from Cobbe et al. 2021 (arXiv 2110.14168), the data format of GSM8K.
    Oracle: tests/data/test_answers.py::test_final_numbers_of_planted_texts
    """
    text = clean_text(text)
    for read in (_after_hashes, _in_box, _in_tag, _after_answer, last_number):
        number = read(text)
        if number is not None:
            return number
    return None


def stated_answer(text: str) -> str:
    """Return what is in the last `<answer>` tag, else after the last `Answer:`, else all.

    Surrounding white space is gone, and after `Answer:` surrounding `*` and `_` of markdown too.
    Source: ours; the tag is reasoning-gym's system prompt.
    Oracle: tests/data/test_answers.py::test_stated_answers_of_planted_texts
    """
    inside = between_tags(text)
    if inside is not None:
        return inside.strip()
    marks = list(_ANSWER_COLON.finditer(text))
    if marks:
        return text[marks[-1].end() :].strip().strip("*_").strip()
    return text.strip()


def _after_hashes(text: str) -> Number | None:
    for line in reversed(text.split("\n")):
        _, mark, rest = line.partition("####")
        rest = rest.lstrip("#* \t")
        first = next(find_numbers(rest), None) if mark else None
        if first is not None and first.start == 0 and not _HEADING.match(rest, first.end):
            return first_result(rest)
    return None


def _in_box(text: str) -> Number | None:
    found = boxes(text)
    return first_result(found[-1][2]) if found and found[-1][0] >= text.rfind("\\boxed{") else None


def _in_tag(text: str) -> Number | None:
    inside = between_tags(text)
    return None if inside is None else first_result(inside)


def _after_answer(text: str) -> Number | None:
    marks = list(_ANSWER_IS.finditer(text))
    if not marks:
        return None
    line, _, rest = text[marks[-1].end() :].partition("\n")
    if line.strip():
        return first_result(line)
    return read_number(rest.lstrip().partition("\n")[0].strip("*_ "))


def last_number(text: str) -> Number | None:
    """The last number of a cleaned text."""
    number = None
    for number in find_numbers(text):  # noqa: B007 - the last one is wanted
        pass
    return number


def first_result(text: str) -> Number | None:
    """The first number of a cleaned text; where it begins a sum, the result of the sum."""
    first = next(find_numbers(text), None)
    if first is None:
        return None
    expression = _EXPRESSION.match(text, first.start) or _SUM.match(text, first.start)
    result = next(find_numbers(text[expression.end() :]), None) if expression else None
    return result or first


def boxes(text: str) -> list[tuple[int, int, str]]:
    r"""Start, end and content of every `\boxed{...}` that is closed and holds no other one."""
    found: list[tuple[int, int, str]] = []
    starts = [match.start() for match in _BOX.finditer(text)]
    for start in starts[-MAX_BOXES:]:
        depth, begin = 0, text.index("{", start)
        for i in range(begin, len(text)):
            depth += {"{": 1, "}": -1}.get(text[i], 0)
            if depth == 0:
                content = text[begin + 1 : i]
                if "\\boxed" not in content:
                    found.append((start, i + 1, content))
                break
    return found


def between_tags(text: str) -> str | None:
    """What is in the last `<answer>` tag, None where there is none."""
    end = text.rfind("</answer>")
    start = text.rfind("<answer>", 0, max(end, 0))
    return text[start + len("<answer>") : end] if start >= 0 else None
