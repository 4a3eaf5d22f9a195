"""The network: no graph, other orders, two spaces."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures.graphs import QUICK, planted_graph

from burnish.graph import retriever as module
from burnish.graph.blocks import Neighbourhoods
from burnish.graph.retriever import Retriever

GRAPH = planted_graph(40, text=False, edges=True)
ROWS = torch.randn(40, 7, generator=torch.Generator().manual_seed(0))
NODES = torch.arange(40)[:, None]


def vectors(network, graph):
    return network(ROWS, Neighbourhoods(graph.adjacency).whole(2), NODES)


def fresh(**settings):
    torch.manual_seed(0)
    return Retriever(7, 3, replace(QUICK, **settings), pairs=False).eval()


def check_empty():
    """Without edges GraphSAGE is the network that sees its own rows alone."""
    empty = GRAPH.with_edges(np.zeros((0, 2)))
    network, plain = fresh(), fresh(structure="mlp")
    for one, other in zip(network.layers, plain.layers, strict=True):
        other.own.weight.data = one.own.weight.data
        other.own.bias.data = one.neighbours.bias.data
    plain.project.load_state_dict(network.project.state_dict())
    assert torch.allclose(vectors(network, empty), vectors(plain, empty), atol=1e-6)
    assert not torch.allclose(vectors(network, GRAPH), vectors(network, empty), atol=1e-3)


def test_an_empty_graph_is_the_network_without_one():
    check_empty()


def test_planted_loops(monkeypatch):
    real = Neighbourhoods.__init__

    def looped(self, adjacency, *, fanouts=()):
        from scipy import sparse

        real(self, adjacency + sparse.eye_array(40, format="csr"), fanouts=fanouts)

    monkeypatch.setattr(Neighbourhoods, "__init__", looped)
    with pytest.raises(AssertionError):
        check_empty()


@pytest.mark.parametrize("structure", ["sage", "gcn", "sgc"])
def test_relabelling_changes_nothing(structure):
    order = np.random.default_rng(1).permutation(40)
    network = fresh(structure=structure)
    moved = GRAPH.with_edges(np.argsort(order)[GRAPH.edges])
    batch = Neighbourhoods(moved.adjacency).whole(2)
    found = network(ROWS[order], batch, NODES)
    assert torch.allclose(found, vectors(network, GRAPH)[order], atol=1e-6)


def test_spaces():
    network, released = fresh(), fresh(space="log-softmax")
    rows = vectors(network, GRAPH)
    assert torch.allclose(rows.norm(dim=1), torch.ones(40), atol=1e-5)
    assert network.sharpness == 20.0 and network.compared(rows) is rows
    compared = released.compared(rows)
    assert compared.shape == (40, 3) and released.sharpness == 1.0
    # the flaw of the released form: cosines of log-probabilities are nearly all equal
    spread = [float((x @ x.T).std()) for x in (rows.detach(), compared.detach())]
    assert spread[1] < 0.7 * spread[0]


def test_pairs_do_not_depend_on_their_order():
    network = Retriever(7, 2, QUICK, pairs=True).eval()
    batch = Neighbourhoods(GRAPH.adjacency).whole(2)
    one = network(ROWS, batch, torch.tensor([[1, 2]]))
    assert torch.allclose(one, network(ROWS, batch, torch.tensor([[2, 1]])), atol=1e-6)
    assert module.LAYERS["sage"]
