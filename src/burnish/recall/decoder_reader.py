"""Our decoder as a reader, with its keys and values under any policy."""

from collections.abc import Sequence

import torch
from torch import Tensor

from burnish.contracts.kv_policy import KVPolicy
from burnish.engine.policies import needs_surprise, read_rows, shape_of
from burnish.kv.memory import open_memory
from burnish.models.decoder import Decoder
from burnish.models.load import Model
from burnish.recall.logits import Peak, gather, greedy
from burnish.recall.reader import Predicted

HEAD_ROWS = 128  # rows whose logits exist at once: 25 MB in fp32 for a vocabulary of 49,152


class DecoderReader:
    """Chunked passes over one sequence; the head sees scored rows only.

    Source: ours. Oracle: tests/recall/test_readers.py::test_chunks_equal_one_naive_pass
    """

    def __init__(self, model: Model, policy: KVPolicy, *, chunk_rows: int = 512) -> None:
        assert isinstance(model.network, Decoder)
        self._decoder, self._policy, self._chunk_rows = model.network, policy, chunk_rows
        self._shape = shape_of(model)
        self._memory = open_memory(policy, self._shape)
        self.peak = Peak()
        self.num_rows = 0  # computed so far, over all texts
        self.how = f"chunks of {chunk_rows} rows, marks of the cache"

    def clear(self) -> None:
        """Begin a new text."""
        self._memory = open_memory(self._policy, self._shape)

    @torch.inference_mode()
    def extend(self, tokens: Sequence[int]) -> None:
        """Append tokens to the text."""
        for begin in range(0, len(tokens), self._chunk_rows):
            self._pass(tokens[begin : begin + self._chunk_rows])

    @torch.inference_mode()
    def predict(self, tokens: Sequence[int], num_scored: int) -> Predicted:
        """Predict the last `num_scored` tokens; the text is left unchanged."""
        mark = self._memory.mark()
        fed, first = tokens[:-1], len(tokens) - 1 - num_scored
        parts: list[tuple[list[int], list[bool]]] = []
        for begin in range(0, len(fed), self._chunk_rows):
            hidden = self._pass(fed[begin : begin + self._chunk_rows])
            for rows in hidden[max(0, first - begin) :].split(HEAD_ROWS):
                if len(rows):
                    parts.append(greedy(self.peak.see(self._decoder.head(rows))))
        self._memory.rewind(mark)
        return gather(parts)

    def _pass(self, tokens: Sequence[int]) -> Tensor:
        surprises = needs_surprise(self._policy)
        hidden = read_rows(self._decoder, [self._memory], [tokens], surprises=surprises)
        self.num_rows += len(tokens)
        return hidden
