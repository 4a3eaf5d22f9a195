"""Graphs that people bring: every row of ../shared/cases/to-build.jsonl with a table of nodes."""

from pathlib import Path

import pytest
from fixtures.cases import read_cases

from burnish.graph.checks import summarise
from burnish.graph.tables import read_graph, write_graph

NODES = ("nodes", "nodes.csv")
MADE, REFUSED = 0, 2
WANTED = {  # case: status of ingest, and what is said
    "ids with leading zeros": (MADE, '"nodes": 2'),
    "newline and quotes in text": (MADE, '"nodes": 2'),
    "dangling edge, self-loop, duplicate edge": (REFUSED, "unknown node 9 (line 5)"),
    "label inside the text": (MADE, '"label_leaks": 1'),
    "test label not among training labels": (MADE, '"unanswerable_queries": 1'),
    "isolated query node": (MADE, '"isolated_queries": 1'),
    "dangling edges": (REFUSED, "1 edge names unknown node baz (line 3)"),
    "leading zeros": (MADE, '"edges": 1'),
    "ids and labels that look missing": (MADE, '"classes": 2'),
    "quotes, commas, newlines in text": (MADE, '"nodes": 2'),
    "unlabelled nodes": (MADE, '"labelled": 2'),
    "same text in train and test": (MADE, '"same_text_pairs_across_splits": 1'),
}


def tables_of(row):
    given = row["input"]
    nodes = next((given[name] for name in NODES if isinstance(given.get(name), str)), None)
    edges = given.get("edges", given.get("edges.csv", "source,target\n"))
    return None if nodes is None or not isinstance(edges, str) else (nodes, edges)


def written(folder: Path, tables) -> Path:
    folder.mkdir()
    for name, text in zip(("nodes.csv", "edges.csv"), tables, strict=True):
        (folder / name).write_bytes(text.encode())
    return folder


@pytest.fixture
def graphs(tmp_path):
    """Folders of the rows' tables, by case."""
    rows = [row for row in read_cases("to-build.jsonl") if row["part"] == "graph"]
    found = {row["case"]: tables_of(row) for row in rows}
    given = {case: tables for case, tables in found.items() if tables is not None}
    return {c: written(tmp_path / str(i), t) for i, (c, t) in enumerate(given.items())}


def test_every_table_of_the_cases(graphs, burnish, tmp_path):
    assert set(graphs) == set(WANTED)
    for case, folder in graphs.items():
        out = tmp_path / f"{folder.name}-tag"
        done = burnish("graph", "ingest", folder, "--out", out, "--json")
        status, says = WANTED[case]
        assert done.status == status, (case, done.err)
        assert says in done.out + done.err, (case, done.out + done.err)
        assert "Traceback" not in done.err and out.exists() == (status == MADE), case


def test_texts_ids_and_edges_of_the_cases(graphs, tmp_path):
    """What is read is what was written, and comes back from our own files."""
    zeros = read_graph(graphs["ids with leading zeros"])
    assert zeros.ids == read_graph(graphs["leading zeros"]).ids == ("007", "7")
    assert len(zeros.edges) == 1
    assert read_graph(graphs["newline and quotes in text"]).texts[0] == 'line one\nline "two"'
    assert read_graph(graphs["quotes, commas, newlines in text"]).texts[0] == (
        'He said "hi", then\nleft.'
    )
    missing = read_graph(graphs["ids and labels that look missing"])
    assert (missing.ids, missing.labels) == (("NA", "nan"), ("None", "null"))
    dropped = read_graph(graphs["dangling edge, self-loop, duplicate edge"], dangling="drop")
    assert dropped.edges.tolist() == [[0, 1]]
    counts = {"repeated_edges": 1, "loops": 1, "dropped_edges": 1}
    assert counts.items() <= dict(dropped.counts).items()
    made = read_graph(graphs["dangling edges"], dangling="create")
    baz = made.index["baz"]
    assert (made.labels[baz], made.texts[baz], len(made.edges)) == ("", "", 2)
    for place, graph in enumerate((zeros, missing, made)):
        write_graph(graph, tmp_path / f"out-{place}", summarise(graph))
        assert read_graph(tmp_path / f"out-{place}").key == graph.key
