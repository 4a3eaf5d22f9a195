"""The one decode loop: ragged requests, slots refilled as texts end."""

import itertools
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from burnish.base.meter import Meter
from burnish.contracts.generation import Completion, Finish, Request
from burnish.contracts.session import Session
from burnish.engine.policies import PolicySession
from burnish.engine.sample import next_tokens
from burnish.engine.session import LEAST_ROWS
from burnish.models.decoder import Decoder
from burnish.models.load import Model

OnDone = Callable[[Completion], None]
TextOf = Callable[..., str]  # of tokens; with `special=True` special tokens stand in it


class Row:
    """One text in the making: its request, and the tokens that were written so far."""

    def __init__(self, index: int, request: Request, text_of: TextOf) -> None:
        self.index, self.request, self._text_of = index, request, text_of
        self.tokens: list[int] = []
        self.num_passes = 1  # the prefill gives the first token

    @property
    def whole(self) -> list[int]:
        """Prompt and answer."""
        return [*self.request.prompt, *self.tokens]

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
        last = self.tokens[-tail:]
        texts = {self._text_of(last), self._text_of(last, special=True)}
        return any(word in text for word in stop for text in texts)

    def completion(self, finish: Finish) -> Completion:
        """What was written, once it has ended."""
        return Completion(
            id=self.request.id,
            tokens=tuple(self.tokens),
            text=self._text(finish),
            finish=finish,
            num_passes=self.num_passes,
        )

    def _text(self, finish: Finish) -> str:
        """The text before the first stop string, which may be or hold a special token."""
        text, stop = self._text_of(self.tokens), self.request.sampling.stop
        ends = [text.find(word) for word in stop if word in text]
        if ends:
            return text[: min(ends)]
        if finish != "stop":
            return text
        word = next(w for w in stop if w in self._text_of(self.tokens, special=True))
        for token in set(self.tokens):  # what of the stop string is text stands at the end
            if not self._text_of([token]) and (name := self._text_of([token], special=True)):
                word = word.replace(name, "")
        return text[: text.rfind(word)] if word else text


