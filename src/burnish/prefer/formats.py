"""Rows of preference files, whoever wrote them, as prompt, chosen and rejected messages."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.errors import InputError

ROLES = {
    "human": "user",
    "gpt": "assistant",
    "user": "user",
    "assistant": "assistant",
    "system": "system",
}
PANDALM = {"instruction", "response1", "response2", "annotator1", "annotator2", "annotator3"}


class RowError(InputError):
    """A row that cannot become a pair; the rule says why."""


class UndecidedError(RowError):
    """A row whose judges did not agree on a better answer: no fault, and no pair."""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What a pair is made of: earlier turns, the last question, and two answers to it."""

    system: str | None
    turns: tuple[tuple[str, str], ...]
    question: str
    chosen: str
    rejected: str


def read_row(row: Mapping[str, Any], number: int) -> Conversation:
    """A row in TRL's form (strings, messages or whole conversations), ShareGPT's or PandaLM's.

    Raises: RowError, naming the row; UndecidedError, where there is no better answer.
    Source: TRL's dataset formats; LLaMA-Factory's `sharegpt`; PandaLM's test set (majority of
    three votes). Oracle: tests/prefer/test_formats.py::test_formats_give_one_conversation
    """
    if row.keys() >= PANDALM:
        row = _pandalm(row, number)
    for name in ("chosen", "rejected"):
        if name not in row:
            _refuse(number, sorted(row), f"must have a field {name!r}")
    before = row.get("prompt", row.get("conversations"))
    sides = [_messages(row[name], number, name, "assistant") for name in ("chosen", "rejected")]
    if before is not None:
        opening = _messages(before, number, "prompt", "user")
    elif isinstance(row["chosen"], str) or isinstance(row["rejected"], str):
        _refuse(number, sorted(row), "must have a field 'prompt'")
    else:
        opening, sides = _split_common(*sides)
    answers = [_answer(side, number, n) for side, n in zip(sides, ("chosen", "rejected"))]  # noqa: B905
    system, turns, question = _turns(opening, number)
    if answers[0] == answers[1]:
        _refuse(number, answers[0][:60], "must have two different answers")
    return Conversation(
        system=system, turns=turns, question=question, chosen=answers[0], rejected=answers[1]
    )


def _pandalm(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    votes = Counter(row[f"annotator{judge}"] for judge in (1, 2, 3))
    winner, count = votes.most_common(1)[0]
    if winner not in (1, 2) or count < 2:
        said = [row[f"annotator{judge}"] for judge in (1, 2, 3)]
        remedy = "Nothing to mend: it is left out"
        raise UndecidedError(
            f"row {number}", said, "has no answer that was preferred", remedy=remedy
        )
    parts = [row["instruction"], row.get("input")]
    prompt = "\n\n".join(part for part in parts if isinstance(part, str) and part.strip())
    return {
        "prompt": prompt,
        "chosen": row[f"response{winner}"],
        "rejected": row[f"response{3 - winner}"],
    }


def _messages(value: Any, number: int, name: str, role: str) -> list[tuple[str, str]]:
    """Messages as (role, text); a string is one message of the role that is expected there."""
    if isinstance(value, str):
        return [(role, value)]
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, Sequence) or not items:
        _refuse(number, value, f"must have text or messages as {name!r}")
    found = []
    for item in items:
        if not isinstance(item, Mapping):
            _refuse(number, item, f"must have messages as {name!r}")
        who, text = item.get("role", item.get("from")), item.get("content", item.get("value"))
        if not isinstance(text, str) or who not in ROLES:
            _refuse(number, item, f"must have messages of a known role with a text in {name!r}")
        found.append((ROLES[who], text))
    return found


def _split_common(
    chosen: list[tuple[str, str]], rejected: list[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[list[tuple[str, str]]]]:
    """Whole conversations: what they begin with is the prompt."""
    same = 0
    for one, other in zip(chosen, rejected, strict=False):
        if one != other:
            break
        same += 1
    same = min(same, len(chosen) - 1, len(rejected) - 1)
    return chosen[:same], [chosen[same:], rejected[same:]]


def _answer(messages: list[tuple[str, str]], number: int, name: str) -> str:
    roles = [role for role, _ in messages]
    if roles != ["assistant"]:
        _refuse(number, roles, f"must have one message of the assistant as {name!r}")
    if not messages[0][1].strip():
        _refuse(number, messages[0][1], f"must not have an empty {name!r}")
    return messages[0][1]


def _turns(
    messages: list[tuple[str, str]], number: int
) -> tuple[str | None, tuple[tuple[str, str], ...], str]:
    system = messages[0][1] if messages and messages[0][0] == "system" else None
    rest = messages[1:] if system is not None else messages
    roles = [role for role, _ in rest]
    if roles != ["user", "assistant"] * (len(rest) // 2) + ["user"]:
        _refuse(number, roles, "must have a prompt that alternates and ends with the user")
    texts = [text for _, text in rest]
    if not texts[-1].strip():
        _refuse(number, texts[-1], "must not have an empty 'prompt'")
    turns = tuple(zip(texts[:-1:2], texts[1::2], strict=True))
    return system, turns, texts[-1]


def _refuse(number: int, got: Any, rule: str) -> None:
    raise RowError(f"row {number}", got, rule, remedy="Mend the row, or leave it out")
