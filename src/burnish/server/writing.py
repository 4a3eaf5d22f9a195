"""Texts in the making, as events of one event loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from fastapi import Request as HttpRequest

from burnish.contracts.generation import Completion, Request
from burnish.server.errors import ApiError
from burnish.server.gate import Slot
from burnish.server.served import ServedModel
from burnish.server.worker import MAIN, Broken, Event, Tokens

Result = TypeVar("Result")


class Writing:
    """The texts of one HTTP request; `async with` stops those that have not ended at its end.

    The place in the queue is given back when the last text has ended, not when the client has
    read it.
    """

    def __init__(
        self, served: ServedModel, slot: Slot, requests: Sequence[Request], loop: str = MAIN
    ) -> None:
        self._served, self._slot, self._requests, self._name = served, slot, requests, loop
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        self._num_open, self._loop = len(requests), asyncio.get_running_loop()
        self._seen = [time.monotonic()] * len(requests)
        self._has_begun = [False] * len(requests)

    async def __aenter__(self) -> "Writing":
        for index, request in enumerate(self._requests):
            sink = partial(self._tell, index)
            self._served.worker.add(request, sink, loop=self._name)
        return self

    async def __aexit__(self, *_: object) -> None:
        for request in self._requests if self._num_open else ():
            self._served.worker.cancel(request.id)
        self._slot.leave()

    async def events(self) -> AsyncIterator[tuple[int, Tokens | Completion]]:
        """New tokens of the texts as they come, and the end of each. Raises ApiError."""
        for _ in self._requests:
            while True:
                index, event = await self._events.get()
                if isinstance(event, Broken):
                    raise ApiError(event.reason, status=503)
                if isinstance(event, Completion) and event.finish == "grammar":
                    message = "the form could not be followed any further; simplify its schema"
                    raise ApiError(message, param="response_format", code="invalid_json_schema")
                yield index, event
                if isinstance(event, Completion):
                    break

    def _tell(self, index: int, event: Event) -> None:
        """Called in the worker's thread."""
        with suppress(RuntimeError):  # the event loop has ended
            self._loop.call_soon_threadsafe(self._take, index, event)

    def _take(self, index: int, event: Event) -> None:
        if isinstance(event, Tokens):
            self._measure(index, len(event.tokens))
        else:
            self._num_open -= 1
            if not self._num_open:
                self._slot.leave()
        self._events.put_nowait((index, event))

    def _measure(self, index: int, num_tokens: int) -> None:
        now, metrics = time.monotonic(), self._served.metrics
        passed, self._seen[index] = now - self._seen[index], now
        metrics.tokens.labels("generated").inc(num_tokens)
        if not self._has_begun[index]:
            self._has_begun[index] = True
            metrics.first_token.observe(passed)
            return
        for _ in range(num_tokens):
            metrics.next_token.observe(passed / num_tokens)


async def begin(served: ServedModel, requests: Sequence[Request], *, loop: str = MAIN) -> Writing:
    """Wait for a place in the queue; `loop` of the worker decodes. Raises Refused."""
    slot = await served.gate.enter()
    prompts = {request.prompt for request in requests}
    served.metrics.tokens.labels("prompt").inc(sum(map(len, prompts)))
    return Writing(served, slot, requests, loop)


async def unless_gone(request: HttpRequest, work: Awaitable[Result]) -> Result | None:
    """The result of work, or None where the client left before; the work is cancelled then."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        for one in (task, watch):
            one.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _gone(request: HttpRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
