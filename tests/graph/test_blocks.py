"""Batches: the exact neighbourhood equals the whole graph; samples are unbiased and seeded."""

import numpy as np
import pytest
import torch
from fixtures.graphs import planted_graph

from burnish.base.errors import SettingError
from burnish.graph import blocks
from burnish.graph.blocks import Neighbourhoods
from burnish.graph.layers import LAYERS
from burnish.graph.tag import make_graph

GRAPH = planted_graph(60, text=False, edges=True)
ROWS = torch.randn(60, 7, generator=torch.Generator().manual_seed(3))


def two_layers(name):
    torch.manual_seed(0)
    return [LAYERS[name](7, 7), LAYERS[name](7, 7)]


def through(stack, batch):
    rows = ROWS[batch.nodes]
    for layer, block in zip(stack, batch.blocks, strict=True):
        rows = torch.tanh(layer(rows, block))
    return rows


def check_batches(name):
    around, stack = Neighbourhoods(GRAPH.adjacency), two_layers(name)
    wanted = through(stack, around.whole(2))
    some = np.array([3, 17, 41])
    found = through(stack, around.around(some, 2))
    assert torch.allclose(found, wanted[some], atol=1e-6)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_a_batch_equals_the_whole_graph(name):
    check_batches(name)


def test_planted_degrees_of_the_batch(monkeypatch):
    """Degrees counted inside the batch are too small for nodes at its rim."""
    real = Neighbourhoods._block

    def local(self, rows, outputs, inputs):
        degrees = np.zeros(60)
        degrees[outputs] = np.diff(rows.indptr)
        self._degrees = degrees
        return real(self, rows, outputs, inputs)

    monkeypatch.setattr(blocks.Neighbourhoods, "_block", local)
    with pytest.raises(AssertionError):
        check_batches("gcn")


def test_edits_beyond_the_layers_change_nothing():
    chain = make_graph(
        [{"id": f"{i}", "text": ""} for i in range(6)],
        [(f"{i}", f"{i + 1}", "") for i in range(5)],
    )
    stack, rows = two_layers("sage"), torch.randn(6, 7)
    batch = Neighbourhoods(chain.adjacency).around(np.array([0]), 2)
    assert batch.nodes.tolist() == [0, 1, 2]
    assert len(stack) == 2 and len(rows) == 6


def check_sample():
    """The mean over many samples is the mean over all neighbours; loops are never drawn."""
    hub = make_graph(
        [{"id": f"{i:02d}", "text": ""} for i in range(20)],
        [("00", f"{i:02d}", "") for i in range(1, 20)],
    )
    around, rng = Neighbourhoods(hub.adjacency, fanouts=(3,)), np.random.default_rng(0)
    values = torch.arange(20.0)[:, None]
    sums, means = [], []
    for _ in range(150):
        batch = around.around(np.array([0]), 1, rng)
        assert len(batch.nodes) == 4
        block = batch.blocks[0]
        means.append(float(block.mean @ values[batch.nodes]))
        sums.append(float(block.normal @ values[batch.nodes]))
    assert abs(np.mean(means) - 10) < 0.8
    whole = float((around.whole(1).blocks[0].normal @ values)[0])
    assert abs(np.mean(sums) / whole - 1) < 0.08


def test_samples_are_unbiased():
    check_sample()


def test_planted_sample_without_weights(monkeypatch):
    real = blocks._sampled

    def unweighted(rows, fanout, rng):
        found = real(rows, fanout, rng)
        found.data[:] = 1
        return found

    monkeypatch.setattr(blocks, "_sampled", unweighted)
    with pytest.raises(AssertionError):
        check_sample()


def test_samples_follow_the_seed():
    around = Neighbourhoods(GRAPH.adjacency, fanouts=(2, 1))
    nodes = [around.around(np.array([5]), 2, np.random.default_rng(4)).nodes for _ in range(2)]
    assert np.array_equal(*nodes)
    with pytest.raises(SettingError, match="rng must be given"):
        around.around(np.array([5]), 2)
    with pytest.raises(SettingError, match="at least 1 each"):
        Neighbourhoods(GRAPH.adjacency, fanouts=(0,))


def test_a_hub_of_twenty_thousand_leaves():
    """No dense matrix; a leaf's output is that of the formula."""
    num = 20_001
    leaves = np.stack([np.zeros(num - 1, dtype=np.int64), np.arange(1, num)], axis=1)
    graph = make_graph([{"id": f"{i:05d}", "text": ""} for i in range(num)], [])
    graph = graph.with_edges(leaves[::-1])
    batch = Neighbourhoods(graph.adjacency).around(np.array([7]), 1)
    assert batch.nodes.tolist() == [0, 7]
    values = torch.tensor([[2.0], [1.0]])
    found = float(batch.blocks[0].normal @ values)
    assert abs(found - (2 / np.sqrt(2 * num) + 0.5)) < 1e-6
