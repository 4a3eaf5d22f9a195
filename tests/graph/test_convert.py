"""Graphs of networkx and PyG."""

from types import SimpleNamespace

import networkx
import numpy as np
import pytest
import torch
from fixtures.graphs import planted_graph

from burnish.base.errors import InputError
from burnish.graph import convert
from burnish.graph.convert import from_networkx, from_pyg, to_networkx


def check_networkx(back):
    graph = planted_graph(40, text=True, edges=True)
    assert from_networkx(back(graph)).key == graph.key


def test_networkx_and_back():
    check_networkx(to_networkx)
    with pytest.raises(InputError, match="must have a text"):
        from_networkx(networkx.path_graph(2))


def test_planted_lost_edge():
    def lossy(graph):
        found = to_networkx(graph)
        found.remove_edge(*next(iter(found.edges)))
        return found

    with pytest.raises(AssertionError):
        check_networkx(lossy)


def data_of(**more):
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    fields = {"edge_index": edges, "num_nodes": 3, "y": torch.tensor([[1], [-1], [0]])}
    return SimpleNamespace(**fields, **more)


def test_pyg_and_back():
    """PyG itself is compared in tests/graph/test_layers.py (peer); here is its interface."""
    masks = {"train_mask": torch.tensor([True, False, False]), "test_mask": torch.tensor([0, 0, 1])}
    data = data_of(x=torch.eye(3), val_mask=None, **masks)
    graph = from_pyg(data, ["x", "y", "z"], class_names=["u", "v"])
    assert graph.labels == ("v", "", "u") and graph.splits == ("train", "", "test")
    assert graph.edges.tolist() == [[0, 1], [1, 2]]
    assert graph.features is not None and np.array_equal(graph.features, np.eye(3))
    assert from_pyg(data_of(), ["x", "y", "z"]).labels == ("1", "", "0")
    with pytest.raises(InputError, match="one for each of the 3 nodes"):
        from_pyg(data, ["x"])


@pytest.mark.peer
def test_to_pyg():
    pytest.importorskip("torch_geometric")
    graph = planted_graph(40, text=True, edges=True)
    data, classes = convert.to_pyg(graph)
    again = from_pyg(data, graph.texts, class_names=classes, ids=graph.ids)
    assert again.key == graph.key
