"""The format of a critique, written and parsed; malformed text has a state of its own.

Two forms hold the same: `full` is the published one (sentence, verdict, explanation), `compact`
has one line a step, for small models: the step, what it should be, and the verdict on the two
(`17+25=43 > 17+25=42 no`). The verdict comes last, so that a model compares what stands there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Form = Literal["full", "compact"]

STEP = "Step sentence: "
STEP_VERDICT = "Correctness of the step: "
FINAL_VERDICT = "Correctness of the final answer: "
WHY = "Explanation: "
WORDS = {True: "Correct", False: "Wrong"}
SHORT = {True: "ok", False: "no"}
COMPACT_FINAL, BESIDE = "answer", " > "
_VERDICT = re.compile(r"(Correct|Wrong)\b\.?\s*", re.IGNORECASE)
_ENDING = rf"(?:{BESIDE}(?P<why>.*))? (?P<verdict>ok|no)"
_COMPACT, _KNOWN = re.compile(rf"(?P<step>.+?){_ENDING}"), re.compile(_ENDING)


class State(StrEnum):
    """The state of a text that should be a critique."""

    SOUND = "sound"
    UNPARSABLE = "unparsable"  # not in the form, or cut before its final verdict
    RAMBLES = "rambles"  # steps that are not the solution's, or not in its order
    CONTRADICTS = "contradicts"  # its verdicts do not go together


@dataclass(frozen=True, kw_only=True)
class StepVerdict:
    """One step: its sentence, whether it is called right, and why."""

    sentence: str
    right: bool
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Critique:
    """Verdicts on the steps in order, and on the final answer."""

    steps: tuple[StepVerdict, ...]
    right: bool
    why: str = ""

    @property
    def first_error(self) -> int:
        """Index of the first step that is called wrong, -1 where there is none."""
        return next((i for i, step in enumerate(self.steps) if not step.right), -1)


@dataclass(frozen=True, kw_only=True)
class Read:
    """A text as a critique: its state, and the critique where it could be read."""

    state: State
    critique: Critique | None = None

    @property
    def usable(self) -> bool:
        """Whether its verdicts can be used."""
        return self.state == State.SOUND


def render(critique: Critique, form: Form = "full") -> str:
    """The text of a critique.

    Source: WooooDyy/MathCritique, the format of its data; the compact form is ours.
    Oracle: tests/critique/test_grammar.py::test_read_is_the_inverse_of_render
    """
    if form == "compact":
        lines = [compact_line(step.sentence, step.right, step.why) for step in critique.steps]
        return "\n".join([*lines, compact_line(COMPACT_FINAL, critique.right, critique.why)])
    lines = []
    for step in critique.steps:
        lines += [STEP + step.sentence, STEP_VERDICT + WORDS[step.right], WHY + step.why]
    return "\n".join([*lines, FINAL_VERDICT + WORDS[critique.right], WHY + critique.why])


def compact_line(sentence: str, right: bool, why: str = "") -> str:
    """One line of the compact form; a right step stands beside itself.

    Source: ours. Oracle: tests/critique/test_grammar.py::test_the_compact_form
    """
    beside = why or sentence * (right and sentence != COMPACT_FINAL)
    return f"{sentence}{BESIDE * bool(beside)}{beside} {SHORT[right]}"


def parse(text: str, form: Form = "full", expected: Sequence[str] = ()) -> Critique | None:
    """The critique that a text is; None for a text that is not in the form to its end.

    `expected` are the solution's steps: one that contains the compact form's mark, such as
    `3 > 2`, is read as a whole where it stands.
    """
    lines = [line.rstrip() for line in text.strip().split("\n")]
    return _parse_compact(lines, expected) if form == "compact" else _parse_full(lines)


def _parse_compact(lines: Sequence[str], expected: Sequence[str]) -> Critique | None:
    steps: list[StepVerdict] = []
    for number, line in enumerate(lines):
        known = expected[number] if number < len(expected) else ""
        begins = bool(known) and line.startswith(known + BESIDE)
        match = (_KNOWN if begins else _COMPACT).fullmatch(line, len(known) if begins else 0)
        if match is None:
            return None
        right, why = match["verdict"] == "ok", match["why"] or ""
        step = known if begins else match["step"]
        if step == COMPACT_FINAL:
            last = number == len(lines) - 1
            return Critique(steps=tuple(steps), right=right, why=why) if last else None
        why = "" if right and why == step else why
        steps.append(StepVerdict(sentence=step, right=right, why=why))
    return None


def _parse_full(lines: Sequence[str]) -> Critique | None:
    steps: list[StepVerdict] = []
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        if lines[at].startswith(FINAL_VERDICT):
            right = _verdict(lines[at].removeprefix(FINAL_VERDICT))
            why, end = _explanation(lines, at + 1)
            if right is None or end < len(lines):
                return None
            return Critique(steps=tuple(steps), right=right, why=why)
        if not lines[at].startswith(STEP) or at + 1 >= len(lines):
            return None
        right = None
        if lines[at + 1].startswith(STEP_VERDICT):
            right = _verdict(lines[at + 1].removeprefix(STEP_VERDICT))
        if right is None:
            return None
        why, end = _explanation(lines, at + 2)
        steps.append(StepVerdict(sentence=lines[at].removeprefix(STEP), right=right, why=why))
        at = end
    return None


def _verdict(text: str) -> bool | None:
    match = _VERDICT.fullmatch(text.strip())
    return None if match is None else match[1].casefold() == "correct"


def _explanation(lines: Sequence[str], at: int) -> tuple[str, int]:
    """The explanation at line `at`, over lines until the next mark; and where it ends."""
    if at >= len(lines) or not lines[at].startswith(WHY.rstrip()):
        return "", at
    parts = [lines[at].removeprefix(WHY.rstrip()).strip()]
    at += 1
    while at < len(lines) and not lines[at].startswith((STEP, FINAL_VERDICT)):
        parts.append(lines[at])
        at += 1
    return "\n".join(parts).strip(), at


def read(text: str, solution_steps: Sequence[str], form: Form = "full") -> Read:
    """The state of a text as a critique of these steps.

    Steps must be copied in order from the first on; a critique may stop after the first that it
    calls wrong. A wrong step with a right final answer contradicts itself, as does the reverse.
    Source: ours. Oracle: tests/critique/test_grammar.py::test_states_of_planted_texts
    """
    critique = parse(text, form, solution_steps)
    if critique is None:
        return Read(state=State.UNPARSABLE)
    named = [_plain(step.sentence) for step in critique.steps]
    expected = [_plain(step) for step in solution_steps]
    whole = len(named) == len(expected) or critique.first_error == len(named) - 1
    if named != expected[: len(named)] or not whole:
        return Read(state=State.RAMBLES, critique=critique)
    if critique.right != (critique.first_error < 0):
        return Read(state=State.CONTRADICTS, critique=critique)
    return Read(state=State.SOUND, critique=critique)


def _plain(text: str) -> str:
    return " ".join(text.split())


def steps_of(answer: str) -> list[str]:
    """The steps of an answer: its lines that hold something, without the line of the result."""
    lines = [line.strip() for line in answer.split("\n")]
    return [line for line in lines if line and not line.startswith("####")]
