"""Chats about a document: a conversation behind an index of `stream`."""

import asyncio
from collections.abc import Sequence
from typing import Any

from burnish.server.answering import Choice
from burnish.server.errors import ApiError
from burnish.server.schema import ChatBody, Message
from burnish.stream.asking import Index
from burnish.stream.document import BETWEEN
from burnish.stream.prompt import question_tokens
from burnish.stream.serving import Cited

Turn = dict[str, str]
RULE = "a chat about a document is questions of the user and answers in turn, of text alone"


async def question_of(index: Index, body: ChatBody) -> tuple[int, ...]:
    """Token ids of a conversation that follows the document. Raises ApiError.

    The document has been read at the beginning of the first question. So system messages stand
    behind it, before that question, and nothing but text can be in a turn.
    Source: ours. Oracle: tests/server/test_documents.py::test_chats_are_those_of_ask
    """
    if body.tools and body.tool_choice != "none":
        raise ApiError("tools cannot be offered to a chat about a document", param="tools")
    turns, question = _turns(body.messages)
    tokenizer, template = index.model.tokenizer, index.manifest.template
    made = (tokenizer, index.source, question, template, turns)
    tokens, _ = await asyncio.to_thread(question_tokens, *made)
    return tuple(tokens)


async def spans_of(index: Index | None, choice: Choice) -> dict[str, Any]:
    """The spans of the document that were read for an answer; nothing without a document."""
    if index is None or not isinstance(choice.done, Cited):
        return {}
    return {"spans": await asyncio.to_thread(index.spans, choice.done.reads)}


def _turns(messages: Sequence[Message]) -> tuple[list[Turn], str]:
    """Earlier questions with their answers, and the last question."""
    turns, asked, before = list[Turn](), list[str](), list[str]()
    for message in messages:
        text = message.text()
        if message.role in ("system", "developer"):
            before.append(text)
        elif message.role == "user":
            asked.append(text)
        elif message.role == "assistant" and asked and not message.tool_calls:
            turns.append({"question": BETWEEN.join([*before, *asked]), "answer": text})
            asked, before = [], []
        else:
            raise ApiError(RULE, param="messages")
    if not any(asked):
        raise ApiError("a chat about a document ends with a question", param="messages")
    return turns, BETWEEN.join([*before, *asked])
