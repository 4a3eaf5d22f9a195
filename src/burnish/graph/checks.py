"""Checks of a graph whose findings its owner should read before trusting numbers."""

import re
from collections import Counter
from typing import Any

import numpy as np

from burnish.graph.tag import TextGraph


def summarise(graph: TextGraph) -> dict[str, Any]:
    """Nodes, edges, classes, homophily, what was merged while reading, and the findings.

    Source: ours. Oracle: tests/graph/test_checks.py::test_findings_of_a_planted_graph
    """
    labels = Counter(label for label in graph.labels if label)
    degrees = np.bincount(graph.edges.reshape(-1), minlength=len(graph))
    top = sum((count / max(1, labels.total())) ** 2 for count in labels.values())
    findings = {
        "label_leaks": int(sum(leaks(graph))),
        "isolated_nodes": int((degrees == 0).sum()),
        "isolated_queries": sum(
            1 for d, s in zip(degrees, graph.splits, strict=True) if d == 0 and s == "test"
        ),
        "same_text_pairs_across_splits": crossing_duplicates(graph),
        "unanswerable_queries": len(unanswerable(graph)),
        "empty_texts": sum(not text.strip() for text in graph.texts),
    }
    return {
        "nodes": len(graph),
        "edges": len(graph.edges),
        "classes": len(labels),
        "homophily": graph.homophily(),
        "homophily_by_chance": top if labels else None,
        "labelled": labels.total(),
        "splits": dict(Counter(split for split in graph.splits if split)),
        "largest_degree": int(degrees.max(initial=0)),
        "read": dict(graph.counts),
        "findings": findings,
        "notes": notes(graph, findings),
    }


def leaks(graph: TextGraph) -> list[bool]:
    """Whether each node's text contains its label as a whole word, in any case."""
    return [
        bool(label) and holds_word(text, label)
        for text, label in zip(graph.texts, graph.labels, strict=True)
    ]


def holds_word(text: str, word: str) -> bool:
    """Whether a text contains a word or phrase bounded by neither letters nor digits."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def unanswerable(graph: TextGraph) -> list[int]:
    """Test nodes whose label no training node has; only where there are training nodes."""
    pairs = list(zip(graph.labels, graph.splits, strict=True))
    known = {label for label, split in pairs if split == "train" and label}
    if not known:
        return []
    return [
        i for i, (label, split) in enumerate(pairs)
        if split == "test" and label and label not in known
    ]  # fmt: skip


def crossing_duplicates(graph: TextGraph) -> int:
    """Test nodes whose text a training node has too."""
    splits = np.array(graph.splits)
    train = set(graph.duplicates[splits == "train"].tolist())
    return sum(int(group) in train for group in graph.duplicates[splits == "test"])


def notes(graph: TextGraph, findings: dict[str, int]) -> list[str]:
    """The findings in sentences; empty if there are none."""
    read = graph.counts
    rows = [
        (findings["label_leaks"], "nodes with their label in their own text"),
        (findings["isolated_queries"], "test nodes without an edge (their text alone is used)"),
        (findings["same_text_pairs_across_splits"],
         "test nodes with the text of a training node, which is no example for them"),
        (findings["unanswerable_queries"],
         "test nodes with a label that no training node has (they count as wrong)"),
        (findings["empty_texts"], "nodes without text"),
        (read.get("trimmed_labels", 0), "labels that lost white space around them"),
        (read.get("repeated_edges", 0), "edges given again (counted once)"),
        (read.get("loops", 0), "edges from a node to itself (left out)"),
        (read.get("dropped_edges", 0), "edges to unknown nodes (left out)"),
        (read.get("created_nodes", 0), "unlabelled nodes without text, made for edges"),
    ]  # fmt: skip
    return [f"{text}: {count}" for count, text in rows if count]
