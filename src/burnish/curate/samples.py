"""One row of a pool in any format: turns of a conversation, or a text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from burnish.base.errors import InputError
from burnish.data.chat import ROLES

IDS = ("id", "task_id", "uuid", "idx")
QUESTIONS = ("instruction", "prompt", "question", "query", "problem")
ANSWERS = ("response", "output", "completion", "answer", "solution", "chosen")
TEXTS = ("text", "content", "code")
TALKS = ("messages", "conversations", "conversation", "dialog")


class ShapeError(InputError):
    """A row that is not a sample; the rule says why."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One message; `index` is its place in the row's own list."""

    role: str  # user, assistant, system or text
    text: str
    index: int = 0


@dataclass(frozen=True)
class Sample:
    """A row of a pool. `number` counts rows from 1; a row without an id is called `row-N`."""

    id: Any
    number: int
    turns: tuple[Turn, ...]
    row: Mapping[str, Any]

    @cached_property
    def question(self) -> str:
        """The users' turns, or the whole text of a row that is not a conversation."""
        return "\n".join(t.text for t in self.turns if t.role in ("user", "text"))

    @cached_property
    def answer(self) -> str:
        """The assistant's turns."""
        return "\n".join(t.text for t in self.turns if t.role == "assistant")

    @cached_property
    def text(self) -> str:
        """All turns."""
        return "\n".join(t.text for t in self.turns)

    @property
    def is_empty(self) -> bool:
        """Whether a side is blank, so that nothing can be learned from the row."""
        talks = any(t.role != "text" for t in self.turns)
        return not self.question.strip() or (talks and not self.answer.strip())


def read_sample(row: Mapping[str, Any], number: int, *, any_shape: bool = False) -> Sample:
    """The sample of a row: messages, instruction and response, prompt and completion, or a text.

    Raises: ShapeError, for a row in no known shape; with `any_shape` it has no turns instead.
    Source: the shapes of TRL, ShareGPT, Alpaca and OpenAI.
    Oracle: tests/curate/test_samples.py::test_shapes_give_the_same_turns
    """
    id = next((row[key] for key in IDS if row.get(key) not in (None, "")), f"row-{number}")
    if isinstance(id, Mapping | list):
        raise ShapeError("id", id, "must be a text or a number", remedy="Write one")
    try:
        turns = tuple(_turns(row))
    except ShapeError:
        if not any_shape:
            raise
        turns = ()
    return Sample(id=id, number=number, turns=turns, row=row)


def _turns(row: Mapping[str, Any]) -> list[Turn]:
    talk = next((row[name] for name in TALKS if row.get(name)), None)
    if talk is not None:
        return _messages(talk, 0)
    question = next((name for name in QUESTIONS if row.get(name) is not None), None)
    answer = next((name for name in ANSWERS if row.get(name) is not None), None)
    if question is None:
        text = next((row[name] for name in TEXTS if row.get(name) is not None), None)
        if text is None and answer is not None:
            return [Turn(role="user", text=""), *_side(row[answer], "assistant", 1)]
        if text is None:
            rule = "must have a known shape"
            raise ShapeError("row", sorted(map(str, row)), rule, remedy="Write messages")
        return _side(text, "text", 0)
    turns = [Turn(role="system", text=row["system"])] if isinstance(row.get("system"), str) else []
    asked = _side(row[question], "user", 0)
    extra = row.get("input")
    if len(asked) == 1 and isinstance(extra, str) and extra.strip() and question != "input":
        asked = [Turn(role="user", text=f"{asked[0].text}\n{extra}")]
    turns += _history(row.get("history")) + asked
    said = row[answer] if answer is not None else row.get("text", "")
    return turns + _side(said, "assistant", len(turns))


def _side(value: Any, role: str, index: int) -> list[Turn]:
    if isinstance(value, str):
        return [Turn(role=role, text=value, index=index)]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [Turn(role=role, text=str(value), index=index)]
    return _messages(value, index)


def _history(pairs: Any) -> list[Turn]:
    found: list[Turn] = []
    for pair in pairs if isinstance(pairs, Sequence) and not isinstance(pairs, str) else ():
        if isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2:
            texts = zip(("user", "assistant"), pair, strict=True)
            found += [Turn(role=role, text=str(text)) for role, text in texts]
    return found


def _messages(value: Any, start: int) -> list[Turn]:
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, Sequence) or isinstance(items, str | bytes) or not items:
        raise ShapeError("messages", value, "must be a list of messages", remedy="Write a list")
    found = []
    for index, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise ShapeError("message", item, "must be an object", remedy="Write role and content")
        who = item.get("role", item.get("from"))
        role = ROLES.get(who, "user" if who in ("tool", "function", "observation") else "")
        if not role:
            raise ShapeError("role", who, "must be a known role", remedy="Write user or assistant")
        content = item.get("content", item.get("value"))
        found.append(Turn(role=role, text=_content(content), index=start + index))
    return found


def _content(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        parts = [p.get("text", "") for p in content if isinstance(p, Mapping)]
        return "".join(part for part in parts if isinstance(part, str))
    raise ShapeError("content", content, "must be text", remedy="Write it in quotes")
