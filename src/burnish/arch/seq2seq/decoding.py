"""Translations from a model: one cache a beam, keys and values of the sources made once."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.arch.seq2seq.beam import Hypothesis, beam_search, cut
from burnish.arch.seq2seq.forward import Teacher
from burnish.arch.seq2seq.settings import BeamSettings
from burnish.kv.dense import DenseCache, StepAttend
from burnish.kv.rope import Rope
from burnish.models.seq2seq import Seq2Seq


class Beams:
    """The rows of several beams in a cache, a place for each evaluation of each layer.

    Source: ours. Oracle: tests/arch/seq2seq/test_decoding.py::test_cached_equals_uncached
    """

    def __init__(
        self, network: Seq2Seq, sources: Sequence[Sequence[int]], settings: BeamSettings, end: int
    ) -> None:
        shape, self._network = network.decoder.shape, network
        weight = network.decoder.lm_head.weight
        self._memory = Teacher(network, end=end).encode(network, sources).repeated(settings.beam)
        self._rope, self._num = Rope(network.decoder.config), len(sources) * settings.beam
        self._cache = DenseCache(
            num_layers=shape.num_places,
            num_kv_heads=shape.num_kv_heads,
            head_dim=shape.head_dim,
            num_slots=self._num,
            capacity_tokens=settings.max_new_tokens,
            dtype=weight.dtype,
            device=weight.device,
        )

    def __call__(
        self, tokens: Int[Tensor, " N"], sources: Int[Tensor, " N"]
    ) -> Float[Tensor, "N V"]:
        """Log-probabilities behind one more token of each row, on the main processor."""
        cache, device = self._cache, self._cache.cells.device
        tokens, sources = tokens.to(device), sources.to(device)
        if any(cache.lengths):
            cache.reorder(sources)
        windows = self._network.decoder.shape.windows
        attend = StepAttend(cache, self._num, self._rope, windows)
        rows = self._network.embed(tokens[:, None])
        hidden = self._network.decode(rows, attend, self._memory)
        cache.lengths = [length + 1 for length in cache.lengths]
        return self._network.decoder.head(hidden).float().log_softmax(-1).cpu()


@torch.inference_mode()
def decode_sources(
    network: Seq2Seq, sources: Sequence[Sequence[int]], settings: BeamSettings, *, end: int
) -> list[Hypothesis]:
    """The best translation of each source, in their order.

    Source: ours. Oracle: tests/arch/seq2seq/test_decoding.py::test_search_equals_exhaustive
    """
    found: dict[int, Hypothesis] = {}
    for some in cut(sources, settings.batch):
        beams = Beams(network, [sources[index] for index in some], settings, end)
        found |= zip(some, beam_search(beams, len(some), settings, end=end), strict=True)
    return [found[index] for index in range(len(sources))]
