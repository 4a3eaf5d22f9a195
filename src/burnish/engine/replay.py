"""Passes of fixed shape, recorded once and replayed: CUDA graphs, where there is a GPU.

A small model's decode step is a thousand short kernels, and on a GPU starting them takes longer
than running them. A recorded pass starts as one. It must read all that changes from its inputs.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from burnish.base.progress import say

Pass = Callable[..., Sequence[Tensor]]
Recorder = Callable[[Pass, Sequence[Tensor]], Callable[[], Sequence[Tensor]]]

SPAN_TOKENS = 256  # recorded passes look at so many cells, or twice, or three times as many
USES = 3  # a shape is recorded when it comes for the third time
MOST = 64  # recorded passes; each holds its own buffers


class Replays:
    """Runs passes, and records those that are repeated; without a recorder it only runs them.

    A pass that cannot be recorded is reported once on stderr, and runs unrecorded.
    Source: ours. Oracle: tests/engine/test_replay.py::test_replayed_equals_run
    """

    def __init__(self, record: Recorder | None = None) -> None:
        self._record, self._uses = record, Counter[Hashable]()
        self._made: dict[Hashable, tuple[Sequence[Tensor], Callable[[], Sequence[Tensor]]]] = {}

    @classmethod
    def on(cls, device: torch.device) -> "Replays":
        """CUDA graphs on a GPU; elsewhere nothing is recorded."""
        return cls(record_cuda if device.type == "cuda" else None)

    def span(self, num_tokens: int, capacity_tokens: int) -> int | None:
        """How many cells a pass that needs so many shall look at; None: just these."""
        if self._record is None:
            return None
        return min(-(-num_tokens // SPAN_TOKENS) * SPAN_TOKENS, capacity_tokens)

    def __call__(self, key: Hashable, run: Pass, *inputs: Tensor) -> Sequence[Tensor]:
        """`run(*inputs)`; `key` must hold everything but the inputs' numbers that it depends on."""
        if key not in self._made:
            self._uses[key] += 1
            if self._record is None or self._uses[key] < USES or len(self._made) >= MOST:
                return run(*inputs)
            held = [tensor.clone() for tensor in inputs]
            try:
                self._made[key] = held, self._record(run, held)
            except RuntimeError as error:
                say(f"CUDA graphs are not used on this GPU: {str(error).splitlines()[0]}")
                self._record = None
                return run(*inputs)
        held, replay = self._made[key]
        for mine, given in zip(held, inputs, strict=True):
            mine.copy_(given)
        return [tensor.clone() for tensor in replay()]


def record_cuda(run: Pass, inputs: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
    """A CUDA graph of `run(*inputs)`, after two runs, since libraries initialise at the first."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            run(*inputs)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = run(*inputs)

    def replay() -> Sequence[Tensor]:
        graph.replay()
        return out

    return replay
