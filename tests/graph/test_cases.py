"""Graphs that people bring: every row of ../shared/cases with part `graph`."""

import itertools
import math
import re
import resource
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fixtures.cases import Cases
from fixtures.graphs import QUICK, planted_graph, planted_world
from fixtures.tiny import reference_logits

from burnish.base.meter import Meter
from burnish.engine import answers as answers_module
from burnish.graph.arms import Chooser
from burnish.graph.attribution import by_arm, contrasts
from burnish.graph.bench_job import Row
from burnish.graph.bench_seed import Bench
from burnish.graph.blocks import Neighbourhoods
from burnish.graph.checks import summarise
from burnish.graph.features import normalised
from burnish.graph.learn import encode
from burnish.graph.losses import feedback_loss, listmle
from burnish.graph.page import arm_table
from burnish.graph.prepare import rank, train_ours, train_plain
from burnish.graph.problems import make_problem
from burnish.graph.prompts import parse_answer
from burnish.graph.reading import Reader, ReadingSettings
from burnish.graph.settings import (
    ARMS,
    BenchSettings,
    FeedbackSettings,
    ProblemSettings,
    PromptSettings,
)
from burnish.graph.tables import open_graph, read_graph, write_graph
from burnish.graph.tag import make_graph
from burnish.models.handle import ModelHandle

cases = Cases("to-build.jsonl", part="graph")
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
SMALL = FeedbackSettings(tokens=10**6, candidates=4, nearest=6, folds=2)


def test_every_row_has_a_test():
    cases.check_names()


