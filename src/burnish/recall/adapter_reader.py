"""Other models of transformers as readers: copies of their caches, or whole forward passes."""

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.models.adapters import Adapter
from burnish.recall.logits import Peak, gather, greedy
from burnish.recall.reader import Predicted, Reader

HEAD_ROWS = 128
PROBE_TOKENS = (13, 3)  # read at once, then in these two pieces
PROBE_TOLERANCE = {torch.float32: 1e-4}  # relative to the spread of the logits
COARSE_TOLERANCE = 5e-2  # bf16, fp16
LOSE_THEIR_STATE = {"mamba", "falcon_mamba", "jamba", "zamba"}  # in transformers 5.23


class CacheReader:
    """A model whose cache can be continued: full, sliding or linear attention, Mamba-2.

    A prediction runs on a deep copy of the cache, whatever its kind.
    Source: ours. Oracle: tests/recall/test_readers.py::test_adapters_equal_one_naive_pass
    """

    def __init__(self, adapter: Adapter, *, chunk_rows: int = 512) -> None:
        self._adapter, self._chunk_rows = adapter, chunk_rows
        names = inspect.signature(adapter.network.forward).parameters
        self._cache_name = "cache_params" if "cache_params" in names else "past_key_values"
        self._takes_positions = "position_ids" in names
        self._keeps_rows = "logits_to_keep" in names
        self._cache: Any = None
        self._length = 0
        self.peak = Peak()
        self.num_rows = 0
        self.how = f"chunks of {chunk_rows} rows, copies of the cache"

    def clear(self) -> None:
        """Begin a new text."""
        self._cache, self._length = None, 0

    def extend(self, tokens: Sequence[int]) -> None:
        """Append tokens to the text."""
        for begin in range(0, len(tokens), self._chunk_rows):
            self.logits(tokens[begin : begin + self._chunk_rows], 1)

    def predict(self, tokens: Sequence[int], num_scored: int) -> Predicted:
        """Predict the last `num_scored` tokens; the text is left unchanged."""
        kept = self._cache, self._length
        self._cache = copy.deepcopy(self._cache)
        first = len(tokens) - 1 - num_scored
        parts = []
        self._read_on(tokens[:first])
        for begin in range(first, len(tokens) - 1, HEAD_ROWS):
            piece = tokens[begin : min(begin + HEAD_ROWS, len(tokens) - 1)]
            parts.append(greedy(self.logits(piece, len(piece))))
        self._cache, self._length = kept
        return gather(parts)

    def _read_on(self, tokens: Sequence[int]) -> None:
        if tokens:
            self.extend(tokens)

    @torch.no_grad()  # not inference_mode: its tensors cannot be copied
    def logits(self, tokens: Sequence[int], num_kept: int) -> Float[Tensor, "R V"]:
        """Append tokens; return logits of the last `num_kept` ones."""
        ids = torch.tensor([list(tokens)], device=self._adapter.device)
        settings: dict[str, Any] = {self._cache_name: self._cache, "use_cache": True}
        if self._takes_positions:
            positions = torch.arange(self._length, self._length + len(tokens))
            settings["position_ids"] = positions[None].to(ids)
        if self._keeps_rows:
            settings["logits_to_keep"] = num_kept
        out = self._adapter.network(input_ids=ids, **settings)
        self._cache = getattr(out, self._cache_name)
        self._length += len(tokens)
        self.num_rows += len(tokens)
        return self.peak.see(out.logits)[0, -num_kept:]


class WholeReader:
    """A model that forgets its state between pieces: every prediction reads the text anew.

    Source: ours. Oracle: tests/recall/test_readers.py::test_adapters_equal_one_naive_pass
    """

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._keeps_rows = "logits_to_keep" in inspect.signature(adapter.network.forward).parameters
        self._text: list[int] = []
        self.peak = Peak()
        self.num_rows = 0
        self.how = "one forward pass each: the model loses its state between pieces"

    def clear(self) -> None:
        """Begin a new text."""
        self._text = []

    def extend(self, tokens: Sequence[int]) -> None:
        """Append tokens; nothing is computed yet."""
        self._text += tokens

    @torch.inference_mode()
    def predict(self, tokens: Sequence[int], num_scored: int) -> Predicted:
        """Predict the last `num_scored` tokens in one pass over everything."""
        whole = [*self._text, *tokens[:-1]]
        ids = torch.tensor([whole], device=self._adapter.device)
        settings = {"logits_to_keep": num_scored} if self._keeps_rows else {}
        out = self._adapter.network(input_ids=ids, use_cache=False, **settings)
        self.num_rows += len(whole)
        return gather([greedy(self.peak.see(out.logits)[0, -num_scored:])])


def adapter_reader(adapter: Adapter, *, chunk_rows: int = 512) -> Reader:
    """The reader that gives a model's true answers: pieces where it keeps its state, else whole."""
    config = adapter.config
    known = getattr(config, "model_type", "") in LOSE_THEIR_STATE
    if known or depends_on_length(config) or not keeps_state(adapter):
        return WholeReader(adapter)
    return CacheReader(adapter, chunk_rows=chunk_rows)


def depends_on_length(config: Any) -> bool:
    """Whether rotary positions depend on the length of a pass, so that pieces change logits."""
    rope = getattr(config, "rope_parameters", None) or {}
    return "dynamic" in str(rope) or "longrope" in str(rope)


def keeps_state(adapter: Adapter) -> bool:
    """Whether reading in two pieces gives the same logits as one pass.

    Mamba-1, FalconMamba, Jamba and Zamba in transformers 5.23 begin anew with every piece of
    several tokens, without a word; a curve from pieces would show amnesia that is not there.
    Source: ours. Oracle: tests/recall/test_readers.py::test_models_that_lose_their_state_are_found
    """
    vocab = adapter.config.get_text_config().vocab_size
    tokens = [(11 + 37 * i) % vocab for i in range(sum(PROBE_TOKENS))]
    whole, pieces = CacheReader(adapter), CacheReader(adapter)
    wanted = whole.logits(tokens, 1)
    pieces.logits(tokens[: PROBE_TOKENS[0]], 1)
    try:
        found = pieces.logits(tokens[PROBE_TOKENS[0] :], 1)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError):
        return False  # a model that refuses a second piece is read whole
    tolerance = PROBE_TOLERANCE.get(wanted.dtype, COARSE_TOLERANCE)
    difference = (wanted.float() - found.float()).abs().max()
    return bool(difference <= tolerance * wanted.float().std())
