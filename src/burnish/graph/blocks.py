"""Blocks of a graph: for all nodes, for the exact neighbourhood of some, or for a sample of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from burnish.base.errors import SettingError
from burnish.graph.layers import Block, SparseMatrix


@dataclass(frozen=True, kw_only=True)
class Batch:
    """`nodes` are the first block's input rows; the last one's outputs were asked for."""

    nodes: np.ndarray
    blocks: tuple[Block, ...]


class Neighbourhoods:
    """Makes batches of one graph; degrees are those of the whole graph, wherever rows are few.

    `fanouts`: at most so many neighbours a node, the first for the outputs; () takes all. A sample
    is drawn without replacement and weighted so that sums stay unbiased.
    Source: Hamilton et al. 2017 (GraphSAGE), arXiv 1706.02216, section 3.1.
    Oracle: tests/graph/test_blocks.py::test_a_batch_equals_the_whole_graph
    """

    def __init__(self, adjacency: sparse.csr_array, *, fanouts: Sequence[int] = ()) -> None:
        if any(fanout < 1 for fanout in fanouts):
            rule, remedy = "must be at least 1 each", "Leave it out for all neighbours"
            raise SettingError("fanouts", list(fanouts), rule, remedy=remedy)
        self._adjacency, self._fanouts = adjacency, tuple(fanouts)
        self._degrees = np.diff(adjacency.indptr)

    def whole(self, num_layers: int) -> Batch:
        """Every node, one block for all layers."""
        everything = np.arange(len(self._degrees))
        block = self._block(self._adjacency, everything, everything)
        return Batch(nodes=everything, blocks=(block,) * num_layers)

    def around(
        self, nodes: np.ndarray, num_layers: int, rng: np.random.Generator | None = None
    ) -> Batch:
        """The blocks that outputs for `nodes` need; with fanouts a sample drawn by `rng`."""
        blocks, outputs = list[Block](), np.asarray(nodes)
        for depth in range(num_layers):
            rows = self._adjacency[outputs]
            if self._fanouts:
                if rng is None:
                    raise SettingError("rng", None, "must be given", remedy="Give a generator")
                fanout = self._fanouts[min(depth, len(self._fanouts) - 1)]
                rows = _sampled(rows, fanout, rng)
            inputs = np.union1d(outputs, rows.indices)
            blocks.append(self._block(rows, outputs, inputs))
            outputs = inputs
        return Batch(nodes=outputs, blocks=tuple(reversed(blocks)))

    def _block(self, rows: sparse.csr_array, outputs: np.ndarray, inputs: np.ndarray) -> Block:
        """`rows` holds the neighbours that count, over all nodes; 1 or more, where few stand."""
        own = np.searchsorted(inputs, outputs)
        columns = np.searchsorted(inputs, rows.indices)
        shape = (len(outputs), len(inputs))
        kept = sparse.csr_array((rows.data, columns, rows.indptr), shape=shape)
        sums = kept.sum(axis=1)
        mean = sparse.diags_array(1 / np.where(sums > 0, sums, 1)) @ kept
        scale = 1 / np.sqrt(self._degrees + 1.0)
        loops = sparse.coo_array((np.ones(len(own)), (np.arange(len(own)), own)), shape=shape)
        left, right = sparse.diags_array(scale[outputs]), sparse.diags_array(scale[inputs])
        normal = left @ (kept + loops.tocsr()) @ right
        return Block(
            mean=SparseMatrix(sparse.csr_array(mean)),
            normal=SparseMatrix(sparse.csr_array(normal)),
            own=torch.from_numpy(own),
        )


def _sampled(rows: sparse.csr_array, fanout: int, rng: np.random.Generator) -> sparse.csr_array:
    """At most `fanout` entries a row, each weighted by how many it stands for."""
    degrees = np.diff(rows.indptr)
    owner = np.repeat(np.arange(len(degrees)), degrees)
    order = np.lexsort((rng.random(rows.nnz), owner))
    place = np.arange(rows.nnz) - np.repeat(rows.indptr[:-1], degrees)
    kept = np.sort(order[place < fanout])
    taken = np.minimum(degrees, fanout)
    weights = np.repeat(degrees / np.maximum(taken, 1), taken).astype(np.float32)
    ends = np.concatenate([[0], np.cumsum(taken)])
    return sparse.csr_array((weights, rows.indices[kept], ends), shape=rows.shape)
