"""Claim: exact top-20 over 63k nodes under 5 ms a query; a GraphSAGE epoch on Debian under 2 s.

Retrieval: random unit vectors of 128, queries in one batch. Epoch: full graph, all sections as
classes, forward, backward and step, PyG's `SAGEConv` beside it where it is installed, in turns.
The scorer's claim has a benchmark of its own (`score_labels.py`).
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from recording import median, save

from burnish.graph.blocks import Neighbourhoods
from burnish.graph.features import TextVectors
from burnish.graph.retriever import Retriever
from burnish.graph.search import top_k
from burnish.graph.settings import RetrieverSettings
from burnish.graph.sources import load_source
from burnish.graph.tag import TextGraph


def retrieval_ms(num: int, queries: int, rounds: int) -> dict[str, Any]:
    """Milliseconds a query of the exact top 20."""
    rng, taken = np.random.default_rng(0), list[float]()
    keys = rng.standard_normal((num, 128)).astype(np.float32)
    asked = rng.standard_normal((queries, 128)).astype(np.float32)
    for _ in range(rounds):
        started = time.perf_counter()
        top_k(asked, keys, 20)
        taken.append(1000 * (time.perf_counter() - started) / queries)
    return median(taken)


def ours(graph: TextGraph, rows: torch.Tensor, targets: torch.Tensor, num: int) -> Callable:
    """A step of our full-graph GraphSAGE."""
    torch.manual_seed(0)
    settings = RetrieverSettings(structure="sage", layers=2)
    network = Retriever(rows.shape[1], num, settings, pairs=False)
    batch = Neighbourhoods(graph.adjacency).whole(2)
    nodes = torch.arange(len(graph))[:, None]
    return stepping(network, lambda: network.logits(network(rows, batch, nodes)), targets)


def pygs(graph: TextGraph, rows: torch.Tensor, targets: torch.Tensor, num: int) -> Callable:
    """A step of the same layers by PyG, without norms and projection."""
    from torch_geometric.nn import SAGEConv

    both = np.concatenate([graph.edges, graph.edges[:, ::-1]])
    index = torch.from_numpy(both.T.copy())
    network = torch.nn.ModuleList([SAGEConv(rows.shape[1], 256), SAGEConv(256, num)])

    def forward() -> torch.Tensor:
        return network[1](F.relu(network[0](rows, index)), index)

    return stepping(network, forward, targets)


def stepping(network: torch.nn.Module, forward: Callable, targets: torch.Tensor) -> Callable:
    """One step of training on all labelled nodes."""
    optimizer = torch.optim.Adam(network.parameters(), 0.01)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(forward(), targets, ignore_index=-1).backward()
        optimizer.step()

    return step


def epochs(graph: TextGraph, rounds: int) -> dict[str, dict[str, Any]]:
    """Seconds an epoch, in turns."""
    classes = sorted({label for label in graph.labels if label})
    targets = torch.tensor([classes.index(y) if y else -1 for y in graph.labels])
    rows = torch.from_numpy(TextVectors.fit(graph.texts)(graph.texts))
    steps = {"burnish": ours(graph, rows, targets, len(classes))}
    try:
        steps["pyg"] = pygs(graph, rows, targets, len(classes))
    except ImportError:
        print("torch-geometric is not installed: burnish alone")
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - started)
    return {name: median(values[1:]) for name, values in taken.items()}


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--graph", default="debian", help="a source")
    options = parser.parse_args()
    found: dict[str, Any] = {
        "retrieval_ms": retrieval_ms(63_436, 512, options.rounds),
        "epoch_s": epochs(load_source(options.graph), options.rounds),
        "threads": torch.get_num_threads(),
    }
    print(found)
    save("graph_speed", found, peers=["torch-geometric"])


if __name__ == "__main__":
    main()
