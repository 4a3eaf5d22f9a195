"""The text-attributed graph: nodes with a text, perhaps a label and a split, and edges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from scipy import sparse

from burnish.base.canonical import content_hash
from burnish.base.errors import InputError

SPLITS = ("train", "valid", "test", "")
SPELLINGS = {"val": "valid", "validation": "valid", "dev": "valid", "training": "train"}
Dangling = Literal["refuse", "drop", "create"]


@dataclass(frozen=True, kw_only=True)
class TextGraph:
    """Nodes in the order of their ids, so that no order in which they were given matters.

    `labels` has "" where a node is unlabelled. `edges` are undirected: each pair once, the lower
    index first, sorted, without loops. `features` is a matrix that came with the nodes, if any.
    `counts` says what was merged, dropped or trimmed while reading.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    edges: np.ndarray
    features: np.ndarray | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of nodes."""
        return len(self.ids)

    @cached_property
    def index(self) -> dict[str, int]:
        """The index of each id."""
        return {name: place for place, name in enumerate(self.ids)}

    @cached_property
    def adjacency(self) -> sparse.csr_array:
        """Symmetric 0/1 matrix without loops, sorted."""
        both = np.concatenate([self.edges, self.edges[:, ::-1]])
        ones = np.ones(len(both), dtype=np.float32)
        size = len(self)
        found = sparse.coo_array((ones, (both[:, 0], both[:, 1])), shape=(size, size)).tocsr()
        found.sort_indices()
        return found

    @cached_property
    def duplicates(self) -> np.ndarray:
        """A number for each node, equal for nodes with equal texts."""
        numbers: dict[str, int] = {}
        keys = [" ".join(text.split()).casefold() for text in self.texts]
        return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)

    @cached_property
    def key(self) -> str:
        """Hash of the content."""
        rows = [self.ids, self.texts, self.labels, self.splits, self.edges.tolist()]
        own = None if self.features is None else self.features.tolist()
        return content_hash([*rows, own])

    def homophily(self) -> float | None:
        """Share of edges between labelled nodes whose labels agree; None without such edges."""
        labels = np.array(self.labels, dtype=object)
        one, other = labels[self.edges[:, 0]], labels[self.edges[:, 1]]
        both = (one != "") & (other != "")
        return float((one[both] == other[both]).mean()) if both.any() else None

    def neighbours(self, node: int) -> np.ndarray:
        """Indices of the nodes that share an edge with one."""
        a = self.adjacency
        return a.indices[a.indptr[node] : a.indptr[node + 1]]

    def with_edges(self, edges: np.ndarray) -> "TextGraph":
        """The same nodes with other edges; pairs are ordered and taken once."""
        pairs = np.sort(np.asarray(edges, dtype=np.int64).reshape(-1, 2), axis=1)
        pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
        return replace(self, edges=pairs)

    def permuted(self, rng: np.random.Generator) -> "TextGraph":
        """The control: the same edges between nodes that were shuffled, texts left in place."""
        return self.with_edges(rng.permutation(len(self))[self.edges])

    def without_edges_of(self, nodes: np.ndarray) -> "TextGraph":
        """All nodes, but no edge that touches `nodes`: what training sees in inductive mode."""
        gone = np.zeros(len(self), dtype=bool)
        gone[nodes] = True
        return replace(self, edges=self.edges[~gone[self.edges].any(axis=1)])


def make_graph(
    nodes: Sequence[Mapping[str, Any]],
    edges: Sequence[tuple[str, str, str]],
    *,
    dangling: Dangling = "refuse",
    features: np.ndarray | None = None,
) -> TextGraph:
    """Build a graph from node rows (`id`, `text`, `label`, `split`) and edges with their places.

    An edge is (source, target, where it stands). Ids are strings; labels lose white space around
    them. `dangling` says what to do with an edge whose end is no node.
    Raises InputError for ids that are missing or given twice, unknown splits, dangling edges, and
    a feature matrix of another number of rows.
    Source: ours. Oracle: tests/graph/test_tag.py::test_order_of_rows_does_not_matter
    """
    counts: dict[str, int] = {}
    rows = _checked_nodes(nodes, counts)
    if features is not None and len(features) != len(rows):
        rule = f"must have one row for each of the {len(rows)} nodes"
        remedy = "Write the features in the order of the nodes"
        raise InputError("features", f"{len(features)} rows", rule, remedy=remedy)
    given = _checked_ends(rows, edges, dangling, counts)
    if dangling == "create" and features is not None and counts.get("created_nodes"):
        rule, remedy = "has no features for created nodes", "Take --dangling drop"
        raise InputError("edge list", counts["created_nodes"], rule, remedy=remedy)
    order = sorted(range(len(rows)), key=lambda i: rows[i]["id"])
    ordered = [rows[i] for i in order]
    index = {row["id"]: place for place, row in enumerate(ordered)}
    pairs = np.array([(index[a], index[b]) for a, b in given], dtype=np.int64).reshape(-1, 2)
    pairs = np.sort(pairs, axis=1)
    distinct = np.unique(pairs, axis=0)
    loops = distinct[:, 0] == distinct[:, 1]
    counts |= {"repeated_edges": len(pairs) - len(distinct), "loops": int(loops.sum())}
    return TextGraph(
        ids=tuple(row["id"] for row in ordered),
        texts=tuple(row["text"] for row in ordered),
        labels=tuple(row["label"] for row in ordered),
        splits=tuple(row["split"] for row in ordered),
        edges=distinct[~loops],
        features=None if features is None else np.asarray(features, dtype=np.float32)[order],
        counts=counts,
    )


def _checked_nodes(
    nodes: Sequence[Mapping[str, Any]], counts: dict[str, int]
) -> list[dict[str, str]]:
    rows, seen, trimmed = list[dict[str, str]](), dict[str, str](), 0
    for number, node in enumerate(nodes, start=1):
        where = str(node.get("where", f"node {number}"))
        name = _text(node.get("id"), where)
        if name == "":
            rule = "must have an id"
            raise InputError(where, dict(node), rule, remedy="Fill in the column id")
        if name in seen:
            rule = f"is given twice ({seen[name]} and {where})"
            raise InputError("node id", name, rule, remedy="Give each node one row")
        seen[name] = where
        label = _text(node.get("label"), where)
        trimmed += label != label.strip()
        split = _text(node.get("split"), where).strip().casefold()
        split = SPELLINGS.get(split, split)
        if split not in SPLITS:
            rule = "must be train, valid, test or empty"
            raise InputError(f"{where}: split", split, rule, remedy="Correct the column split")
        rows.append(
            {
                "id": name,
                "text": _text(node.get("text"), where),
                "label": label.strip(),
                "split": split,
            }
        )
    if not rows:
        raise InputError("nodes", 0, "must be at least one", remedy="Check the file")
    counts["trimmed_labels"] = trimmed
    return rows


def _checked_ends(
    rows: list[dict[str, str]],
    edges: Sequence[tuple[str, str, str]],
    dangling: Dangling,
    counts: dict[str, int],
) -> list[tuple[str, str]]:
    known, kept = {row["id"] for row in rows}, list[tuple[str, str]]()
    faults = [
        (a, b, where, [end for end in (a, b) if end not in known])
        for a, b, where in edges
        if a not in known or b not in known
    ]
    if faults and dangling == "refuse":
        a, b, where, missing = faults[0]
        names = "1 edge names" if len(faults) == 1 else f"{len(faults)} edges name"
        rule = f"must join nodes; {names} unknown node {missing[0]} ({where})"
        remedy = "Add the node, or use --dangling drop or --dangling create"
        if missing[0].strip() in {name.strip() for name in known}:
            remedy = "Only white space differs: remove it from the id"
        raise InputError("edge", f"{a},{b}", rule, remedy=remedy)
    if dangling == "create":
        created = sorted({end for *_, missing in faults for end in missing})
        rows += [{"id": name, "text": "", "label": "", "split": ""} for name in created]
        known |= set(created)
        counts["created_nodes"] = len(created)
    else:
        counts["dropped_edges"] = len(faults)
    kept = [(a, b) for a, b, _ in edges if a in known and b in known]
    return kept


def _text(value: Any, where: str = "node") -> str:
    """A cell as text; a missing one (None, or NaN as tables of numbers write it) is empty."""
    if value is None or value != value:
        return ""
    if not isinstance(value, str | int | float):
        raise InputError(where, value, "must hold text or numbers", remedy="Correct the row")
    return str(value)
