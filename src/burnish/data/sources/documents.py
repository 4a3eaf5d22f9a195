"""`documents`: rows of JSONL, JSON or Parquet with `document`, `question` and `answer`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from burnish.base.errors import InputError, SettingError
from burnish.contracts.task import Task
from burnish.data.sources import sources
from burnish.data.tasks import load_rows, make_task

BETWEEN = "\n\n"
GAP = "\n...\n"  # where the middle of a document is left out
DOCUMENT, QUESTION = "document", "question"  # entries of a task's metadata


@sources.register("documents")
@dataclass(frozen=True, kw_only=True)
class DocumentsSource:
    """`documents:PATH?chars=4000`: questions about documents that may be longer than any window.

    A prompt shows `chars` characters of the document, its beginning and its end, and then the
    question: this is what is trained on and measured. The whole document is in the task's
    metadata, where the step `stream` of `improve` reads it. `checker` and `group` are as in a file
    of tasks.
    Source: cutting out the middle is LongBench's, arXiv 2308.14508.
    Oracle: tests/data/test_documents.py::test_rows_are_tasks_with_the_middle_cut_out
    """

    path: str
    chars: int = 4000

    def __post_init__(self) -> None:
        if self.chars < 2:
            raise SettingError("chars", self.chars, "must be at least 2", remedy="4000 is usual")

    @classmethod
    def from_text(cls, text: str) -> "DocumentsSource":
        """Read `PATH?chars=4000`. Raises: SettingError."""
        path, _, query = text.partition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
        chars = options.pop("chars", "4000")
        if options or not chars.isdecimal():
            name, value = next(iter(options.items()), ("chars", chars))
            rule, remedy = "is not known", "Use chars with a whole number"
            raise SettingError(f"option {name}", value, rule, remedy=remedy)
        return cls(path=path, chars=int(chars))

    def load(self, seed: int) -> list[Task]:
        """All tasks, in the file's order. Raises: MissingFileError; InputError, with the line."""
        group = Path(self.path).name.partition(".")[0]
        return load_rows(self.path, lambda row: _task(row, group, self.chars))


def _task(row: Mapping[str, Any], group: str, chars: int) -> Task:
    for name in (DOCUMENT, QUESTION, "answer"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            rule, remedy = "must be a text", f"Each row needs it; this one has {sorted(row)}"
            raise InputError(name, row.get(name), rule, remedy=remedy)
    document, question = row[DOCUMENT], row[QUESTION]
    return make_task(
        about(shortened(document, chars), question),
        row["answer"],
        group=str(row.get("group") or group),
        checker=str(row.get("checker") or ""),
        metadata={DOCUMENT: document, QUESTION: question},
    )


def about(document: str, question: str) -> str:
    """A question behind what it asks about."""
    return document + BETWEEN + question


def shortened(document: str, num_chars: int) -> str:
    """So many characters of a document, half of them its beginning and half its end."""
    if len(document) <= num_chars:
        return document
    first = (num_chars + 1) // 2
    return document[:first] + GAP + document[len(document) - (num_chars - first) :]
