"""`/v1/completions`: raw texts continued."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response, StreamingResponse

from burnish.contracts.generation import Request, TokenLogprobs
from burnish.engine.score import prompt_logprobs
from burnish.server.answering import (
    HEADERS,
    REASONS,
    Choice,
    Streamed,
    as_events,
    collect,
    cut_tokens,
    usage,
)
from burnish.server.errors import ApiError
from burnish.server.schema import CompletionBody
from burnish.server.served import ServedModel
from burnish.server.tokens import TokenNames
from burnish.server.writing import begin, unless_gone

Prompt = tuple[int, ...]
GONE = 499  # the client has disconnected


def completion_routes(served: ServedModel) -> APIRouter:
    """The endpoint for one model."""
    router, names = APIRouter(), TokenNames(served.model.tokenizer)

    @router.post("/v1/completions")
    async def completions(body: CompletionBody, request: HttpRequest) -> Response:
        """Continue one or several prompts, `n` times each."""
        served.check_name(body.model)
        _check(body)
        prompts = await asyncio.to_thread(served.prompts, body.prompt, "prompt")
        requests = served.requests(body, prompts, num_logprobs=body.logprobs)
        writing = await begin(served, requests)
        head = {"id": f"cmpl-{secrets.token_hex(12)}", "object": "text_completion"}
        head |= {"created": int(time.time()), "model": served.name}
        if body.stream:
            stops = [one.sampling.stop for one in requests]
            chunks = _chunks(body, head, Streamed(served, writing, stops), prompts, names)
            events = as_events(chunks, request.url.path)
            return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)
        choices = await unless_gone(request, collect(writing, len(requests)))
        if choices is None:
            return Response(status_code=GONE)
        read = await _echoed(served, body, prompts)
        rows = [
            _choice(served, names, body, index, one, choice, read.get(one.prompt))
            for index, (one, choice) in enumerate(zip(requests, choices, strict=True))
        ]
        counted = usage(sum(map(len, prompts)), choices)
        if body.max_tokens == 0:
            counted |= {"completion_tokens": 0, "total_tokens": counted["prompt_tokens"]}
        return JSONResponse({**head, "choices": rows, "usage": counted})

    return router


def _check(body: CompletionBody) -> None:
    if body.best_of is not None and body.best_of != (body.n or 1):
        raise ApiError("best_of must equal n", param="best_of", code="unsupported_parameter")
    if body.echo and body.stream:
        raise ApiError("echo cannot be streamed", param="echo", code="unsupported_parameter")
    if body.max_tokens == 0 and not body.echo:
        raise ApiError("max_tokens must be at least 1 without echo", param="max_tokens")


async def _echoed(
    served: ServedModel, body: CompletionBody, prompts: Sequence[Prompt]
) -> dict[Prompt, list[TokenLogprobs]]:
    """Log-probabilities of the prompts' own tokens, where they are asked for."""
    if not body.echo or body.logprobs is None:
        return {}
    num, found = body.logprobs, {}
    for prompt in dict.fromkeys(prompts):
        work = served.worker.call(lambda p=prompt: prompt_logprobs(served.model, p, num))
        found[prompt] = await asyncio.wrap_future(work)
    return found


def _choice(
    served: ServedModel,
    names: TokenNames,
    body: CompletionBody,
    index: int,
    request: Request,
    choice: Choice,
    read: Sequence[TokenLogprobs] | None,
) -> dict[str, Any]:
    assert choice.done is not None
    text, num = choice.done.text, cut_tokens(served, choice)
    if body.max_tokens == 0:
        text, num = "", 0
    tokens, logprobs = choice.tokens[:num], list[TokenLogprobs | None](choice.logprobs[:num])
    if choice.done.end is not None and body.max_tokens != 0:  # OpenAI's list has the end token
        tokens, logprobs = [*tokens, choice.done.end[0]], [*logprobs, choice.done.end[1]]
    if body.echo:
        text = served.model.tokenizer.decode(list(request.prompt)) + text
        tokens, logprobs = [*request.prompt, *tokens], [None, *(read or ()), *logprobs]
    told = None if body.logprobs is None else names.of_completion(tokens, logprobs)
    reason = "length" if body.max_tokens == 0 else REASONS[choice.done.finish]
    return {"index": index, "text": text, "logprobs": told, "finish_reason": reason}


async def _chunks(
    body: CompletionBody,
    head: dict[str, Any],
    streamed: Streamed,
    prompts: Sequence[Prompt],
    names: TokenNames,
) -> AsyncIterator[dict[str, Any]]:
    sent = [0] * len(streamed.choices)
    async for piece in streamed.pieces():
        told = None
        if body.logprobs is not None:
            done = streamed.choices[piece.index].done
            end = [done.end] if done is not None and done.end is not None else []
            tokens = [*piece.tokens, *(token for token, _ in end)]
            logprobs = [*piece.logprobs, *(one for _, one in end)]
            told = names.of_completion(tokens, logprobs, sent[piece.index])
        sent[piece.index] += len(piece.text)
        row = {"index": piece.index, "text": piece.text, "logprobs": told}
        row |= {"finish_reason": piece.finish}
        yield {**head, "choices": [row], "drafted": piece.drafted}
    if body.stream_options and body.stream_options.include_usage:
        yield {**head, "choices": [], "usage": usage(sum(map(len, prompts)), streamed.choices)}
