"""Rows of preference files of several formats as prompt, chosen and rejected messages."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.errors import InputError
from burnish.data.chat import ROLES

QUESTIONS = ("prompt", "conversations", "instruction", "question", "input")  # where a prompt stands
SYSTEMS = ("system", "system_prompt")
SPEAKERS = {"Human": "user", "Assistant": "assistant"}
_MARK = re.compile(r"\n\n(Human|Assistant):")
PANDALM = {"instruction", "response1", "response2", "annotator1", "annotator2", "annotator3"}


class RowError(InputError):
    """A row that cannot become a pair; the rule says why."""


class UndecidedError(RowError):
    """A row whose judges agreed on no better answer: not faulty, but no pair."""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What a pair is made of: earlier turns, the last question, and two answers to it."""

    system: str | None
    turns: tuple[tuple[str, str], ...]
    question: str
    chosen: str
    rejected: str


def read_row(row: Mapping[str, Any], number: int) -> Conversation:
    """Read a row in any published format; the question appears once in the result.

    Prompts: `prompt`, `conversations`, `question`, `input` or `instruction` (with `input` and
    `history`), with or without `system` (or `system_prompt`); or what whole conversations, as
    messages or as transcripts of Human and Assistant, begin with. Answers: `chosen` and
    `rejected`, or both in `output`.
    Raises: RowError, naming the row; UndecidedError, where there is no better answer.
    Source: TRL's dataset formats; UltraFeedback; HH-RLHF; LLaMA-Factory's `sharegpt` and `alpaca`;
    PandaLM's test set (majority of three votes).
    Oracle: tests/prefer/test_formats.py::test_formats_give_one_conversation
    """
    if row.keys() >= PANDALM:
        row = _pandalm(row, number)
    kept = {n: v for n, v in row.items() if v is not None or n in ("chosen", "rejected")}
    row = kept | _both_answers(row)
    if not {"chosen", "rejected"} <= row.keys():
        _refuse_columns(row, number)
    sides = [_messages(row[name], number, name, "assistant") for name in ("chosen", "rejected")]
    shared, sides = _split_common(*sides)
    opening = _joined(_opening(row, number), shared, number)
    if not opening and all(len(side) > 1 for side in sides):
        _refuse(number, sides[1][0][1][:60], "must have answers to one question, after one system")
    if not opening:
        _refuse_columns(row, number)
    name = next((name for name in SYSTEMS if row.get(name)), None)
    if name and opening[0][0] != "system":
        opening = [("system", _text(row[name], number, name)), *opening]
    answers = [_answer(side, number, n) for side, n in zip(sides, ("chosen", "rejected"))]  # noqa: B905
    system, turns, question = _turns(opening, number)
    if answers[0] == answers[1]:
        _refuse(number, answers[0][:60], "must have two different answers")
    return Conversation(
        system=system, turns=turns, question=question, chosen=answers[0], rejected=answers[1]
    )


def _both_answers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Alpaca's older form: the better and the worse answer in one column."""
    output = row.get("output")
    if "chosen" in row or isinstance(output, str) or not isinstance(output, Sequence):
        return {}
    return {"chosen": output[0], "rejected": output[1]} if len(output) == 2 else {}


def _opening(row: Mapping[str, Any], number: int) -> list[tuple[str, str]]:
    """The messages of the prompt's column; none where the row has no such column."""
    name = next((name for name in QUESTIONS if name in row), None)
    if name is None:
        return []
    messages = _messages(row[name], number, name, "user")
    if name != "instruction":
        return messages
    parts = [row["instruction"], row.get("input")]
    whole = "\n\n".join(part for part in parts if isinstance(part, str) and part.strip())
    turns = row.get("history") or []
    if not all(isinstance(turn, Sequence) and len(turn) == 2 for turn in turns):
        _refuse(number, turns, "must have pairs of question and answer as 'history'")
    texts = [_text(text, number, "history") for turn in turns for text in turn]
    roles = ("user", "assistant") * len(turns)
    return [*zip(roles, texts, strict=True), ("user", whole)]


def _joined(
    opening: list[tuple[str, str]], shared: list[tuple[str, str]], number: int
) -> list[tuple[str, str]]:
    """The prompt's column and what both answers begin with: they may repeat each other."""
    stripped = [[(role, text.strip()) for role, text in part] for part in (opening, shared)]
    if not shared or not opening:
        return opening or shared
    if stripped[1][-len(opening) :] == stripped[0]:
        return shared
    if stripped[0][-len(shared) :] == stripped[1]:
        return opening
    if shared[0][0] == "assistant":  # the answers go on with the conversation
        return opening + shared
    _refuse(number, shared[-1][1][:60], "must have answers to the question of its prompt")
    raise AssertionError


def _pandalm(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    votes = Counter(row[f"annotator{judge}"] for judge in (1, 2, 3))
    winner, count = votes.most_common(1)[0]
    if winner not in (1, 2) or count < 2:
        said = [row[f"annotator{judge}"] for judge in (1, 2, 3)]
        remedy = "Nothing to do: the row is skipped"
        raise UndecidedError(f"row {number}", said, "has no preferred answer", remedy=remedy)
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
        return _transcript(value) or [(role, value)]
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, Sequence) or not items:
        _refuse(number, value, f"must have text or messages as {name!r}")
    found = []
    for item in items:
        if not isinstance(item, Mapping):
            _refuse(number, item, f"must have messages as {name!r}")
        who = item.get("role", item.get("from"))
        if who not in ROLES:
            _refuse(number, item, f"must have messages of a known role with a text in {name!r}")
        content = item.get("content", item.get("value"))
        found.append((ROLES[who], _text(content, number, name)))
    return found


def _text(content: Any, number: int, name: str) -> str:
    """A message's text, from a string or from blocks of text."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, Sequence) else []
    texts = [block.get("text") for block in blocks if isinstance(block, Mapping)]
    if not blocks or len(texts) < len(blocks) or not all(isinstance(t, str) for t in texts):
        _refuse(number, content, f"must have messages of a known role with a text in {name!r}")
    return "".join(str(text) for text in texts)


def _transcript(text: str) -> list[tuple[str, str]]:
    """Messages of a transcript of Human and Assistant; none where the text is no such thing."""
    if not text.lstrip().startswith("Human:"):
        return []
    pieces = _MARK.split("\n\n" + text.lstrip())[1:]
    found = [(SPEAKERS[who], said.strip()) for who, said in zip(pieces[::2], pieces[1::2])]  # noqa: B905
    return found[:-1] if found[-1] == ("assistant", "") else found  # where an answer shall follow


def _split_common(
    chosen: list[tuple[str, str]], rejected: list[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[list[tuple[str, str]]]]:
    """Whole conversations: what they begin with is the prompt."""
    same = 0
    for one, other in zip(chosen, rejected, strict=False):
        if one != other:
            break
        same += 1
    same = max(min(same, len(chosen) - 1, len(rejected) - 1), 0)
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


def _refuse_columns(row: Mapping[str, Any], number: int) -> None:
    ways = f"'chosen' and 'rejected', and one of {', '.join(QUESTIONS)} or whole conversations"
    _refuse(number, sorted(row), f"must have the columns {ways}")


def _refuse(number: int, got: Any, rule: str) -> None:
    raise RowError(f"row {number}", got, rule, remedy="Correct the row, or leave it out")
