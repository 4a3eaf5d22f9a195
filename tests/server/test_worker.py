"""The decoding thread: it takes in and forgets requests at any time, and outlives its errors."""

import queue
import threading
from typing import Any

import pytest
from fixtures.tiny import texts

from burnish.contracts.generation import Completion, Request, Sampling
from burnish.engine.generate import generate, open_loop
from burnish.engine.loop import Loop
from burnish.models.load import Model
from burnish.server.worker import Broken, Event, Tokens, Worker


def request_of(name: str, num: int = 6, *, new_tokens: int = 8) -> Request:
    (prompt,) = texts([num], seed=num)
    return Request(
        id=name, prompt=tuple(prompt), sampling=Sampling(max_new_tokens=new_tokens), num_logprobs=0
    )


class Sink:
    """Keeps events; `end` waits for the last one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._last: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if not isinstance(event, Tokens):
            self._last.put(event)

    def end(self) -> Event:
        return self._last.get(timeout=60)


@pytest.fixture
def worker(tiny_model: Any) -> Any:
    model: Model = tiny_model("llama")
    opened = {"num_slots": 3, "capacity_tokens": 2000}
    one = Worker(lambda done: open_loop(model, on_done=done, **opened))
    one.start()
    yield one
    one.stop()


def test_tokens_come_as_they_are_drawn(worker: Worker, tiny_model: Any) -> None:
    sinks = {f"r{i}": Sink() for i in range(7)}
    requests = [request_of(name, 3 + i) for i, name in enumerate(sinks)]
    for request in requests:
        worker.add(request, sinks[request.id])
    wanted = generate(tiny_model("llama"), requests)
    for completion in wanted:
        sink = sinks[completion.id]
        assert sink.end() == completion
        parts = [event for event in sink.events if isinstance(event, Tokens)]
        assert [t for part in parts for t in part.tokens] == list(completion.tokens)
        assert len(parts) > 2  # not all at the end
        assert all(len(part.logprobs) == len(part.tokens) for part in parts)
        assert not any(guess for part in parts for guess in part.guessed)
    assert worker.num_active == 0


def test_a_cancelled_request_gets_no_more_events(worker: Worker) -> None:
    gone, other = Sink(), Sink()
    first = threading.Event()

    def watch(event: Event) -> None:
        gone(event)
        first.set()

    worker.add(request_of("gone", new_tokens=1500), watch)
    worker.add(request_of("other", new_tokens=40), other)
    assert first.wait(60)
    worker.cancel("gone")
    worker.cancel("never")
    assert worker.call(lambda: 7).result(60) == 7  # the message before it was read
    seen = len(gone.events)
    assert isinstance(other.end(), Completion)
    assert len(gone.events) == seen < 1500 and worker.num_active == 0


def test_an_error_breaks_what_is_decoded_and_no_more(
    worker: Worker, tiny_model: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    step = Loop.step

    def fail(self: Loop) -> None:
        monkeypatch.setattr(Loop, "step", step)
        raise RuntimeError("planted")

    monkeypatch.setattr(Loop, "step", fail)
    broken = Sink()
    worker.add(request_of("r"), broken)
    assert broken.end() == Broken(reason="the engine failed: RuntimeError")
    assert "planted" in capsys.readouterr().err
    after = Sink()
    worker.add(request_of("r"), after)
    assert after.end() == generate(tiny_model("llama"), [request_of("r")])[0]


def test_a_failed_call_is_the_callers(worker: Worker) -> None:
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 // 0).result(60)


def test_stopping_breaks_off(worker: Worker) -> None:
    sink, late = Sink(), Sink()
    worker.add(request_of("r", new_tokens=1500), sink)
    worker.stop()
    assert sink.end() == Broken(reason="the server is stopping")
    worker.add(request_of("late"), late)  # nothing answers, nothing fails
