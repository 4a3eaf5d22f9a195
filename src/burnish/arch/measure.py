"""Held-out documents: nats per token and bits per byte, the state reset at each document."""

import lzma
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from burnish.base.items import ItemLog, finish_items
from burnish.base.rng import stream
from burnish.base.stats import Estimate, bootstrap
from burnish.data.packing import fill_passes
from burnish.data.shards import Marks
from burnish.kv.rope import Rope
from burnish.kv.shared import SharedAttend, packed
from burnish.models.decoder import Decoder
from burnish.models.head import logprobs_of

PASS_ROWS = 4096
NUM_RESAMPLES = 2000
MOST_UNITS = 500  # of the bootstrap: more documents are dealt to so many groups


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A part of a document as one pass sees it; targets before `scored` were counted before."""

    document: int
    inputs: Sequence[int]
    targets: Sequence[int]
    scored: int

    def __len__(self) -> int:
        """Rows of a forward pass [tokens]."""
        return len(self.inputs)


def chunks_of(
    documents: Sequence[Mapping[str, Any]], marks: Marks, *, context: int
) -> Iterator[Chunk]:
    """Every document in chunks of `context` tokens that overlap by half; each target counts once.

    What precedes a text is an input and no target; the end token is a target.
    Source: strided evaluation (Press et al., arXiv 2012.15832, section 2).
    Oracle: tests/arch/test_measure.py::test_every_target_counts_once
    """
    stride = max(1, context // 2)
    for number, document in enumerate(documents):
        ids = document["tokens"]
        inputs, targets = [marks.first, *ids], [*ids, marks.end]
        begin = done = 0
        while done < len(targets):
            end = min(begin + context, len(targets))
            yield Chunk(
                document=number,
                inputs=inputs[begin:end],
                targets=targets[begin:end],
                scored=done - begin,
            )
            done = end
            begin = min(begin + stride, max(0, len(targets) - context))


def measure_chunks(network: Decoder, chunks: Sequence[Chunk]) -> list[float]:
    """Nats of each chunk's counted targets, from one pass."""
    device = network.lm_head.weight.device
    tokens = torch.tensor([t for one in chunks for t in one.inputs], device=device)
    wanted = torch.tensor([t for one in chunks for t in one.targets], device=device)
    blocks = packed([len(one) for one in chunks])
    attend = SharedAttend(blocks, Rope(network.config), network.shape.windows).to(device)
    with torch.no_grad():
        found = logprobs_of_rows(network, network.hidden(tokens, attend), wanted)
    nats: list[float] = []
    begin = 0
    for one in chunks:
        own = found[begin + one.scored : begin + len(one)]
        nats.append(-float(own.double().sum()))
        begin += len(one)
    return nats


def logprobs_of_rows(
    network: Decoder, hidden: Float[Tensor, "R d"], wanted: Tensor
) -> Float[Tensor, " R"]:
    """Log-probability of one token per row; logits are computed for a few rows at a time."""
    rows = max(1, (1 << 24) // network.shape.vocab_size)
    parts = range(0, len(hidden), rows)
    return torch.cat(
        [logprobs_of(network.head(hidden[i : i + rows]), wanted[i : i + rows]) for i in parts]
    )


def measure_documents(
    network: Decoder,
    documents: Sequence[Mapping[str, Any]],
    marks: Marks,
    *,
    context: int,
    path: Path,
) -> list[float]:
    """Nats of each document; passes that the log `path` has are not computed again.

    Passes are the same whatever was interrupted, so that the numbers are too, bit for bit.
    Source: ours. Oracle: tests/arch/test_measure.py::test_killed_and_resumed_equals_straight
    """
    chunks = list(chunks_of(documents, marks, context=context))
    passes = list(fill_passes(chunks, max(PASS_ROWS, context), rows_of=len))

    def work(missing: list[int], keep: Callable[[dict[str, Any]], None]) -> None:
        for number in missing:
            keep({"pass": number, "nats": measure_chunks(network, passes[number])})

    log = ItemLog(path, fields=("pass",))
    rows = finish_items(log, range(len(passes)), work, label="evaluate", unit="pass")
    nats = [0.0] * len(documents)
    for row, some in zip(rows, passes, strict=True):
        for one, value in zip(some, row["nats"], strict=True):
            nats[one.document] += value
    return nats


def ratio(above: Sequence[float], below: Sequence[float], *, seed: int) -> Estimate:
    """Sum of `above` over sum of `below`, with an interval over documents.

    Source: the ratio estimator, bootstrapped. Oracle: tests/arch/test_measure.py::test_ratio
    """
    num_units = min(len(above), MOST_UNITS)
    a, b = (
        np.array([sum(x[unit::num_units]) for unit in range(num_units)], float)
        for x in (list(above), list(below))
    )

    def of(picked: np.ndarray) -> float:
        places = picked.astype(int)
        return float(a[places].sum() / b[places].sum())

    rng = stream(seed, "heldout")
    found = bootstrap(np.arange(num_units), statistic=of, rng=rng, num_resamples=NUM_RESAMPLES)
    return Estimate(value=found.value, low=found.low, high=found.high, n=len(above))


def xz_bits(texts: Sequence[str]) -> dict[str, float]:
    """Bits a byte of `xz -9`: each text by itself, and all as one stream.

    Source: xz (LZMA2, preset 9), here from Python's lzma, which writes the same container.
    Oracle: tests/arch/test_measure.py::test_xz_equals_the_program
    """
    data = [text.encode() for text in texts]
    num_bytes = sum(map(len, data))
    apart = sum(map(_xz_bytes, data))
    return {
        "xz_bits_per_byte": 8 * apart / num_bytes,
        "xz_stream_bits_per_byte": 8 * _xz_bytes(b"".join(data)) / num_bytes,
    }


def _xz_bytes(data: bytes) -> int:
    """Size under preset 9; a dictionary no longer than the data saves clearing 64 MiB a text."""
    size = min(max(len(data), 4096), 64 << 20)
    own = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": size}
    return len(lzma.compress(data, filters=[own]))


def bits(nats: float) -> float:
    """Nats converted to bits."""
    return nats / math.log(2)
