"""Layers against dense formulas, and against PyG with copied weights (peer)."""

import numpy as np
import pytest
import torch
from fixtures.graphs import planted_graph

from burnish.graph import layers
from burnish.graph.blocks import Neighbourhoods
from burnish.graph.layers import LAYERS, Block, GcnLayer, SageLayer, SgcLayer, SparseMatrix

GRAPH = planted_graph(31, text=False, edges=True)
DENSE = torch.from_numpy(GRAPH.adjacency.toarray()).double()


def rows_of(width=5):
    return torch.randn(31, width, generator=torch.Generator().manual_seed(0))


def whole() -> Block:
    return Neighbourhoods(GRAPH.adjacency).whole(1).blocks[0]


def dense_outputs(name, layer, rows):
    """The textbook formula in float64, on a dense matrix."""
    rows = rows.double()
    if name == "sage":
        mean = DENSE @ rows / DENSE.sum(1, keepdim=True).clamp_min(1)
        own = rows @ layer.own.weight.double().T
        return mean @ layer.neighbours.weight.double().T + layer.neighbours.bias.double() + own
    looped = DENSE + torch.eye(len(DENSE), dtype=torch.double)
    scale = looped.sum(1) ** -0.5
    normal = scale[:, None] * looped * scale
    if name == "sgc":
        return normal @ rows
    if name == "gcn":
        return normal @ rows @ layer.weight.weight.double().T + layer.bias.double()
    return rows @ layer.own.weight.double().T + layer.own.bias.double()


def check_layer(name):
    torch.manual_seed(1)
    layer, rows = LAYERS[name](5, 3), rows_of()
    found = layer(rows, whole())
    assert torch.allclose(found.double(), dense_outputs(name, layer, rows), atol=1e-6)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_layers_equal_dense_formulas(name):
    check_layer(name)


def test_planted_sum_for_mean(monkeypatch):
    real = SageLayer.forward

    def summed(self, rows, block):
        return real(self, rows, Block(mean=block.normal, normal=block.normal, own=block.own))

    monkeypatch.setattr(SageLayer, "forward", summed)
    with pytest.raises(AssertionError):
        check_layer("sage")


def test_gradients_of_layers():
    one_way = GRAPH.adjacency.copy()
    one_way.data[: one_way.nnz // 2] = 0.5  # not symmetric
    matrix = SparseMatrix(one_way)
    rows = torch.randn(31, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: matrix @ x, (rows,))


def test_planted_gradient_without_transpose(monkeypatch):
    def wrong(ctx, *grads):
        return ctx.forward_matrix.to(grads[0].dtype) @ grads[0], None, None

    def forward(ctx, rows, forward, backward):
        ctx.forward_matrix = forward
        return forward.to(rows.dtype) @ rows

    monkeypatch.setattr(layers._Product, "forward", staticmethod(forward))
    monkeypatch.setattr(layers._Product, "backward", staticmethod(wrong))
    with pytest.raises(RuntimeError):
        test_gradients_of_layers()


def test_an_empty_graph_leaves_a_linear_map():
    empty = Neighbourhoods(GRAPH.with_edges(np.zeros((0, 2))).adjacency).whole(1).blocks[0]
    rows = rows_of()
    layer = SageLayer(5, 3)
    linear = torch.nn.functional.linear(rows, layer.own.weight) + layer.neighbours.bias
    assert torch.equal(layer(rows, empty), linear)
    gcn = GcnLayer(5, 3)
    assert torch.allclose(gcn(rows, empty), gcn.weight(rows) + gcn.bias, atol=1e-7)


@pytest.mark.peer
@pytest.mark.parametrize("name", ["sage", "gcn", "sgc"])
def test_layers_equal_pyg(name):
    """With copied weights, to 1e-6."""
    nn = pytest.importorskip("torch_geometric.nn")
    both = np.concatenate([GRAPH.edges, GRAPH.edges[:, ::-1]])
    index, rows = torch.from_numpy(both.T.copy()), rows_of()
    with torch.no_grad():
        if name == "sage":
            ours, theirs = SageLayer(5, 3), nn.SAGEConv(5, 3)
            theirs.lin_l.load_state_dict(ours.neighbours.state_dict())
            theirs.lin_r.load_state_dict(ours.own.state_dict())
        elif name == "gcn":
            ours, theirs = GcnLayer(5, 3), nn.GCNConv(5, 3)
            theirs.lin.load_state_dict(ours.weight.state_dict())
            ours.bias.copy_(torch.randn(3))
            theirs.bias.copy_(ours.bias)
        else:
            ours, theirs = SgcLayer(5, 5), nn.SGConv(5, 5, K=1, bias=False)
            theirs.lin.weight.copy_(torch.eye(5))
        difference = ours(rows, whole()) - theirs(rows, index)
    assert difference.abs().max() < 1e-6
