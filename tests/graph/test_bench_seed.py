"""Planted worlds through every arm: structure only, text only, links, generation; leaks."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures.graphs import QUICK, copying, planted_graph, planted_world

from burnish.graph import bench_seed as module
from burnish.graph.attribution import by_arm, contrasts
from burnish.graph.bench_job import Row
from burnish.graph.bench_seed import Bench
from burnish.graph.settings import ARMS, BenchSettings, FeedbackSettings, ProblemSettings
from burnish.graph.tag import make_graph

SMALL = FeedbackSettings(tokens=10**6, candidates=4, nearest=6, folds=2)


def run(graph, arms=ARMS, says=copying, **more):
    settings = {"feedback": SMALL, "retriever": replace(QUICK, epochs=25), **more}
    world = planted_world(graph, says, **settings)
    bench = Bench(world=world, settings=BenchSettings(base=world.settings, arms=arms, oracle=5))
    bench.run()
    names = ("arm", "query", "seed", "value")
    return bench, [Row(**{name: row[name] for name in names}) for row in bench.rows]


def check_structure():
    """Text is noise, edges carry the class: words are at chance, the graph is near 1."""
    bench, rows = run(planted_graph(140, text=False, edges=True), retriever=QUICK)
    found = {name: value.value for name, value in by_arm(rows).items()}
    assert found["ours"] > 0.85 and found["gnn"] > 0.85 and found["bm25"] < 0.6
    assert found["permuted"] < 0.6 and found["oracle"] >= found["ours"] - 0.02
    assert found["neighbours"] > 0.8 and abs(found["zero-shot"] - 1 / 3) < 0.2
    told = contrasts(rows, lower_is_better=False)
    assert told["graph"]["low"] > 0 and told["over_bm25"]["low"] > 0
    assert told["language_model"]["value"] == 0  # the planted model is the vote
    assert bench.told["examples"]["agrees_with_vote_frac"] == 1.0
    assert set(bench.told["tokens"]) == set(ARMS)


def test_structure_only():
    check_structure()


def test_planted_graph_that_is_not_used(monkeypatch):
    real = module.train_plain

    def alone(world):
        how = replace(world.settings.retriever, structure="mlp")
        return real(replace(world, settings=replace(world.settings, retriever=how)))

    monkeypatch.setattr(module, "train_plain", alone)
    monkeypatch.setattr(module, "train_ours", lambda world: (alone(world), None))
    with pytest.raises(AssertionError):
        check_structure()


def test_the_oracle_may_ask_fewer():
    graph = planted_graph(140, text=False, edges=True)
    world = planted_world(graph, copying, feedback=SMALL, retriever=replace(QUICK, epochs=2))
    asked = {}
    for wanted in (7, 0, 10**6):
        settings = BenchSettings(
            base=world.settings, arms=("bm25", "oracle"), oracle=5, oracle_queries=wanted
        )
        bench = Bench(world=world, settings=settings)
        bench.run()
        asked[wanted] = [row["query"] for row in bench.rows if row["arm"] == "oracle"]
    bm25 = [row["query"] for row in bench.rows if row["arm"] == "bm25"]
    assert len(asked[7]) == 7 and set(asked[7]) < set(bm25)
    assert asked[0] == asked[10**6] == bm25


def test_text_only():
    """Edges are noise: the graph must not hurt, and its permutation changes nothing."""
    arms = ("random", "bm25", "text-knn", "ours", "permuted")
    _, rows = run(planted_graph(110, text=True, edges=False), arms)
    told = contrasts(rows, lower_is_better=False)
    assert told["over_bm25"]["high"] >= 0 and told["graph"]["low"] <= 0 <= told["graph"]["high"]
    assert told["over_random"]["low"] > 0


def prompts_of(graph, arms):
    bench, _ = run(graph, arms, retriever=replace(QUICK, epochs=3))
    names = [(row["arm"], row["query"], row.get("examples")) for row in bench.rows
             if "examples" in row]  # fmt: skip
    reader = bench.world.asker.reader
    return reader.prompts, names, bench._feedback.utilities.tolist()


def check_leak():
    graph = planted_graph(60, text=True, edges=True)
    arms = ("random", "bm25", "neighbours", "propagated", "gnn", "ours", "permuted")
    rng = np.random.default_rng(0)
    order = rng.permutation(60)
    splits = np.where(np.isin(np.arange(60), order[:24]), "train", "test")
    found = []
    for garbage in (False, True):
        rows = [
            {"id": i, "text": t, "split": s,
             "label": f"junk{rng.integers(99)}" if garbage and s == "test" else y}
            for i, t, y, s in zip(graph.ids, graph.texts, graph.labels, splits, strict=True)
        ]  # fmt: skip
        found.append(prompts_of(make_graph(rows, []).with_edges(graph.edges), arms))
    assert found[0] == found[1]


def test_garbage_test_labels_change_no_prompt():
    check_leak()


def test_planted_leak(monkeypatch):
    """Classes of all labelled nodes, the test nodes' included."""
    from burnish.graph import problems

    real = problems._classify

    def leaky(graph, settings, seed):
        found = real(graph, settings, seed)
        return replace(found, classes=tuple(sorted({y for y in graph.labels if y})))

    monkeypatch.setattr(problems, "_classify", leaky)
    with pytest.raises(AssertionError):
        check_leak()


def test_links():
    """A model that says yes where its examples do; edges within classes tell the retriever."""

    def says(query, examples, labels):
        return [0.5] * len(labels)

    arms = ("zero-shot", "random", "neighbours", "ours")
    bench, rows = run(
        planted_graph(120, text=True, edges=True), arms, says,
        problem=ProblemSettings(task="links", queries=40, pool=60),
    )  # fmt: skip
    found = by_arm(rows)
    assert {"common-neighbours", "text-nearness", "vote", "gnn-classifier"} <= set(found)
    assert found["gnn-classifier"].value > 0.6 and found["text-nearness"].value > 0.6
    assert found["zero-shot"].value == 0.5  # always the first class
    assert bench.told["num_classes"] == 2


def test_generation():
    graph = planted_graph(90, text=True, edges=True)
    rows = [{"id": i, "text": f"{t}: {y}word0 {y}word1", "label": y}
            for i, t, y in zip(graph.ids, graph.texts, graph.labels, strict=True)]  # fmt: skip
    named = make_graph(rows, []).with_edges(graph.edges)
    arms = ("zero-shot", "random", "ours", "oracle")
    problem = ProblemSettings(task="generate", queries=30, pool=40)
    _, told = run(named, arms, problem=problem)
    found = {name: value.value for name, value in by_arm(told).items()}
    assert found["oracle"] <= found["ours"] <= found["random"] <= found["zero-shot"]


def test_more_queries_for_the_claimed_arms():
    graph = planted_graph(100, text=True, edges=True)
    world = planted_world(graph, problem=ProblemSettings(labelled_frac=0.4, queries=50),
                          feedback=SMALL, retriever=replace(QUICK, epochs=3))  # fmt: skip
    base = replace(world.settings, problem=replace(world.settings.problem, queries=10))
    bench = Bench(world=world, settings=BenchSettings(base=base, arms=("random", "gnn", "ours")))
    bench.run()
    counts = {a: sum(r["arm"] == a for r in bench.rows) for a in ("random", "gnn", "ours")}
    assert counts == {"random": 10, "gnn": 50, "ours": 50}
