"""Graphs of other libraries: networkx and PyG."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from burnish.base.errors import InputError, MissingExtraError
from burnish.graph.tag import TextGraph, make_graph


def from_networkx(graph: Any, *, text: str = "text", label: str = "label") -> TextGraph:
    """Read a networkx graph whose nodes have the attributes `text`, and perhaps `label`, `split`.

    Raises InputError for a node without text.
    Source: ours. Oracle: tests/graph/test_convert.py::test_networkx_and_back
    """
    nodes = []
    for name, attributes in graph.nodes(data=True):
        if text not in attributes:
            remedy = f"Set the attribute {text}"
            raise InputError(f"node {name}", sorted(attributes), "must have a text", remedy=remedy)
        row = {"id": name, "text": attributes[text], "label": attributes.get(label)}
        nodes.append(row | {"split": attributes.get("split")})
    edges = [(str(a), str(b), f"edge {i}") for i, (a, b) in enumerate(graph.edges(), start=1)]
    return make_graph(nodes, edges)


def to_networkx(graph: TextGraph) -> Any:
    """A networkx `Graph` with the attributes `text`, `label` and `split`.

    Raises MissingExtraError.
    """
    try:
        import networkx
    except ImportError as error:
        rule, remedy = "is not installed", "pip install networkx"
        raise MissingExtraError("networkx", None, rule, remedy=remedy) from error
    found = networkx.Graph()
    rows = zip(graph.ids, graph.texts, graph.labels, graph.splits, strict=True)
    for name, text, label, split in rows:
        found.add_node(name, text=text, label=label, split=split)
    found.add_edges_from((graph.ids[a], graph.ids[b]) for a, b in graph.edges.tolist())
    return found


def from_pyg(
    data: Any, texts: Sequence[str], *, class_names: Sequence[str] = (), ids: Sequence[str] = ()
) -> TextGraph:
    """Read PyG data: `edge_index`, and where there are any `x`, `y` and the three masks.

    `y` below 0 is no label. `class_names` names the classes; without it they are numbers.
    Raises InputError where `texts` or `ids` are not as many as the nodes.
    Source: ours. Oracle: tests/graph/test_convert.py::test_pyg_and_back
    """
    num = int(data.num_nodes)
    for name, given in (("texts", texts), ("ids", ids or texts)):
        if len(given) != num:
            rule = f"must be one for each of the {num} nodes"
            raise InputError(name, len(given), rule, remedy="Give one for each node")
    names = list(ids) or [f"{i:0{len(str(num))}d}" for i in range(num)]
    y = getattr(data, "y", None)
    numbers = [-1] * num if y is None else [int(value) for value in y.reshape(-1).tolist()]
    labels = ["" if c < 0 else (class_names[c] if class_names else str(c)) for c in numbers]
    splits = [""] * num
    for split, mask in (("train", "train_mask"), ("valid", "val_mask"), ("test", "test_mask")):
        given = getattr(data, mask, None)
        for index in [] if given is None else given.nonzero().reshape(-1).tolist():
            splits[index] = split
    nodes = [
        {"id": name, "text": text, "label": label, "split": split}
        for name, text, label, split in zip(names, texts, labels, splits, strict=True)
    ]
    pairs = data.edge_index.t().tolist()
    edges = [(names[a], names[b], f"edge {i}") for i, (a, b) in enumerate(pairs, start=1)]
    x = getattr(data, "x", None)
    return make_graph(nodes, edges, features=None if x is None else np.asarray(x, dtype=np.float32))


def to_pyg(graph: TextGraph) -> tuple[Any, tuple[str, ...]]:
    """PyG data (both directions of every edge) and the names of its classes.

    Raises MissingExtraError.
    """
    try:
        from torch_geometric.data import Data  # pyright: ignore[reportMissingImports] - an extra
    except ImportError as error:
        rule, remedy = "is not installed", "pip install torch-geometric"
        raise MissingExtraError("torch-geometric", None, rule, remedy=remedy) from error
    import torch

    classes = tuple(sorted({label for label in graph.labels if label}))
    both = np.concatenate([graph.edges, graph.edges[:, ::-1]])
    y = [classes.index(label) if label else -1 for label in graph.labels]
    masks = {
        mask: torch.tensor([own == split for own in graph.splits])
        for split, mask in (("train", "train_mask"), ("valid", "val_mask"), ("test", "test_mask"))
    }
    x = None if graph.features is None else torch.from_numpy(graph.features)
    found = Data(
        x=x, edge_index=torch.from_numpy(both.T.copy()), y=torch.tensor(y), **masks,
        num_nodes=len(graph),
    )  # fmt: skip
    return found, classes
