"""Documents cut to a model's window: what they are without a policy that bounds memory."""

from collections.abc import Sequence
from typing import Any

from burnish.base.errors import InputError
from burnish.contracts.task import Task
from burnish.data.chat import render_messages, to_messages
from burnish.data.sources.documents import DOCUMENT, GAP, QUESTION, about


def with_documents(tasks: Sequence[Task]) -> list[Task]:
    """The tasks that carry a document."""
    return [task for task in tasks if DOCUMENT in task.metadata]


def whole(task: Task) -> str:
    """The prompt with the whole document."""
    return about(task.metadata[DOCUMENT], task.metadata[QUESTION])


def cut_to(task: Task, tokenizer: Any, most_tokens: int) -> tuple[str, int, int]:
    """The prompt with as much of the document as fits: half its beginning, half its end.

    Also the document's tokens, and how many of them are left. Raises InputError where the question
    alone does not fit.
    Source: LongBench, arXiv 2308.14508: the middle is left out.
    Oracle: tests/recipes/test_documents.py::test_cut_documents_fill_the_window
    """
    document, question = task.metadata[DOCUMENT], task.metadata[QUESTION]
    made = tokenizer(document, add_special_tokens=False, return_offsets_mapping=True)
    offsets = made["offset_mapping"]
    kept = total = len(offsets)
    while True:
        text = about(_ends(document, offsets, kept), question)
        over = len(render_messages(tokenizer, to_messages(text))) - most_tokens
        if over <= 0:
            return text, total, kept
        if kept == 0:
            rule = f"must fit {most_tokens} tokens"
            remedy = "Shorten it, or lower measure.max_new_tokens"
            raise InputError("question", question[:60], rule, remedy=remedy)
        kept = max(0, kept - over)


def _ends(document: str, offsets: Sequence[tuple[int, int]], kept: int) -> str:
    """The first and the last so many tokens' characters."""
    if kept == len(offsets):
        return document
    first = (kept + 1) // 2
    last = kept - first
    begin = document[: offsets[first - 1][1]] if first else ""
    return begin + GAP + (document[offsets[len(offsets) - last][0] :] if last else "")
