"""The one decode loop: ragged requests, slots refilled as texts end."""

import itertools
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.contracts.generation import Completion, Finish, Request
from burnish.contracts.session import Session
from burnish.engine.sample import next_tokens
from burnish.engine.session import LEAST_ROWS, open_session
from burnish.models.decoder import Decoder
from burnish.models.load import Model

OnDone = Callable[[Completion], None]


def generate(
    model: Model,
    requests: Sequence[Request],
    *,
    batch_size: int = 16,
    meter: Meter | None = None,
    on_done: OnDone | None = None,
) -> list[Completion]:
    """Continue every request; completions come back in the order of the requests.

    `on_done` sees each completion as soon as it ends, so that finished work can be stored.
    Raises SettingError for an empty prompt or one that leaves no room in the model's window.
    Source: ours. Oracle: tests/engine/test_generate.py::test_greedy_equals_naive_loop
    """
    if batch_size < 1:
        raise SettingError("batch_size", batch_size, "must be at least 1", remedy="16 is usual")
    if not requests:
        return []
    for request in requests:
        _check_room(request, model.max_position)
    longest = max(len(r.prompt) + r.sampling.max_new_tokens for r in requests)
    num_slots = min(batch_size, len(requests))
    session = open_session(model, num_slots=num_slots, capacity_tokens=longest)
    loop = _Loop(model, session, num_slots, requests, meter or Meter(), on_done)
    done = loop.run()
    return [done[index] for index in range(len(requests))]


def _check_room(request: Request, max_position: int) -> None:
    length = len(request.prompt)
    if length == 0:
        raise SettingError("prompt", request.id, "must not be empty", remedy="Give it a token")
    if length + request.sampling.max_new_tokens > max_position:
        raise SettingError(
            f"prompt of {request.id} with {request.sampling.max_new_tokens} new tokens",
            length,
            f"must fit the model's window of {max_position} tokens",
            remedy="Shorten the prompt or lower max_new_tokens",
        )


class _Row:
    """One text in the making."""

    def __init__(self, index: int, request: Request, text_of: Callable[[list[int]], str]) -> None:
        self.index, self.request, self._text_of = index, request, text_of
        self.tokens: list[int] = []
        self.num_passes = 1  # the prefill gives the first token

    def add(self, token: int, eos_ids: frozenset[int]) -> Finish | None:
        """Append a token; why the text ends here, or None."""
        if token in eos_ids:
            return "eos"
        self.tokens.append(token)
        if self._stopped():
            return "stop"
        return "length" if len(self.tokens) == self.request.sampling.max_new_tokens else None

    def _stopped(self) -> bool:
        stop = self.request.sampling.stop
        if not stop:
            return False
        tail = max(len(word.encode()) for word in stop) + 8  # a token may hold a single byte
        return any(word in self._text_of(self.tokens[-tail:]) for word in stop)

    def completion(self, finish: Finish) -> Completion:
        text = self._text_of(self.tokens)
        ends = [text.find(word) for word in self.request.sampling.stop if word in text]
        return Completion(
            id=self.request.id,
            tokens=tuple(self.tokens),
            text=text[: min(ends)] if ends else text,
            finish=finish,
            num_passes=self.num_passes,
        )


