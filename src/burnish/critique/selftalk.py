"""Self-talk: a chain of steps, checks and revisions whose wrong steps are not learned from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from burnish.base.errors import InputError
from burnish.critique.grammar import Critique

Level = Literal["self-talk", "step", "trajectory"]
_LINE = re.compile(r"(?P<step>.*?)(?P<marks>(?:<(?:check|revise)>.*?</(?:check|revise)>)*)")
_MARK = re.compile(r"<(check|revise)>(.*?)</\1>")
FORBIDDEN = ("<check>", "</check>", "<revise>", "</revise>", "\n")


@dataclass(frozen=True, kw_only=True)
class Thought:
    """One step, the check of it, and its replacement where the check found an error."""

    step: str
    right: bool
    why: str = ""
    revised: str = ""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A span of a text, and whether it is trained on."""

    text: str
    learned: bool


def weave(critique: Critique, rest: Sequence[str]) -> list[Thought]:
    """The chain of a critique that stops at the first error, and of the right steps from there."""
    thoughts = [Thought(step=s.sentence, right=s.right, why=s.why) for s in critique.steps]
    if thoughts and not thoughts[-1].right:
        last = thoughts[-1]
        thoughts[-1] = Thought(step=last.step, right=False, why=last.why, revised=rest[0])
        rest = rest[1:]
    return [*thoughts, *(Thought(step=step, right=True) for step in rest)]


def serialise(thoughts: Sequence[Thought]) -> str:
    """The text of a chain, one step a line. Raises: InputError, for a step that holds a mark.

    Source: ours; the paper's own format is not published.
    Oracle: tests/critique/test_selftalk.py::test_parse_is_the_inverse
    """
    return "".join(span.text for span in spans(thoughts))


def spans(thoughts: Sequence[Thought]) -> list[Span]:
    """The text in spans: a step that is known to be wrong is not trained on."""
    found: list[Span] = []
    for number, thought in enumerate(thoughts):
        for text in (thought.step, thought.why, thought.revised):
            bad = next((mark for mark in FORBIDDEN if mark in text), None)
            if bad is not None:
                raise InputError("step", text, f"must not hold {bad!r}", remedy="Leave it out")
        verdict = "Correct" if thought.right else "Wrong"
        check = f"<check>{verdict}{'; ' + thought.why if thought.why else ''}</check>"
        found.append(Span(text=thought.step, learned=thought.right))
        tail = check + (f"<revise>{thought.revised}</revise>" if thought.revised else "")
        end = "" if number == len(thoughts) - 1 else "\n"
        found.append(Span(text=tail + end, learned=True))
    return found


def parse_talk(text: str) -> list[Thought] | None:
    """The chain of a text; None for a text that is none."""
    thoughts = []
    for line in text.split("\n"):
        match = _LINE.fullmatch(line)
        marks = dict(_MARK.findall(match["marks"])) if match else {}
        if match is None or "check" not in marks:
            return None
        verdict, _, why = marks["check"].partition("; ")
        if verdict not in ("Correct", "Wrong"):
            return None
        thoughts.append(
            Thought(step=match["step"], right=verdict == "Correct", why=why,
                    revised=marks.get("revise", ""))
        )  # fmt: skip
    return thoughts


def corrected(thoughts: Sequence[Thought], level: Level) -> str:
    """The same solution for the levels that are compared.

    `self-talk` keeps error, check and revision; `step` has each wrong step replaced in place;
    `trajectory` has the wrong attempt first, then the whole solution again.
    """
    return "".join(span.text for span in spans_at(thoughts, level))


def spans_at(thoughts: Sequence[Thought], level: Level) -> list[Span]:
    """The solution of a level in spans: a wrong step is not learned, at whatever level."""
    if level == "self-talk":
        return spans(thoughts)
    right = "\n".join(thought.revised or thought.step for thought in thoughts)
    wrong = next((i for i, thought in enumerate(thoughts) if not thought.right), None)
    if level == "step" or wrong is None:
        return [Span(text=right, learned=True)]
    before = "".join(f"{thought.step}\n" for thought in thoughts[:wrong])
    parts = [(before, True), (thoughts[wrong].step, False), (f"\n<retry>\n{right}", True)]
    return [Span(text=text, learned=learned) for text, learned in parts if text]