def folder_of(folder: Path, nodes: str, edges: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in (("nodes.csv", nodes), ("edges.csv", edges)):
        (folder / name).write_bytes(text.encode())
    return folder


def written(row, folder: Path) -> Path:
    given = row["input"]
    nodes = next(given[name] for name in NODES if name in given)
    return folder_of(folder, nodes, given.get("edges", given.get("edges.csv", "source,target\n")))


@cases.case(*WANTED)
def test_tables(row, burnish, tmp_path):
    """What is read is what was written, and comes back from our own files."""
    folder, out = written(row, tmp_path / "given"), tmp_path / "tag"
    done = burnish("graph", "ingest", folder, "--out", out, "--json")
    status, says = WANTED[row["case"]]
    assert done.status == status, done.err
    assert says in done.out + done.err
    assert "Traceback" not in done.err and out.exists() == (status == MADE)
    check = CHECKS.get(row["case"])
    if check is not None:
        check(folder)
    if status == MADE:
        assert read_graph(out).key == read_graph(folder).key


def check_zeros(folder: Path) -> None:
    graph = read_graph(folder)
    assert graph.ids == ("007", "7") and len(graph.edges) == 1


def check_missing(folder: Path) -> None:
    graph = read_graph(folder)
    assert (graph.ids, graph.labels) == (("NA", "nan"), ("None", "null"))


def check_dropped(folder: Path) -> None:
    graph = read_graph(folder, dangling="drop")
    assert graph.edges.tolist() == [[0, 1]]
    counts = {"repeated_edges": 1, "loops": 1, "dropped_edges": 1}
    assert counts.items() <= dict(graph.counts).items()


def check_dangling(folder: Path) -> None:
    assert len(read_graph(folder, dangling="drop").edges) == 1
    made = read_graph(folder, dangling="create")
    baz = made.index["baz"]
    assert (made.labels[baz], made.texts[baz], len(made.edges)) == ("", "", 2)


def check_unlabelled(folder: Path) -> None:
    """Structure and text, never an example, never asked."""
    problem = make_problem(read_graph(folder), ProblemSettings(labelled_frac=0.9), 0, asks=False)
    b = problem.graph.index["b"]
    assert b not in problem.pool and b not in problem.queries and len(problem.pool) == 2
    assert problem.inputs[b] == "y"


def check_isolated(folder: Path) -> None:
    """Its examples are the nearest by text; those of its own text are none."""
    world = planted_world(read_graph(folder), retriever=replace(QUICK, epochs=2))
    problem = world.problem
    assert problem.name(int(problem.queries[0])) == "3" and len(problem.queries) == 1
    (found,) = Chooser(problem, world.features, 2, 0).neighbours(problem.queries)
    assert [problem.name(i) for i in found] == ["2"]  # node 1 has the same text
    bench = Bench(world=world, settings=BenchSettings(base=world.settings, arms=("ours",)))
    bench.run()
    assert bench.told["isolated_queries"] == 1


def check_unseen_label(folder: Path) -> None:
    """It counts as wrong, and is not left out."""
    graph = read_graph(folder)
    rows = [
        {"id": i, "text": t, "label": y, "split": s}
        for i, t, y, s in zip(graph.ids, graph.texts, graph.labels, graph.splits, strict=True)
    ]
    more = make_graph([*rows, {"id": "3", "text": "c", "label": "y", "split": "train"}], [])
    world = planted_world(more, retriever=replace(QUICK, epochs=2))
    bench = Bench(world=world, settings=BenchSettings(base=world.settings, arms=("random",)))
    bench.run()
    asked = [row for row in bench.rows if row["arm"] == "random"]
    assert [(row["query"], row["value"]) for row in asked] == [("2", 0.0)]
    assert (bench.told["num_queries"], bench.told["unanswerable_queries"]) == (1, 1)


CHECKS = {
    "ids with leading zeros": check_zeros,
    "leading zeros": check_zeros,
    "ids and labels that look missing": check_missing,
    "dangling edge, self-loop, duplicate edge": check_dropped,
    "dangling edges": check_dangling,
    "unlabelled nodes": check_unlabelled,
    "isolated query node": check_isolated,
    "test label not among training labels": check_unseen_label,
    "newline and quotes in text": lambda folder: _text_is(folder, 'line one\nline "two"'),
    "quotes, commas, newlines in text": lambda folder: _text_is(
        folder, 'He said "hi", then\nleft.'
    ),
}


def _text_is(folder: Path, text: str) -> None:
    assert read_graph(folder).texts[0] == text


@cases.case("written files can be read back")
def test_written_files_can_be_read_back(row, tmp_path, burnish):
    text = row["input"]["text"]
    graph = make_graph([{"id": "1", "text": text, "label": text}, {"id": text, "text": ""}], [])
    write_graph(graph, tmp_path / "given", {})
    done = burnish("graph", "ingest", tmp_path / "given", "--out", tmp_path / "tag", "--json")
    assert done.status == 0, done.err
    again = read_graph(tmp_path / "tag")
    assert again.texts[again.index["1"]] == text == again.labels[again.index["1"]]
    assert text in again.index and again.key == graph.key


@cases.case("labels with spaces, one a prefix of another")
def test_labels_with_spaces(row, tmp_path, burnish, tiny_folder, tiny_reference):
    labels = row["input"]["labels"]
    rows = "".join(f"{n},text {n},{label}\n" for n, label in enumerate(labels))
    folder = folder_of(tmp_path / "given", f"id,text,label\n{rows}", "source,target\n")
    done = burnish("graph", "ingest", folder, "--out", tmp_path / "tag", "--json")
    assert (done.json["classes"], done.json["read"]["trimmed_labels"]) == (3, 1)
    assert "labels that lost white space around them: 1" in done.json["notes"]
    classes = sorted(set(read_graph(folder).labels))
    assert classes == ["Baby", "Baby Products", "baby"]
    handle = ModelHandle(str(tiny_folder()), precision="fp32", device="cpu")
    reader = Reader(handle, ReadingSettings(), None, Meter("test"))
    (found,) = reader.read(["the abc"], classes, gap=" ", end="\n")
    assert sum(found.shares(3)) == pytest.approx(1)
    assert 0 < sum(map(math.exp, found.logprobs)) < 1  # whole labels, each with its end
    encode, before = handle.tokenizer.encode, len(handle.tokenizer.encode("the abc"))
    for label, logprob in zip(classes, found.logprobs, strict=True):
        whole = encode(f"the abc {label}\n")
        logs = reference_logits(tiny_reference("llama"), whole).log_softmax(-1)
        own = [logs[i - 1, whole[i]].item() for i in range(before, len(whole))]
        assert sum(own) == pytest.approx(logprob, abs=1e-4)
    assert [parse_answer(label, classes) for label in classes] == [0, 1, 2]
    assert parse_answer("Baby Products.", classes) == 1


@cases.case("self-loops and repeated edges")
def test_self_loops_and_repeated_edges(row):
    edges = [(*edge, "") for edge in row["input"]["edges"]]
    graph = make_graph([{"id": name, "text": name} for name in "ab"], edges)
    assert len(graph.edges) == 1
    assert (graph.counts["loops"], graph.counts["repeated_edges"]) == (1, 2)
    notes = " ".join(summarise(graph)["notes"])
    assert "counted once): 2" in notes and "to itself (left out): 1" in notes
    wanted = np.full((2, 2), 0.5)
    np.testing.assert_allclose(normalised(graph.adjacency).toarray(), wanted)
    block = Neighbourhoods(graph.adjacency).whole(1).blocks[0]
    np.testing.assert_allclose((block.normal @ torch.eye(2)).numpy(), wanted)


@cases.case("edges.csv with no header, or other names")
def test_edges_without_a_header(row, tmp_path, burnish):
    given, nodes = row["input"], "id,text\na,x\nb,y\nc,z\nu,x\nv,y\n"

    def ingest(name, edges, *more, nodes=nodes):
        folder = folder_of(tmp_path / name, nodes, edges)
        return burnish(
            "graph", "ingest", folder, "--out", tmp_path / f"{name}-tag", "--json", *more
        )

    assert ingest("alt", given["alt"]).json["edges"] == 2
    bare = ingest("bare", given["edges.csv"])
    assert bare.status == 2 and "edges.csv (line 1) must have a column source" in bare.err
    for name, table in (("both", nodes.partition("\n")[2]), ("one", nodes)):
        told = ingest(name, given["edges.csv"], "--no-header", nodes=table).json
        assert (told["nodes"], told["edges"]) == (5, 2), name
    eaten = ingest("eaten", "u,v\na,b\n")  # nodes whose names are those of columns
    assert eaten.status == 2 and "these are nodes" in eaten.err
    assert ingest("kept", "u,v\na,b\n", "--no-header").json["edges"] == 2


@cases.case("node order must not matter")
def test_node_order_must_not_matter(row, tmp_path):
    """Examples, scores, classes and prompts by id, for every order of rows and edges."""
    found = []
    edges = ["a,c", "b,c"]
    for place, rows in enumerate(itertools.permutations(row["input"]["nodes"])):
        for ends in itertools.permutations(edges):
            folder = tmp_path / f"{place}-{ends[0]}"
            table = "\n".join(["id,text,label,split", *rows]) + "\n"
            graph = read_graph(folder_of(folder, table, "\n".join(["source,target", *ends]) + "\n"))
            world = planted_world(graph, retriever=replace(QUICK, epochs=3))
            problem = world.problem
            told = rank(world, problem, train_plain(world).retriever, problem.queries, 2)
            examples = [[problem.name(i) for i in own] for own in told.examples]
            prompts = [world.asker.prompt(int(q), e) for q, e in
                       zip(problem.queries, told.examples, strict=True)]  # fmt: skip
            found.append((examples, told.scores, told.classes, prompts))
    assert len(found) == 12 and all(one == found[0] for one in found)
    assert sorted(found[0][0][0]) == ["a", "b"]


@cases.case("features and nodes disagree")
def test_features_and_nodes_disagree(row, tmp_path, burnish):
    given = row["input"]
    nodes = "id,text\n" + "".join(f"n{i},t\n" for i in range(given["nodes"]))
    folder = folder_of(tmp_path / "given", nodes, "source,target\n")
    np.save(folder / "features.npy", np.ones((given["features_rows"], 2)))
    done = burnish("graph", "ingest", folder, "--out", tmp_path / "tag", "--json")
    assert done.status == 2 and done.out == "" and not (tmp_path / "tag").exists()
    assert "3 nodes" in done.err and "4 rows" in done.err
    np.save(folder / "features.npy", np.arange(6.0).reshape(3, 2)[::-1])
    done = burnish("graph", "ingest", folder, "--out", tmp_path / "tag", "--json")
    assert done.status == 0 and open_graph(tmp_path / "tag").features.tolist() == [
        [4, 5], [2, 3], [0, 1]]  # fmt: skip


@cases.case("test labels unused")
def test_test_labels_are_unused(row):
    """With random test labels: the same prompts, examples and utilities."""
    assert "random strings" in row["input"]["check"]
    graph, rng, found = planted_graph(50, text=True, edges=True), np.random.default_rng(0), []
    splits = ["train" if i < 24 else "test" for i in rng.permutation(50)]
    for garbage in (False, True):
        rows = [
            {"id": i, "text": t, "split": s,
             "label": f"junk{rng.integers(99)}" if garbage and s == "test" else y}
            for i, t, y, s in zip(graph.ids, graph.texts, graph.labels, splits, strict=True)
        ]  # fmt: skip
        given = make_graph(rows, []).with_edges(graph.edges)
        world = planted_world(given, retriever=replace(QUICK, epochs=2), feedback=SMALL)
        trained, feedback = train_ours(world)
        told = rank(world, world.problem, trained.retriever, world.problem.queries, 3)
        prompts = [
            world.asker.prompt(int(q), own)
            for q, own in zip(world.problem.queries, told.examples, strict=True)
        ]
        found.append((prompts, told.examples, told.scores, feedback.utilities.tolist()))
    assert found[0] == found[1] and len(found[0][0]) == 26


@cases.case("transductive or inductive said aloud")
def test_mode_is_said_aloud(row, tmp_path, burnish, tiny_folder):
    graph, num = planted_graph(40, text=True, edges=True), row["input"]["test_nodes"]
    rows = [
        {"id": i, "text": f"{t} onlyhere" if n < num else t, "label": y,
         "split": "test" if n < num else "train"}
        for n, (i, t, y) in enumerate(zip(graph.ids, graph.texts, graph.labels, strict=True))
    ]  # fmt: skip
    given = make_graph(rows, []).with_edges(graph.edges)
    write_graph(given, tmp_path / "given", {})
    for mode in row["input"]["mode"]:
        world = planted_world(given, problem=ProblemSettings(mode=mode),
                              retriever=replace(QUICK, epochs=2))  # fmt: skip
        problem, tested = world.problem, np.arange(num)
        touched = np.isin(problem.training.edges, tested).any()
        assert touched == (mode == "transductive")
        assert np.isin(problem.graph.edges, tested).any()  # added at the query
        assert ("onlyhere" in world.text_vectors.words) == (mode == "transductive")
        own = [encode(train_plain(world).retriever, problem, world.features, tested)]
        assert np.isfinite(own[0].compared).all()
        words = ("--set", f"problem.mode={mode}", "--set", "retriever.epochs=1", "--set",
                 "feedback.weight=0", "--set", "retriever.feature_width=13")  # fmt: skip
        done = burnish("graph", "train", tmp_path / "given", "--model", tiny_folder(), "--out",
                       tmp_path / mode, "--json", *words)  # fmt: skip
        assert done.status == 0, done.err
        assert done.json["mode"] == mode and done.json["num_queries"] == num
        page = (tmp_path / mode / "report" / "index.html").read_text()
        assert f"({mode})" in page


@cases.case("verbose answer")
def test_verbose_answers(row, monkeypatch):
    """By the stated rule two classes on a line are none; the share of such answers is told."""
    labels, output = row["input"]["labels"], row["input"]["output"]
    assert parse_answer(output, labels) is None
    assert parse_answer("I think the answer is Baby Products.", labels) == 1
    assert ReadingSettings().answer == "score"
    said = itertools.cycle([output, "Toys", "Baby Products."])

    def answered(handle, prompts, **_):
        return [SimpleNamespace(text=next(said)) for _ in prompts]

    monkeypatch.setattr(answers_module, "answer_all", answered)
    rows = [{"id": f"{i:02d}", "text": f"thing {i}", "label": labels[i % 3]} for i in range(30)]
    reader = Reader(ModelHandle("smollm2-135m"), ReadingSettings(answer="write"), None,
                    Meter("test"))  # fmt: skip
    world = planted_world(make_graph(rows, []), reader, retriever=replace(QUICK, epochs=1))
    bench = Bench(world=world, settings=BenchSettings(base=world.settings, arms=("random",)))
    bench.run()
    asked = [one for one in bench.rows if one["arm"] == "random"]
    share = sum(one["prediction"] is None for one in asked) / len(asked)
    assert bench.told["unparsed_frac"] == {"random": share} and share == pytest.approx(1 / 3)
    accuracy = {"random": by_arm([Row(arm="random", query="q", seed=0, value=0.0)])["random"]}
    told = {name: value.to_dict() for name, value in accuracy.items()}
    table = arm_table(told, {"0": bench.told}, "accuracy")
    assert table.columns[-1] == "unparsed share" and table.rows[0][-1] == share


@cases.case("controls in the same run")
def test_controls_in_the_same_run(row):
    graph = planted_graph(110, text=True, edges=False)
    world = planted_world(graph, feedback=SMALL, retriever=replace(QUICK, epochs=25),
                          prompt=PromptSettings(examples=row["input"]["demos"]))  # fmt: skip
    bench = Bench(world=world, settings=BenchSettings(base=world.settings, arms=ARMS, oracle=5))
    bench.run()
    names = ("arm", "query", "seed", "value")
    rows = [Row(**{name: one[name] for name in names}) for one in bench.rows]
    arms = by_arm(rows)
    assert {"random", "bm25", "text-knn", "neighbours", "gnn", "gnn-classifier", "vote",
            "ours", "zero-shot", "permuted", "oracle"} <= set(arms)  # fmt: skip
    assert {row["query"] for row in bench.rows if row["arm"] == "bm25"} == {
        row["query"] for row in bench.rows if row["arm"] == "ours"
    }
    told = contrasts(rows, lower_is_better=False)
    assert told["over_bm25"]["high"] >= 0
    assert told["graph"]["low"] <= 0 <= told["graph"]["high"]


@cases.case("flat feedback")
def test_flat_feedback(row):
    utilities = torch.tensor([row["input"]["utilities"]], dtype=torch.float64)
    kept = torch.ones_like(utilities, dtype=torch.bool)
    scores = torch.zeros_like(utilities, requires_grad=True)
    assert float(listmle(scores, utilities, kept).detach()) == pytest.approx(math.log(24))
    loss, num_flat = feedback_loss("listmle", scores, utilities, kept)
    loss.backward()
    assert (float(loss.detach()), num_flat) == (0.0, 1) and not scores.grad.any()
    both = torch.cat([utilities, torch.tensor([[0.1, 0.4, 0.2, 0.3]], dtype=torch.float64)])
    scores = torch.zeros_like(both, requires_grad=True)
    loss, num_flat = feedback_loss("listmle", scores, both, torch.ones_like(both, dtype=torch.bool))
    loss.backward()
    assert num_flat == 1 and not scores.grad[0].any() and scores.grad[1].any()


@cases.case("hub node")
def test_hub_node(row):
    """Far less memory than the dense matrix; leaves in any order."""
    num = int(re.findall(r"(\d+) leaves", row["input"]["star"])[0])
    names, rng = [f"leaf{i}" for i in range(num)], np.random.default_rng(0)
    found = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for order in (names, rng.permutation(names).tolist()):
        rows = [{"id": name, "text": ""} for name in ("centre", *order)]
        graph = make_graph(rows, [("centre", name, "") for name in reversed(order)])
        some = np.array([graph.index[name] for name in ("leaf3", "leaf17", "leaf19999")])
        exact = Neighbourhoods(graph.adjacency).around(some, 1)
        values = torch.from_numpy(graph.index["leaf3"] + exact.nodes[:, None] * 1.0)
        sampled = Neighbourhoods(graph.adjacency, fanouts=(5, 5))
        drawn = [sampled.around(some, 2, np.random.default_rng(4)) for _ in range(2)]
        assert np.array_equal(drawn[0].nodes, drawn[1].nodes) and len(drawn[0].nodes) <= 3 + 1 + 5
        found.append((graph.key, [graph.ids[i] for i in drawn[0].nodes],
                      (exact.blocks[0].normal @ values).tolist()))  # fmt: skip
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert found[0] == found[1] and grown < (num + 1) ** 2 * 4 / 8