class Loop:
    """Rows 0..n-1 are alive and occupy slots 0..n-1; a row that ends gives its slot away.

    A loop that decodes otherwise overrides `step`: it gives every row of `rows` one token or more
    through `draw`, counts the pass in each row's `num_passes`, and retires rows that ended, the
    last slot first.
    """

    def __init__(
        self,
        model: Model,
        session: Session,
        num_slots: int,
        requests: Sequence[Request],
        *,
        meter: Meter | None = None,
        on_done: OnDone | None = None,
    ) -> None:
        self.model, self.session, self.rows = model, session, list[Row]()
        self._num_slots, self._num_requests = num_slots, len(requests)
        self._queue = deque(enumerate(requests))
        self._waiting = Counter(request.prompt for request in requests)
        self._shared: dict[tuple[int, ...], tuple[Any, Tensor]] = {}
        self.meter, self._on_done = meter or Meter(), on_done
        self._done: dict[int, Completion] = {}
        self._penalise = any(r.sampling.repetition_penalty != 1 for r in requests)
        # an adapter would read the rest of each prompt token by token, see `AdapterSession`; under
        # a policy the bits of a prompt depend on where it is cut
        splits = isinstance(model.network, Decoder) and not isinstance(session, PolicySession)
        self._prefix = _shared_prefix([r.prompt for r in requests]) if splits else ()
        self._prefix_state: Any = None

    def run(self) -> list[Completion]:
        """Until every request has ended, in their order.

        A few free slots wait for each other, so that prefills are large.
        """
        while self._queue or self.rows:
            if self._queue and len(self.rows) <= self._num_slots * 3 // 4:
                self._admit()
            if self.rows:
                self.step()
        return [self._done[index] for index in range(self._num_requests)]

    def step(self) -> None:
        """One pass: a token for every row."""
        logits = self.session.step([row.tokens[-1] for row in self.rows])
        self.meter.add("passes", 1)
        for row in self.rows:
            row.num_passes += 1
        self._advance(0, logits)

    def draw(self, rows: Sequence[Row], logits: Tensor) -> list[Finish | None]:
        """Append a token to each row, drawn from its logits; why its text ends there, or None."""
        settings = [row.request.sampling for row in rows]
        positions = [len(row.tokens) for row in rows]
        tokens = next_tokens(logits, settings, positions, self._seen(rows, logits))
        self.meter.add("generated", len(rows))
        eos_ids = self.model.eos_ids
        return [row.add(token, eos_ids) for row, token in zip(rows, tokens, strict=True)]

    def retire(self, slot: int, finish: Finish) -> None:
        """A row has ended; the last row takes its slot."""
        row = self.rows[slot]
        self._done[row.index] = row.completion(finish)
        if self._on_done:
            self._on_done(self._done[row.index])
        last = self.rows.pop()
        if slot < len(self.rows):
            self.session.move(len(self.rows), slot)
            self.rows[slot] = last

    def _admit(self) -> None:
        """Fill the free slots. A prompt that several requests share is prefilled once."""
        first = len(self.rows)
        fresh: list[int] = []
        while self._queue and len(self.rows) < self._num_slots:
            index, request = self._queue.popleft()
            prompt, slot = request.prompt, len(self.rows)
            self.rows.append(Row(index, request, self._text))
            if prompt not in self._shared and all(
                self.rows[other].request.prompt != prompt for other in fresh
            ):
                fresh.append(slot)
        if fresh:
            prompts = [self.rows[slot].request.prompt for slot in fresh]
            logits = self._prefill(fresh, prompts)
            for slot, prompt, row in zip(fresh, prompts, logits, strict=True):
                many = self._waiting[prompt] > 1
                self._shared[prompt] = (self.session.snapshot(slot) if many else None, row)
        rows = []
        for slot in range(first, len(self.rows)):
            prompt = self.rows[slot].request.prompt
            snapshot, row = self._shared[prompt]
            if slot not in fresh:
                self.session.restore(slot, snapshot)
            rows.append(row)
            self._waiting[prompt] -= 1
            if not self._waiting[prompt]:
                del self._shared[prompt]
        self._advance(first, torch.stack(rows))

    def _prefill(self, slots: list[int], prompts: list[tuple[int, ...]]) -> Tensor:
        """Read prompts into slots; what all requests begin with is read once."""
        length = len(self._prefix)
        if length and self._prefix_state is None:
            self.session.clear(slots[0])
            self.session.prefill(slots[:1], [self._prefix])
            self._prefix_state = self.session.snapshot(slots[0])
            self._count_prefill(length)
        for slot in slots:
            if length:
                self.session.restore(slot, self._prefix_state)
            else:
                self.session.clear(slot)
        rest = [prompt[length:] for prompt in prompts]
        self._count_prefill(sum(map(len, rest)))
        return self.session.prefill(slots, rest)

    def _count_prefill(self, num_tokens: int) -> None:
        self.meter.add("prefilled", num_tokens)
        self.meter.add("passes", 1)

    def _advance(self, first: int, logits: Tensor) -> None:
        """Give rows from `first` on their next token, and retire those that end."""
        ended = self.draw(self.rows[first:], logits)
        for slot in reversed(range(first, len(self.rows))):
            if finish := ended[slot - first]:
                self.retire(slot, finish)

    def _seen(self, rows: Sequence[Row], logits: Tensor) -> Tensor | None:
        if not self._penalise:
            return None
        seen = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
        for mask, row in zip(seen, rows, strict=True):
            mask[list({*row.request.prompt, *row.tokens})] = True
        return seen

    def _text(self, tokens: list[int], *, special: bool = False) -> str:
        return self.model.tokenizer.decode(tokens, skip_special_tokens=not special)


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
