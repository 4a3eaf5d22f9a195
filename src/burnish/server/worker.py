"""The thread that decodes: requests go in at any time, tokens come out as they are drawn."""

import queue
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from burnish.base.progress import say
from burnish.contracts.generation import Completion, Request, TokenLogprobs
from burnish.engine.loop import Loop, OnDone
from burnish.engine.row import Row


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """New tokens of a text; `guessed[i]` says whether a draft had token i right."""

    tokens: tuple[int, ...]
    guessed: tuple[bool, ...]
    logprobs: tuple[TokenLogprobs, ...]


@dataclass(frozen=True, kw_only=True)
class Broken:
    """The text will not be finished: the engine failed or was stopped."""

    reason: str


Event = Tokens | Completion | Broken
Sink = Callable[[Event], None]  # called in the worker's thread


Opener = Callable[[OnDone], Loop]
MAIN = ""


@dataclass
class _Active:
    loop: Loop
    row: Row
    sink: Sink
    num_sent: int = 0


class Worker:
    """Runs loops in a thread of its own; all methods may be called from any other thread.

    `open_loop` makes the main loop, `others` further ones by name, which take turns with it: at
    the start, and again after an unexpected error.
    """

    def __init__(self, open_loop: Opener, *, others: Mapping[str, Opener] | None = None) -> None:
        self._openers = {MAIN: open_loop, **(others or {})}
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._active: dict[str, _Active] = {}
        self._is_stopped = False
        self._loops = self._opened()
        self._thread = threading.Thread(target=self._work, name="decode", daemon=True)

    def start(self) -> None:
        """Begin to decode."""
        self._thread.start()

    def add(self, request: Request, sink: Sink, *, loop: str = MAIN) -> None:
        """Decode a checked request of a new id; the last event is a Completion or Broken."""
        self._inbox.put(lambda: self._add(request, sink, loop))

    def cancel(self, request_id: str) -> None:
        """Stop decoding a request, if it has not ended; no event comes after it was stopped."""
        self._inbox.put(lambda: self._cancel(request_id))

    def call(self, function: Callable[[], Any]) -> "Future[Any]":
        """Run a function between two passes, for example a pass over other texts."""
        future: Future[Any] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except Exception as error:
                future.set_exception(error)

        self._inbox.put(work)
        return future

    def stop(self) -> None:
        """End the thread; requests that have not ended are broken off."""
        self._inbox.put(self._stop)
        if self._thread.is_alive():
            self._thread.join()

    @property
    def num_active(self) -> int:
        """Requests that have not ended."""
        return len(self._active)

    def _work(self) -> None:
        while not self._is_stopped:
            try:
                self._take_messages()
                for loop in self._loops.values():
                    if not loop.is_idle:
                        loop.round()
                        self._report(loop)
            except Exception as error:  # ours to mend: the log has it, the clients hear of it
                say(traceback.format_exc())
                self._break_all(f"the engine failed: {type(error).__name__}")
                self._loops = self._opened()

    def _opened(self) -> dict[str, Loop]:
        return {name: opener(self._finish) for name, opener in self._openers.items()}

    def _take_messages(self) -> None:
        """All that came in; waits for something where there is nothing to decode."""
        if all(loop.is_idle for loop in self._loops.values()) and not self._is_stopped:
            self._inbox.get()()
        while not self._inbox.empty():
            self._inbox.get()()

    def _add(self, request: Request, sink: Sink, name: str) -> None:
        if self._is_stopped:
            sink(Broken(reason="the server is stopping"))
            return
        loop = self._loops[name]
        self._active[request.id] = _Active(loop, loop.add(request), sink)

    def _cancel(self, request_id: str) -> None:
        if active := self._active.pop(request_id, None):
            active.loop.cancel(active.row)

    def _stop(self) -> None:
        self._is_stopped = True
        self._break_all("the server is stopping")

    def _report(self, loop: Loop) -> None:
        """Tell what the last round of a loop drew."""
        for row in loop.rows:
            self._send(self._active[row.request.id])

    def _finish(self, completion: Completion) -> None:
        active = self._active.pop(completion.id)
        self._send(active)
        active.sink(completion)

    def _send(self, active: _Active) -> None:
        row, begin = active.row, active.num_sent
        if len(row.tokens) == begin:
            return
        guessed = set(row.guessed)
        active.num_sent = len(row.tokens)
        active.sink(
            Tokens(
                tokens=tuple(row.tokens[begin:]),
                guessed=tuple(i in guessed for i in range(begin, len(row.tokens))),
                logprobs=tuple(row.logprobs[begin:]),
            )
        )

    def _break_all(self, reason: str) -> None:
        for active in self._active.values():
            active.sink(Broken(reason=reason))
        self._active.clear()
