"""`choice`: the text names one of the labels in the task's `metadata["choices"]`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burnish.contracts.task import Judgement, Task, Verdict
from burnish.data.answers import stated_answer
from burnish.data.checkers import checkers

_OPEN, _CLOSE = r"[\s(\[*\"'{]*+", r"[\s)\].:*\"'}]*+"
_STATED = r"\banswer[*_\"'\s]*+(?:is\b|[:=])[\s:*_(\[\"']*+({labels})(?![A-Za-z0-9_])"


@checkers.register("choice")
@dataclass(frozen=True, kw_only=True)
class ChoiceChecker:
    """Reads one label and compares it with the reference label.

    The first rule that finds a label decides: the stated answer is a label and nothing else
    (`B`, `(b)`, `**B.**`); it begins with a bracketed or punctuated label (`B) Paris`); the last
    `answer is B`; the last label that stands alone. Case counts only in the last rule and only
    for one-letter labels there, because "a" is also an article.
    `choices` is a list of labels, or a mapping from labels to their texts.
    Source: ours.
    Oracle: tests/data/test_checkers.py::test_choice_agrees_with_planted_truth
    """

    def check(self, text: str, task: Task) -> Judgement:
        """Judge the label that `text` names."""
        choices = task.metadata.get("choices")
        usable = isinstance(choices, Sequence | Mapping) and not isinstance(choices, str)
        labels = [str(label) for label in choices] if usable and choices else []
        if task.answer not in labels:
            reason = f"the reference {task.answer!r} is not among the choices {labels}"
            return Judgement(verdict=Verdict.UNSCORED, reason=reason)
        label = _read_label(text, labels)
        if label is None:
            return Judgement(verdict=Verdict.UNPARSABLE, reason="the text names no choice")
        right = label == task.answer
        return Judgement(verdict=Verdict.RIGHT if right else Verdict.WRONG, extracted=label)


def _read_label(text: str, labels: Sequence[str]) -> str | None:
    either = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    stated = stated_answer(text)
    whole = re.fullmatch(f"{_OPEN}({either}){_CLOSE}", stated, re.IGNORECASE)
    head = re.match(rf"[(\[*\s]*+({either})\s*+[)\].:]", stated, re.IGNORECASE)
    found = whole or head
    if found is None:
        marks = list(re.finditer(_STATED.format(labels=either), text, re.IGNORECASE))
        found = marks[-1] if marks else None
    if found is None:
        alone = re.finditer(rf"(?<![A-Za-z0-9_])({either})(?![A-Za-z0-9_])", text, re.IGNORECASE)
        strict = [m for m in alone if len(m[1]) > 1 or m[1] in labels]
        found = strict[-1] if strict else None
    return None if found is None else _as_listed(found[1], labels)


def _as_listed(found: str, labels: Sequence[str]) -> str:
    """The label as the task writes it; the same case wins where two differ by case only."""
    if found in labels:
        return found
    return next((x for x in labels if x.casefold() == found.casefold()), found)
