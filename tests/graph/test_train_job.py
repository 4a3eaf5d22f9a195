"""`graph train`, `ask` and `predict` on a tiny model, through the commands."""

import csv
import json
from pathlib import Path

import pytest
from fixtures.graphs import planted_graph

from burnish.graph.tables import write_graph

QUICK = ("--set", "retriever.epochs=8", "--set", "retriever.hidden=11", "--set",
         "retriever.width=7", "--set", "retriever.feature_width=13", "--set",
         "problem.labelled_frac=0.4", "--set", "problem.queries=10", "--set",
         "feedback.candidates=3", "--set", "feedback.nearest=4", "--set", "feedback.folds=2",
         "--precision", "fp32")  # fmt: skip


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    found = planted_graph(60, text=True, edges=True)
    rows = [f"{i},{t},{'' if n > 54 else y}" for n, (i, t, y) in
            enumerate(zip(found.ids, found.texts, found.labels, strict=True))]  # fmt: skip
    write_graph(found, tmp_path / "graph", {})
    (tmp_path / "graph" / "nodes.csv").write_text("\n".join(["id,text,label", *rows]) + "\n")
    return tmp_path / "graph"


def test_train_ask_and_predict(burnish, graph, tiny_folder, tmp_path):
    model = tiny_folder()
    out = tmp_path / "out"
    words = ("graph", "train", graph, "--model", model, "--out", out, "--feedback-tokens", 3000)
    done = burnish(*words, *QUICK, "--json")
    assert done.status == 0, done.err
    assert done.json["training"]["pairs"] > 0 and Path(done.json["retriever"]).is_dir()
    assert "page" not in done.json and done.json["mode"] == "transductive"
    asked = burnish("graph", "ask", out, "--node", "n057", "--json").json
    assert asked["prediction"] in ("ant", "bee", "cow") and len(asked["examples"]) == 4
    assert "Category:" in asked["prompt"] and asked["drawing"]["edges"]
    assert {"id", "answer", "score", "hops", "text"} == set(asked["examples"][0])
    shown = burnish("graph", "ask", out, "--node", "n057")
    assert f"prediction: {asked['prediction']}" in shown.out
    csv_file = tmp_path / "p.csv"
    told = burnish("graph", "predict", out, "--out", csv_file, "--json").json
    assert told["nodes"] == 5
    with csv_file.open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert rows["n057"]["prediction"] == asked["prediction"] and len(rows) == 5
    resumed = burnish(*words, *QUICK, "--json")
    assert resumed.json["network_accuracy"] == done.json["network_accuracy"]
    shown = burnish("verify", out)
    assert shown.status == 0, shown.out + shown.err


def test_refusals(burnish, graph, tiny_folder, tmp_path):
    missing = burnish("graph", "train", tmp_path / "none")
    assert missing.status == 2 and "must be a folder" in missing.err
    other = burnish("graph", "train", graph, "--set", "problem.task=links", "--out", tmp_path / "o")
    assert other.status == 2 and "must be classify" in other.err
    typo = burnish("graph", "train", graph, "--set", "retriever.structure=gat")
    assert typo.status == 2 and "structure" in typo.err
    node = burnish("graph", "ask", tmp_path, "--node", "a")
    assert node.status == 2 and "must contain a retriever" in node.err


def test_all_labels_as_examples(burnish, graph, tiny_folder, tmp_path):
    """Labelled nodes are all for training; the others can be asked."""
    rows = (graph / "nodes.csv").read_text().splitlines()
    split = [f"{row},{'' if row.endswith(',') else 'train'}" for row in rows[1:]]
    (graph / "nodes.csv").write_text("\n".join(["id,text,label,split", *split]) + "\n")
    out = tmp_path / "out"
    done = burnish("graph", "train", graph, "--model", tiny_folder(), "--out", out,
                   "--feedback-tokens", 300, *QUICK, "--json")  # fmt: skip
    assert done.status == 0, done.err
    assert done.json["num_queries"] == 0 and done.json["num_pool"] == 55
    assert (
        burnish("graph", "predict", out, "--out", tmp_path / "p.csv", "--json").json["nodes"] == 5
    )


def test_ingest(burnish, tmp_path):
    (tmp_path / "nodes.csv").write_text("id,text,label\nfoo,a,x\nbar,b,y\n")
    (tmp_path / "edges.csv").write_text("source,target\nfoo,bar\nfoo,baz\n")
    refused = burnish("graph", "ingest", tmp_path, "--out", tmp_path / "g")
    assert refused.status == 2 and "1 edge names unknown node baz (line 3)" in refused.err
    assert not (tmp_path / "g").exists()
    done = burnish("graph", "ingest", tmp_path, "--out", tmp_path / "g", "--dangling", "drop",
                   "--json")  # fmt: skip
    assert (done.json["nodes"], done.json["edges"], done.json["classes"]) == (2, 1, 2)
    assert done.json["homophily"] == 0.0
    assert json.loads((tmp_path / "g" / "graph.json").read_text())["edges"] == 1
    for wrong in (tmp_path, "", tmp_path / "nodes.csv"):
        refused = burnish("graph", "ingest", tmp_path, "--out", wrong, "--dangling", "drop")
        assert refused.status == 2 and "error: out must" in refused.err
    typo = burnish("graph", "ingest", "wordnett", "--out", tmp_path / "g")
    assert typo.status == 2 and "Did you mean 'wordnet'" in typo.err
    assert "left out" in burnish("graph", "ingest", tmp_path, "--out", tmp_path / "g",
                                 "--dangling", "drop").out  # fmt: skip
