"""The examples of a query in the graph: the small graph around them, laid out, and distances."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from burnish.graph.tag import TextGraph

MOST_NODES = 60
STEPS = 200
MOST_HOPS = 3


def hops(graph: TextGraph, start: int, ends: Sequence[int]) -> list[int | None]:
    """Number of edges between a node and others; None if more than three.

    Source: breadth-first search. Oracle: tests/graph/test_drawing.py::test_hops_equal_networkx
    """
    depths, todo, wanted = {start: 0}, deque([start]), set(ends)
    while todo and wanted - set(depths):
        node = todo.popleft()
        if depths[node] == MOST_HOPS:
            continue
        for other in graph.neighbours(node).tolist():
            if other not in depths:
                depths[other] = depths[node] + 1
                todo.append(other)
    return [depths.get(end) for end in ends]


def draw(graph: TextGraph, query: int, examples: Sequence[int]) -> dict[str, Any]:
    """Nodes with places in the unit square, and the edges between them."""
    nodes = list(dict.fromkeys([query, *examples]))
    for node in [query, *examples]:
        for other in graph.neighbours(node).tolist()[:8]:
            if other not in nodes and len(nodes) < MOST_NODES:
                nodes.append(other)
    place = {node: index for index, node in enumerate(nodes)}
    inside = [
        (place[node], place[other])
        for node in nodes
        for other in graph.neighbours(node).tolist()
        if other in place and node < other
    ]
    spots = layout(len(nodes), inside)
    kinds = {query: "query"} | {e: "example" for e in examples if e != query}
    return {
        "nodes": [
            {"id": graph.ids[node], "kind": kinds.get(node, "neighbour"),
             "x": round(float(spots[i, 0]), 4), "y": round(float(spots[i, 1]), 4)}
            for i, node in enumerate(nodes)
        ],
        "edges": [[graph.ids[nodes[a]], graph.ids[nodes[b]]] for a, b in inside],
    }  # fmt: skip


def layout(num: int, edges: Sequence[tuple[int, int]]) -> np.ndarray:
    """Places in the unit square: nodes repel, edges pull.

    Source: Fruchterman & Reingold 1991.
    Oracle: tests/graph/test_drawing.py::test_linked_nodes_lie_nearer
    """
    angle = 2 * np.pi * np.arange(num) / max(1, num)
    spots = 0.5 + 0.4 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ideal = 1 / np.sqrt(max(1, num))
    pairs = np.array(edges, dtype=np.int64).reshape(-1, 2)
    for step in range(STEPS if num > 1 else 0):
        apart = spots[:, None] - spots[None]
        distance = np.maximum(np.linalg.norm(apart, axis=2), 1e-3)
        force = (apart * (ideal**2 / distance**2)[..., None]).sum(axis=1)
        pulled = spots[pairs[:, 0]] - spots[pairs[:, 1]]
        pull = pulled * np.linalg.norm(pulled, axis=1, keepdims=True) / ideal
        np.add.at(force, pairs[:, 0], -pull)
        np.add.at(force, pairs[:, 1], pull)
        length = np.maximum(np.linalg.norm(force, axis=1, keepdims=True), 1e-9)
        spots = spots + force / length * np.minimum(length, 0.1 * (1 - step / STEPS))
    low, high = spots.min(axis=0), spots.max(axis=0)
    return (spots - low) / np.maximum(high - low, 1e-9)
