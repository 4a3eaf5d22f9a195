"""An index as a decode loop: every text continues the document."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.contracts.generation import Completion, Finish
from burnish.engine.loop import Loop, OnDone
from burnish.engine.policies import CHUNK_ROWS, PolicySession
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.memory import RetrievingMemory
from burnish.stream.asking import Index, Reads


@dataclass(frozen=True, kw_only=True, eq=False)
class Cited(Completion):
    """An answer with the document tokens read for it, which `Index.spans` takes."""

    reads: Reads


class IndexSession(PolicySession):
    """Slots that begin after the document; questions are read as `Index.ask` reads them.

    `prefill` takes one piece of `cuts` a slot: the last token of a question is a piece of its own,
    because what is read for the answer is chosen there.
    Source: ours. Oracle: tests/stream/test_serving.py::test_served_answers_are_those_of_ask
    """

    _memories: list[RetrievingMemory]  # what `open` gives

    def __init__(self, index: Index, num_slots: int) -> None:
        self._index = index
        super().__init__(index.model, kv_policies.parse(index.manifest.policy), num_slots)

    def open(self) -> RetrievingMemory:
        """A fork of the document's memory for one text."""
        return self._index.fork()

    def cuts(self, num_tokens: int) -> list[int]:
        """Where pieces end: chunks, and the last token alone."""
        ends = [*range(CHUNK_ROWS, num_tokens - 1, CHUNK_ROWS), num_tokens - 1, num_tokens]
        return [end for end in ends if end]

    @torch.inference_mode()
    def prefill(
        self, slots: Sequence[int], prompts: Sequence[Sequence[int]]
    ) -> Float[Tensor, "B V"]:
        """Append a piece to each slot; reads count from a question's last token on."""
        last = []
        for slot, piece in zip(slots, prompts, strict=True):
            assert len(piece) <= CHUNK_ROWS, "a prompt is read in the pieces of `cuts`"
            memory = self._memories[slot]
            if len(piece) == 1:
                memory.watch = Reads(len(self._index.source.ids))
            last.append(self._pass([memory], [piece])[-1])
        return self._decoder.head(torch.stack(last))

    def snapshot(self, slot: int) -> RetrievingMemory:
        """A copy of a slot's memory."""
        return _counting(self._memories[slot])

    def restore(self, slot: int, snapshot: RetrievingMemory) -> None:
        """Put a copied memory into a slot."""
        self._memories[slot] = _counting(snapshot)

    def reads(self, slot: int) -> Reads:
        """The document tokens that the text in a slot has read."""
        watch = self._memories[slot].watch
        assert isinstance(watch, Reads), "`prefill` counts from the last token of a question"
        return watch


class IndexLoop(Loop):
    """The engine's loop after a document: `add`, `cancel` and `round`; completions are `Cited`."""

    session: IndexSession

    def retire(self, slot: int, finish: Finish) -> None:
        """End a row; its completion reports what it has read."""
        row, reads = self.rows[slot], self.session.reads(slot)
        self._report(row, Cited(**vars(row.completion(finish)), reads=reads))
        self._release(slot)


def open_index_loop(index: Index, *, num_slots: int, on_done: OnDone | None = None) -> IndexLoop:
    """A loop of `num_slots` slots without requests; prompts follow the document."""
    return IndexLoop(index.model, IndexSession(index, num_slots), num_slots, on_done=on_done)


def _counting(memory: RetrievingMemory) -> RetrievingMemory:
    """A copy with its own count of reads."""
    other = memory.fork()
    other.watch = None if memory.watch is None else memory.watch.copy()
    return other
