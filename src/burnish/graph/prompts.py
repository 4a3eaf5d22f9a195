"""Prompts as data: a header, an example, a query; and the rule that reads a written answer."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.base.errors import InputError, SettingError
from burnish.base.naming import suggest
from burnish.base.settings import load_settings
from burnish.graph.checks import holds_word

Fields = Mapping[str, str]
MOST_LISTED = 64  # classes that the header lists; more would fill the window


@dataclass(frozen=True, kw_only=True)
class Template:
    """`{text}`, `{first}`, `{second}`, `{answer}` and, in the header, `{classes}` are filled in.

    An answer follows `gap` and is ended by `end`. Texts are cut to so many characters, at
    white space; white space inside them becomes single spaces. `header_many` is used where there
    are more than 64 classes.
    """

    header: str
    example: str
    query: str
    header_many: str = ""
    gap: str = " "
    end: str = "\n"
    query_chars: int = 1200
    example_chars: int = 800

    def __post_init__(self) -> None:
        if self.query_chars < 1 or self.example_chars < 1:
            least = min(self.query_chars, self.example_chars)
            raise SettingError("chars", least, "must be at least 1", remedy="800 is usual")

    def beginning(self, classes: Sequence[str] = ()) -> str:
        """The header of every prompt."""
        header = self.header if len(classes) <= MOST_LISTED else self.header_many
        return _filled(header, {"classes": ", ".join(classes)})

    def prompt(
        self, query: Fields, examples: Sequence[tuple[Fields, str]], classes: Sequence[str] = ()
    ) -> str:
        """The text that the answer continues; examples in the order shown."""
        parts = [self.beginning(classes)]
        for fields, answer in examples:
            given = {name: cut(text, self.example_chars) for name, text in fields.items()}
            parts.append(_filled(self.example, {**given, "answer": cut(answer, 10**9)}))
        given = {name: cut(text, self.query_chars) for name, text in query.items()}
        return "".join([*parts, _filled(self.query, given)])


CLASSIFY = Template(
    header="The category of a text is one of: {classes}.\n\n",
    header_many="Each text has a category.\n\n",
    example="Text: {text}\nCategory: {answer}\n\n",
    query="Text: {text}\nCategory:",
)
LINKS = Template(
    header="Are the two texts linked? The answer is one of: {classes}.\n\n",
    example="First: {first}\nSecond: {second}\nLinked: {answer}\n\n",
    query="First: {first}\nSecond: {second}\nLinked:",
    query_chars=600,
    example_chars=400,
)
GENERATE = Template(
    header="Write the text that belongs to each name.\n\n",
    example="Name: {text}\nText: {answer}\n\n",
    query="Name: {text}\nText:",
)
TEMPLATES = {"classify": CLASSIFY, "links": LINKS, "generate": GENERATE}


def open_template(name: str, task: str) -> Template:
    """The template of a task, or that of a settings file; "" is the task's own.

    Raises MissingFileError, InputError, SettingError; also for a template without its fields.
    """
    if task not in TEMPLATES:
        raise SettingError("task", task, "is not known", remedy=suggest(task, TEMPLATES))
    base = TEMPLATES[task]
    if not name:
        return base
    found = load_settings(Template, base=base, config=Path(name))
    needed = ("{first}", "{second}") if task == "links" else ("{text}",)
    parts = {"query": (found.query, needed), "example": (found.example, (*needed, "{answer}"))}
    for part, (text, fields) in parts.items():
        for field in fields:
            if field not in text:
                rule = f"must contain {field}"
                raise InputError(f"template {name}: {part}", text, rule, remedy="Add it")
    return found


def cut(text: str, num_chars: int) -> str:
    """A text cut to a number of characters on one line, at a word's end."""
    line = " ".join(text.split())
    if len(line) <= num_chars:
        return line
    kept = line[:num_chars]
    if line[num_chars] != " " and " " in kept:
        kept = kept.rpartition(" ")[0]
    return kept.rstrip()


def parse_answer(text: str, classes: Sequence[str]) -> int | None:
    """Which class a written answer names; None: none, or more than one.

    The first line counts. It is the class that it equals, without regard to case, white space and
    closing punctuation; else the one class that it holds as a word or phrase, where a class inside
    a longer one that was found (Baby in Baby Products) does not count.
    Source: ours. Oracle: tests/graph/test_prompts.py::test_written_answers
    """
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    bare = line.strip(" .,:;!?'\"`*").casefold()
    exact = [i for i, name in enumerate(classes) if name == line.strip(" .,:;!?'\"`*")]
    exact = exact or [i for i, name in enumerate(classes) if name.casefold() == bare]
    if len(exact) == 1:
        return exact[0]
    rest, found = line, list[int]()
    for index in sorted(range(len(classes)), key=lambda i: (-len(classes[i]), i)):
        if holds_word(rest, classes[index]):
            found.append(index)
            pattern = rf"(?<!\w){re.escape(classes[index])}(?!\w)"
            rest = re.sub(pattern, "\0", rest, flags=re.IGNORECASE)
    return found[0] if len(found) == 1 else None


def _filled(text: str, fields: Fields) -> str:
    """Braces in values stay; a name that is not a field stays as it is written."""
    return re.sub(r"\{(\w+)\}", lambda m: fields.get(m[1], m[0]), text)