class _Loop:
    """Rows 0..n-1 are alive and occupy slots 0..n-1; a row that ends gives its slot away."""

    def __init__(
        self,
        model: Model,
        session: Session,
        num_slots: int,
        requests: Sequence[Request],
        meter: Meter,
        on_done: OnDone | None,
    ) -> None:
        self._model, self._session, self._num_slots = model, session, num_slots
        self._queue = deque(enumerate(requests))
        self._waiting = Counter(request.prompt for request in requests)
        self._shared: dict[tuple[int, ...], tuple[Any, Tensor]] = {}
        self._meter, self._on_done = meter, on_done
        self._rows: list[_Row] = []
        self._done: dict[int, Completion] = {}
        self._penalise = any(r.sampling.repetition_penalty != 1 for r in requests)
        # an adapter would read the rest of each prompt token by token, see `AdapterSession`
        splits = isinstance(model.network, Decoder)
        self._prefix = _shared_prefix([r.prompt for r in requests]) if splits else ()
        self._prefix_state: Any = None

    def run(self) -> dict[int, Completion]:
        """Until every request has ended. A few free slots wait, so that prefills are large."""
        while self._queue or self._rows:
            if self._queue and len(self._rows) <= self._num_slots * 3 // 4:
                self._admit()
            if self._rows:
                logits = self._session.step([row.tokens[-1] for row in self._rows])
                self._meter.add("passes", 1)
                for row in self._rows:
                    row.num_passes += 1
                self._advance(0, logits)
        return self._done

    def _admit(self) -> None:
        """Fill the free slots. A prompt that several requests share is prefilled once."""
        first = len(self._rows)
        fresh: list[int] = []
        while self._queue and len(self._rows) < self._num_slots:
            index, request = self._queue.popleft()
            prompt, slot = request.prompt, len(self._rows)
            self._rows.append(_Row(index, request, self._text))
            if prompt not in self._shared and all(
                self._rows[other].request.prompt != prompt for other in fresh
            ):
                fresh.append(slot)
        if fresh:
            prompts = [self._rows[slot].request.prompt for slot in fresh]
            logits = self._prefill(fresh, prompts)
            for slot, prompt, row in zip(fresh, prompts, logits, strict=True):
                many = self._waiting[prompt] > 1
                self._shared[prompt] = (self._session.snapshot(slot) if many else None, row)
        rows = []
        for slot in range(first, len(self._rows)):
            prompt = self._rows[slot].request.prompt
            snapshot, row = self._shared[prompt]
            if slot not in fresh:
                self._session.restore(slot, snapshot)
            rows.append(row)
            self._waiting[prompt] -= 1
            if not self._waiting[prompt]:
                del self._shared[prompt]
        self._advance(first, torch.stack(rows))

    def _prefill(self, slots: list[int], prompts: list[tuple[int, ...]]) -> Tensor:
        """Read prompts into slots; what all requests begin with is read once."""
        length = len(self._prefix)
        if length and self._prefix_state is None:
            self._session.clear(slots[0])
            self._session.prefill(slots[:1], [self._prefix])
            self._prefix_state = self._session.snapshot(slots[0])
            self._count_prefill(length)
        for slot in slots:
            if length:
                self._session.restore(slot, self._prefix_state)
            else:
                self._session.clear(slot)
        rest = [prompt[length:] for prompt in prompts]
        self._count_prefill(sum(map(len, rest)))
        return self._session.prefill(slots, rest)

    def _count_prefill(self, num_tokens: int) -> None:
        self._meter.add("prefilled", num_tokens)
        self._meter.add("passes", 1)

    def _advance(self, first: int, logits: Tensor) -> None:
        """Give rows from `first` on their next token, and retire those that end."""
        rows = self._rows[first:]
        settings = [row.request.sampling for row in rows]
        positions = [len(row.tokens) for row in rows]
        tokens = next_tokens(logits, settings, positions, self._seen(rows, logits))
        self._meter.add("generated", len(rows))
        for slot in reversed(range(first, len(self._rows))):
            finish = self._rows[slot].add(tokens[slot - first], self._model.eos_ids)
            if finish:
                self._retire(slot, finish)

    def _retire(self, slot: int, finish: Finish) -> None:
        row = self._rows[slot]
        self._done[row.index] = row.completion(finish)
        if self._on_done:
            self._on_done(self._done[row.index])
        last = self._rows.pop()
        if slot < len(self._rows):
            self._session.move(len(self._rows), slot)
            self._rows[slot] = last

    def _seen(self, rows: Sequence[_Row], logits: Tensor) -> Tensor | None:
        if not self._penalise:
            return None
        seen = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
        for mask, row in zip(seen, rows, strict=True):
            mask[list({*row.request.prompt, *row.tokens})] = True
        return seen

    def _text(self, tokens: list[int]) -> str:
        return self._model.tokenizer.decode(tokens, skip_special_tokens=True)


def _shared_prefix(prompts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Tokens that all of several prompts begin with, if that leaves large pieces to read.

    Small pieces would take another path through the attention kernel, and then the numbers of a
    request would depend on its batch.
    Source: ours. Oracle: tests/engine/test_generate.py::test_shared_prefix_changes_no_text
    """
    distinct = set(prompts)
    if len(distinct) < 2:
        return ()
    most = max(min(map(len, distinct)) - LEAST_ROWS, 0)
    pairs = zip(min(distinct)[:most], max(distinct)[:most], strict=True)  # all lie between them
    shared = tuple(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return shared if len(shared) >= LEAST_ROWS else ()
