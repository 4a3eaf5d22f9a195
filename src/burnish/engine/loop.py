"""The one decode loop: slots are refilled as texts end, and requests can be added at run time."""

import itertools
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from burnish.base.meter import Meter
from burnish.contracts.generation import Completion, Finish, Request
from burnish.contracts.session import Session
from burnish.engine.policies import PolicySession
from burnish.engine.prefixes import Prefixes
from burnish.engine.row import Row
from burnish.engine.sample import biased, discouraged, next_tokens, permitted, top_logprobs
from burnish.engine.session import CHUNK_ROWS
from burnish.models.decoder import Decoder
from burnish.models.load import Model

OnDone = Callable[[Completion], None]


@dataclass(kw_only=True)
class Reading:
    """A long prompt that is read in chunks in the last slot, while other rows decode."""

    row: Row
    ends: list[int]
    num_read: int = 0


class Loop:
    """Rows 0..n-1 are alive and occupy slots 0..n-1; a row that ends gives its slot away.

    `run` decodes the given requests to their ends. A server calls `add`, `cancel` and `round`
    instead, in one thread: `round` prefills at most `CHUNK_ROWS` rows, then decodes a token or
    more for every row, so that a long prompt never blocks the others. Texts are the same in
    either case, and do not depend on the other requests.

    A loop that decodes otherwise overrides `step`: it gives every row of `rows` one token or more
    through `draw`, counts the pass in each row's `num_passes`, and retires rows that ended, the
    last slot first.
    """

    def __init__(
        self,
        model: Model,
        session: Session,
        num_slots: int,
        *,
        meter: Meter | None = None,
        on_done: OnDone | None = None,
    ) -> None:
        self.model, self.session, self.rows = model, session, list[Row]()
        self._num_slots, self._indices = num_slots, itertools.count()
        self._queue, self._waiting = deque[Row](), Counter[tuple[int, ...]]()
        self._shared: dict[tuple[int, ...], tuple[Any, Tensor]] = {}
        self.meter, self._on_done = meter or Meter(), on_done
        self._prefixes = Prefixes(session)
        # an adapter would read the rest of each prompt token by token, see `AdapterSession`; under
        # a policy the bits of a prompt depend on where it is cut
        self._splits = isinstance(model.network, Decoder)
        self._splits &= not isinstance(session, PolicySession)
        self._reading: Reading | None = None
        self._long_turn = True

    @property
    def num_queued(self) -> int:
        """Requests that wait for a slot."""
        return len(self._queue)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.rows or self._queue or self._reading)

    def add(self, request: Request) -> Row:
        """Queue a checked request; it starts in order, as soon as a slot is free."""
        if self._splits:
            self._prefixes.learn(request.prompt)
        return self._queued(request)

    def _queued(self, request: Request) -> Row:
        row = Row(next(self._indices), request, self._text)
        self._queue.append(row)
        self._waiting[request.prompt] += 1
        return row

    def cancel(self, row: Row) -> None:
        """Drop a row, whether it waits, is read or decodes; nothing is reported for it."""
        if row in self._queue:
            self._queue.remove(row)
            self._one_less(row.request.prompt)
        elif self._reading is not None and self._reading.row is row:
            self._reading = None
            self._one_less(row.request.prompt)
        elif row in self.rows:
            self._release(self.rows.index(row))

    def run(self, requests: Sequence[Request]) -> list[Completion]:
        """Decode requests until every one has ended; completions in their order.

        A few free slots wait for each other, so that prefills are large.
        """
        done, told = dict[int, Completion](), self._on_done

        def keep(row: Row, completion: Completion) -> None:
            done[row.index] = completion
            if told:
                told(completion)

        if self._splits:
            self._prefixes.share([r.prompt for r in requests])
        self._report, rows = keep, [self._queued(request) for request in requests]
        while self._queue or self.rows:
            if self._queue and len(self.rows) <= self._num_slots * 3 // 4:
                self._admit()
            if self.rows:
                self.step()
        return [done[row.index] for row in rows]

    def round(self) -> None:
        """Prefill some waiting requests, then decode one pass."""
        can_admit = bool(self._queue) and self._num_free > 0
        if self._reading is not None and (self._long_turn or not can_admit):
            self._read_on(self._reading)
            self._long_turn = False
        elif can_admit:
            before = self._reading
            self._admit(most_rows=CHUNK_ROWS)
            self._long_turn = self._reading is before  # not twice in turn
        if self.rows:
            self.step()

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
        seen = self._seen(rows, logits)
        changed = permitted(
            biased(self._discouraged(rows, logits), settings), [row.matcher for row in rows]
        )
        tokens = next_tokens(changed, settings, positions, seen)
        self.meter.add("generated", len(rows))
        ended: list[Finish | None] = [
            row.add(token, self.model.eos_ids) for row, token in zip(rows, tokens, strict=True)
        ]
        for index, row in enumerate(rows):
            num = row.request.num_logprobs
            if num is None or ended[index] == "grammar":
                continue
            told = top_logprobs(logits[index], tokens[index], num)
            if ended[index] == "eos":
                row.end = tokens[index], told
            else:
                row.logprobs.append(told)
        return ended

    def retire(self, slot: int, finish: Finish) -> None:
        """Remove a row that has ended; the last row takes its slot."""
        row = self.rows[slot]
        self._report(row, row.completion(finish))
        self._release(slot)

    def _report(self, row: Row, completion: Completion) -> None:
        if self._on_done:
            self._on_done(completion)

    def _release(self, slot: int) -> None:
        last = self.rows.pop()
        if slot < len(self.rows):
            self.session.move(len(self.rows), slot)
            self.rows[slot] = last

    @property
    def _num_free(self) -> int:
        return self._num_slots - len(self.rows) - (self._reading is not None)

    def _admit(self, most_rows: int | None = None) -> None:
        """Fill the free slots. A prompt that several requests share is prefilled once.

        With `most_rows`, no more rows are read, and a prompt of several pieces is only begun.
        """
        first, num_rows = len(self.rows), 0
        fresh: list[int] = []
        while self._queue and self._num_free > 0:
            row = self._queue[0]
            prompt = row.request.prompt
            known = prompt in self._shared or any(
                self.rows[other].request.prompt == prompt for other in fresh
            )
            if not known and most_rows is not None:
                if self._reading is not None and self._reading.row.request.prompt == prompt:
                    break  # it is being read
                num_left = self._prefixes.num_left(prompt)
                num_rows += num_left
                if fresh and num_rows > most_rows:
                    break
                if len(self.session.cuts(num_left)) > 1:
                    if not fresh and self._reading is None:
                        self._begin(self._queue.popleft())
                    break
            self._queue.popleft()
            if not known:
                fresh.append(len(self.rows))
            self.rows.append(row)
        if fresh:
            prompts = [self.rows[slot].request.prompt for slot in fresh]
            logits = self._prefill(fresh, prompts)
            for slot, prompt, row in zip(fresh, prompts, logits, strict=True):
                self._share(slot, prompt, row)
        if len(self.rows) > first:
            self._start(first, fresh)

    def _share(self, slot: int, prompt: tuple[int, ...], logits: Tensor) -> None:
        """Keep what was read for the others that wait with the same prompt."""
        many = self._waiting[prompt] > 1
        self._shared[prompt] = (self.session.snapshot(slot) if many else None, logits)

    def _start(self, first: int, read: Sequence[int]) -> None:
        """Rows from `first` on get their first token; those not `read` a copy of their prompt."""
        logits = []
        for slot in range(first, len(self.rows)):
            prompt = self.rows[slot].request.prompt
            snapshot, row = self._shared[prompt]
            if slot not in read:
                self.session.restore(slot, snapshot)
            logits.append(row)
            self._one_less(prompt)
        self._advance(first, torch.stack(logits))

    def _one_less(self, prompt: tuple[int, ...]) -> None:
        """One request fewer waits with this prompt."""
        self._waiting[prompt] -= 1
        if not self._waiting[prompt]:
            del self._waiting[prompt]
            self._shared.pop(prompt, None)

    def _begin(self, row: Row) -> None:
        """Begin to read a long prompt, piece by piece; a shared beginning ends a piece."""
        prompt = row.request.prompt
        known = self._prefixes.open(self._num_slots - 1, prompt)
        beginning = self._prefixes.of(prompt)
        shared = len(beginning.tokens) if beginning else known
        ends = [
            first + end
            for first, last in itertools.pairwise((known, shared, len(prompt)))
            if first < last
            for end in self.session.cuts(last - first)
        ]
        self._reading = Reading(row=row, ends=ends, num_read=known)
        self._read_on(self._reading)

    def _read_on(self, reading: Reading) -> None:
        """Read the next piece of a long prompt; after the last one its row decodes.

        Source: Sarathi-Serve, arXiv 2403.02310, section 4.2 (chunked prefill).
        Oracle: tests/engine/test_loop.py::test_served_texts_are_those_of_generate
        """
        source, prompt = self._num_slots - 1, reading.row.request.prompt
        begin, end = reading.num_read, reading.ends.pop(0)
        logits = self.session.prefill([source], [prompt[begin:end]])
        self._count_prefill(end - begin)
        reading.num_read = end
        beginning = self._prefixes.of(prompt)
        if beginning and end == len(beginning.tokens):
            self._prefixes.keep(beginning, source)
        if reading.ends:
            return
        self._reading, slot = None, len(self.rows)
        if slot != source:
            self.session.move(source, slot)
        self.rows.append(reading.row)
        self._share(slot, prompt, logits[0])
        self._start(slot, [slot])

    def _prefill(self, slots: list[int], prompts: list[tuple[int, ...]]) -> Tensor:
        """Read prompts into slots; what several of them begin with is read once."""
        for beginning, prompt in self._prefixes.unread(prompts):
            rest = beginning.tokens[self._prefixes.open(slots[0], prompt) :]
            self.session.prefill(slots[:1], [rest])
            self._count_prefill(len(rest))
            self._prefixes.keep(beginning, slots[0])
        opened = [
            self._prefixes.open(slot, prompt) for slot, prompt in zip(slots, prompts, strict=True)
        ]
        rests = [prompt[num:] for prompt, num in zip(prompts, opened, strict=True)]
        self._count_prefill(sum(map(len, rests)))
        return self.session.prefill(slots, rests)

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
        if all(row.request.sampling.repetition_penalty == 1 for row in rows):
            return None
        seen = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
        for mask, row in zip(seen, rows, strict=True):
            mask[list({*row.request.prompt, *row.tokens})] = True
        return seen

    def _discouraged(self, rows: Sequence[Row], logits: Tensor) -> Tensor:
        """Logits less the frequency and presence penalties of what each row has written."""
        asked = [row.request.sampling for row in rows]
        if not any(s.frequency_penalty or s.presence_penalty for s in asked):
            return logits
        counts = torch.zeros(logits.shape, dtype=torch.float32, device=logits.device)
        for line, row in zip(counts, rows, strict=True):
            for token, num in Counter(row.tokens).items():
                line[token] = num
        return discouraged(logits, asked, counts)

    def _text(self, tokens: list[int], *, special: bool = False) -> str:
        return self.model.tokenizer.decode(tokens, skip_special_tokens=not special)
