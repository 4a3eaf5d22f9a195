"""`/v1/chat/completions`: a conversation answered."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response, StreamingResponse

from burnish.server.answering import (
    HEADERS,
    REASONS,
    Choice,
    Piece,
    Streamed,
    as_events,
    collect,
    cut_tokens,
    usage,
)
from burnish.server.completions import GONE
from burnish.server.documents import question_of, spans_of
from burnish.server.errors import ApiError
from burnish.server.forms import form_of
from burnish.server.schema import ChatBody
from burnish.server.served import ServedModel
from burnish.server.tokens import TokenNames
from burnish.server.tools import parse_tool_calls
from burnish.server.worker import MAIN
from burnish.server.writing import begin, unless_gone
from burnish.stream.asking import Index


@dataclass(frozen=True, kw_only=True)
class Chat:
    """A conversation that is answered; `index` is the document that it is about, if any."""

    served: ServedModel
    names: TokenNames
    body: ChatBody
    index: Index | None
    prompt: tuple[int, ...]

    def usage(self, choices: list[Choice]) -> dict[str, Any]:
        """Counts of tokens; the document's were read before."""
        cached = self.index.manifest.total_tokens if self.index else 0
        return usage(cached + len(self.prompt), choices, cached)


def chat_routes(served: ServedModel) -> APIRouter:
    """The endpoint for one model."""
    router, names = APIRouter(), TokenNames(served.model.tokenizer)

    @router.post("/v1/chat/completions")
    async def chat_completions(body: ChatBody, request: HttpRequest) -> Response:
        """Answer a conversation, `n` times."""
        index = served.indexes.get(body.model)
        if index is None:
            served.check_name(body.model)
        _check(body)
        grammar = await form_of(served, body)
        num_logprobs = (body.top_logprobs or 0) if body.logprobs else None
        if index is None:
            prompt = await asyncio.to_thread(served.conversation, body)
        else:
            prompt = await question_of(index, body)
        requests = served.requests(body, [prompt], num_logprobs=num_logprobs, grammar=grammar)
        writing = await begin(served, requests, loop=body.model if index else MAIN)
        head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time())}
        head |= {"model": body.model if index else served.name}
        chat = Chat(served=served, names=names, body=body, index=index, prompt=prompt)
        if body.stream:
            streamed = Streamed(served, writing, [one.sampling.stop for one in requests])
            events = as_events(_chunks(chat, head, streamed), request.url.path)
            return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)
        choices = await unless_gone(request, collect(writing, len(requests)))
        if choices is None:
            return Response(status_code=GONE)
        rows = [await _choice(chat, i, choice) for i, choice in enumerate(choices)]
        head |= {"object": "chat.completion"}
        return JSONResponse({**head, "choices": rows, "usage": chat.usage(choices)})

    return router


def offers_tools(body: ChatBody) -> bool:
    """Whether the answer may be a tool call."""
    return bool(body.tools) and body.tool_choice != "none"


def _check(body: ChatBody) -> None:
    if body.max_tokens == 0:
        raise ApiError("max_tokens must be at least 1", param="max_tokens")
    if body.top_logprobs is not None and not body.logprobs:
        raise ApiError("top_logprobs needs logprobs", param="top_logprobs")


async def _choice(chat: Chat, index: int, choice: Choice) -> dict[str, Any]:
    assert choice.done is not None
    text, calls = choice.done.text, list[dict[str, Any]]()
    if offers_tools(chat.body):
        text, calls = parse_tool_calls(text)
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
    message |= {"refusal": None} | ({"tool_calls": calls} if calls else {})
    num, told = cut_tokens(chat.served, choice), None
    if chat.body.logprobs:
        told = {"content": chat.names.of_chat(choice.tokens[:num], choice.logprobs[:num])}
    reason = "tool_calls" if calls else REASONS[choice.done.finish]
    row = {"index": index, "message": message, "logprobs": told, "finish_reason": reason}
    return row | await spans_of(chat.index, choice)


async def _chunks(
    chat: Chat, head: dict[str, Any], streamed: Streamed
) -> AsyncIterator[dict[str, Any]]:
    head = {**head, "object": "chat.completion.chunk"}
    for index in range(len(streamed.choices)):
        row = {"index": index, "delta": {"role": "assistant", "content": ""}}
        yield {**head, "choices": [{**row, "logprobs": None, "finish_reason": None}]}
    held = [""] * len(streamed.choices)
    async for piece in streamed.pieces():
        told = None
        if chat.body.logprobs:
            told = {"content": chat.names.of_chat(piece.tokens, piece.logprobs)}
        delta, reason = _delta(chat.body, piece, held)
        row = {"index": piece.index, "delta": delta, "logprobs": told, "finish_reason": reason}
        row |= await spans_of(chat.index, streamed.choices[piece.index])  # at its end
        yield {**head, "choices": [row], "drafted": piece.drafted}
    if chat.body.stream_options and chat.body.stream_options.include_usage:
        yield {**head, "choices": [], "usage": chat.usage(streamed.choices)}


def _delta(body: ChatBody, piece: Piece, held: list[str]) -> tuple[dict[str, Any], str | None]:
    """What a chunk adds; where a tool may be called, the text waits for its end."""
    if not offers_tools(body):
        return ({"content": piece.text} if piece.text else {}), piece.finish
    held[piece.index] += piece.text
    if piece.finish is None:
        return {}, None
    text, calls = parse_tool_calls(held[piece.index])
    delta: dict[str, Any] = {"content": text} if text else {}
    if calls:
        delta["tool_calls"] = [{"index": i, **call} for i, call in enumerate(calls)]
    return delta, "tool_calls" if calls else piece.finish
