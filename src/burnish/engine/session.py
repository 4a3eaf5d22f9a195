"""The decoder's slots: a dense cache, chunked prefill and one-row steps."""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.contracts.session import Session
from burnish.engine.replay import Replays
from burnish.kv.dense import DenseCache, ExtendAttend, Snapshot, StepAttend
from burnish.kv.rope import Rope
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.models.load import Model

CHUNK_ROWS = 512  # rows per prefill pass: bounds activations, large enough to keep cores busy
LEAST_ROWS = 16  # a piece of a prompt of at least so many rows has the bits that the whole has


def open_session(model: Model, *, num_slots: int, capacity_tokens: int) -> Session:
    """Slots for `num_slots` sequences of up to `capacity_tokens` tokens each."""
    if isinstance(model.network, Adapter):
        return model.network.session(num_slots)
    return DecoderSession(
        model.network,
        num_slots=num_slots,
        capacity_tokens=capacity_tokens,
        dtype=model.dtype,
        device=model.device,
    )


class DecoderSession:
    """Sequences of our decoder in a dense cache."""

    def __init__(
        self,
        decoder: Decoder,
        *,
        num_slots: int,
        capacity_tokens: int,
        dtype: torch.dtype,
        device: torch.device,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        shape = decoder.shape
        self._decoder, self._rope, self._device = decoder, Rope(decoder.config), device
        self._chunk_rows, self.replays = chunk_rows, Replays.on(device)
        self.cache = DenseCache(
            num_layers=shape.num_places,
            num_kv_heads=shape.num_kv_heads,
            head_dim=shape.head_dim,
            num_slots=num_slots,
            capacity_tokens=capacity_tokens,
            dtype=dtype,
            device=device,
        )

    def clear(self, slot: int) -> None:
        """Make a slot empty."""
        self.cache.rollback(slot, 0)

    def cuts(self, num_tokens: int) -> list[int]:
        """Ends of the chunks in which a prompt is read."""
        return _cuts(num_tokens, self._chunk_rows)

    @torch.inference_mode()
    def prefill(
        self, slots: Sequence[int], prompts: Sequence[Sequence[int]]
    ) -> Float[Tensor, "B V"]:
        """Append prompts to the sequences in slots; logits of each prompt's last token.

        Rows of several prompts share a pass, and a long prompt is cut into several passes.
        Source: ours. Oracle: tests/engine/test_session.py::test_chunked_equals_whole
        """
        last: dict[int, Tensor] = {}
        for pieces in _passes([len(prompt) for prompt in prompts], self._chunk_rows):
            tokens = [t for index, begin, end in pieces for t in prompts[index][begin:end]]
            counts = [end - begin for _, begin, end in pieces]
            hidden = self._extend([slots[index] for index, _, _ in pieces], counts, tokens)
            ends = torch.tensor(counts).cumsum(0) - 1
            for (index, _, end), row in zip(pieces, ends.tolist(), strict=True):
                if end == len(prompts[index]):
                    last[index] = hidden[row]
        return self._head(torch.stack([last[index] for index in range(len(prompts))]))

    @torch.inference_mode()
    def step(self, tokens: Sequence[int]) -> Float[Tensor, "B V"]:
        """Append one token to each of the slots 0, 1, ...; logits of the appended rows.

        Source: ours. Oracle: tests/engine/test_session.py::test_step_equals_whole
        """
        num, lengths = len(tokens), self.cache.lengths[: len(tokens)]
        span = self.replays.span(max(lengths) + 1, self.cache.capacity_tokens)

        def run(ids: Tensor, at: Tensor) -> Sequence[Tensor]:
            windows = self._decoder.shape.windows
            attend = StepAttend(self.cache, num, self._rope, windows, lengths=at, span_tokens=span)
            return [self._head(self._decoder.hidden(ids, attend))]

        given = (torch.tensor(numbers, device=self._device) for numbers in (tokens, lengths))
        (logits,) = self.replays(("step", num, span), run, *given)
        for slot in range(num):
            self.cache.lengths[slot] += 1
        return logits

    def snapshot(self, slot: int) -> Snapshot:
        """A copy of a slot's keys and values."""
        return self.cache.snapshot(slot)

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Put a copied sequence into a free slot."""
        self.cache.restore(slot, snapshot)

    def move(self, source: int, target: int) -> None:
        """Copy one slot over another."""
        self.cache.move(source, target)

    def _extend(self, slots: list[int], counts: list[int], tokens: list[int]) -> Tensor:
        windows = self._decoder.shape.windows
        attend = ExtendAttend(self.cache, slots, counts, self._rope, windows)
        hidden = self._decoder.hidden(torch.tensor(tokens, device=self._device), attend)
        for slot, count in zip(slots, counts, strict=True):
            self.cache.lengths[slot] += count
        return hidden

    def _head(self, hidden: Float[Tensor, "B d"]) -> Float[Tensor, "B V"]:
        return self._decoder.head(hidden)


def _passes(lengths: Sequence[int], chunk_rows: int) -> list[list[tuple[int, int, int]]]:
    """Cut sequences into pieces (sequence, begin, end), and pieces into passes.

    A sequence is always cut at the same places, whatever else is in the batch, so that its
    numbers cannot depend on its neighbours. A pass holds at most `chunk_rows` rows.
    Source: ours. Oracle: tests/engine/test_session.py::test_bits_do_not_depend_on_a_shared_prefix
    """
    passes: list[list[tuple[int, int, int]]] = [[]]
    room = chunk_rows
    for index, length in enumerate(lengths):
        for begin, end in itertools.pairwise([0, *_cuts(length, chunk_rows)]):
            if end - begin > room:
                passes.append([])
                room = chunk_rows
            passes[-1].append((index, begin, end))
            room -= end - begin
    return passes


def _cuts(length: int, chunk_rows: int) -> list[int]:
    """Ends of a sequence's pieces; the last one has enough rows for the bits of the whole."""
    ends = [*range(chunk_rows, length, chunk_rows), length]
    if len(ends) > 1 and length - ends[-2] < LEAST_ROWS <= chunk_rows // 2:
        ends[-2] = length - LEAST_ROWS
    return ends
