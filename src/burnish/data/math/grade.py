"""Grade an answer against a reference, and sort answers into classes of equal ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from burnish.base.errors import SettingError
from burnish.data.math.answer import Answer, read_answer
from burnish.data.math.numeric import Key
from burnish.data.math.statement import find_answer
from burnish.data.math.symbolic import Unresolved
from burnish.data.math.tokens import Unreadable

RIGHT, WRONG, UNREADABLE, UNSCORED = "right", "wrong", "unreadable", "unscored"


@dataclass(frozen=True, kw_only=True)
class Grade:
    """What grading found.

    `verdict`: right, wrong, unreadable (the text states no answer that can be read) or unscored
    (the reference cannot be read, or the symbolic worker was stopped). `span` is what was read of
    the answer, by `rule`; `reason` says why the verdict is what it is.
    """

    verdict: str
    gold_type: str | None
    answer_type: str | None
    span: str | None
    rule: str | None
    reason: str

    @property
    def correct(self) -> bool:
        """Whether the verdict is right."""
        return self.verdict == RIGHT


def grade(gold: str, answer: str, *, tolerance: float | None = None) -> Grade:
    """Grade the text `answer` against the reference `gold`.

    Equality is exact. With `tolerance` (relative) two numbers may differ so much, a mode that no
    vote may use: it is not transitive. Raises: SettingError, for a tolerance that is not positive.
    Source: ours. Oracle: tests/data/test_grade.py::test_the_case_files
    """
    if tolerance is not None and not 0 < tolerance < 1:
        rule = "must lie between 0 and 1"
        raise SettingError("tolerance", tolerance, rule, remedy="1e-6 is usual; leave it out")
    try:
        reference = read_gold(gold)
    except (Unreadable, Unresolved) as error:
        return _failed(UNSCORED, f"the reference cannot be read: {error}")
    try:
        stated = find_answer(answer)
    except Unreadable as error:
        return _failed(UNREADABLE, str(error), reference)
    except Unresolved as error:
        return _failed(UNSCORED, str(error), reference)
    found = stated.answer
    same = found.key == reference.key
    reason = _reason(reference, found, same)
    if not same and tolerance is not None and _near(reference, found, tolerance):
        same, reason = True, f"within the tolerance {tolerance:g}"
    verdict = RIGHT if same else WRONG
    if not same and "raw" in (found.key[0], reference.key[0]) and found.kind == reference.kind:
        verdict, reason = UNSCORED, "both contain unknown commands, and differ as text"
    return Grade(
        verdict=verdict,
        gold_type=reference.kind,
        answer_type=found.kind,
        span=found.text,
        rule=stated.rule,
        reason=reason,
    )


def read_gold(gold: str) -> Answer:
    """The reference, which is one answer or a worked text with a mark."""
    try:
        answer = read_answer(gold)
    except Unreadable:
        return find_answer(gold).answer
    return find_answer(gold).answer if answer.kind in ("text", "raw") else answer


def class_key(text: str) -> Key | None:
    """What texts with equal answers share; None for one that states no readable answer."""
    try:
        return find_answer(text).answer.key
    except (Unreadable, Unresolved):
        return None


def answer_classes(texts: Sequence[str]) -> list[int | None]:
    """The class of each text, numbered as they appear; None for what has no readable answer.

    Transitive by construction: a class is the key of one answer, never a comparison of two.
    Linear in the number of texts.
    Source: ours. Oracle: tests/data/test_grade.py::test_classes_equal_the_pairwise_closure
    """
    numbers: dict[Key, int] = {}
    keys = [class_key(text) for text in texts]
    return [None if key is None else numbers.setdefault(key, len(numbers)) for key in keys]


def _failed(verdict: str, reason: str, reference: Answer | None = None) -> Grade:
    kind = None if reference is None else reference.kind
    return Grade(
        verdict=verdict, gold_type=kind, answer_type=None, span=None, rule=None, reason=reason
    )


def _reason(reference: Answer, found: Answer, same: bool) -> str:
    if same:
        return "the answers are equal"
    if found.kind != reference.kind:
        return f"the reference is of type {reference.kind}, the answer of type {found.kind}"
    return "the answers differ"


def _near(reference: Answer, found: Answer, tolerance: float) -> bool:
    values = [_approximate(one) for one in (reference, found)]
    if values[0] is None or values[1] is None:
        return False
    limit = Fraction(tolerance) * max(abs(values[0]), Fraction(1, 10**300))
    return abs(values[0] - values[1]) <= limit


def _approximate(answer: Answer) -> Fraction | None:
    if answer.value is not None:
        return answer.value
    key = answer.key
    if key[0] == "q":
        return Fraction(key[1], key[2])
    if key[0] == "n" and not key[2] and key[3][1] == "0":
        return Fraction(key[3][0])
    return None
