"""Prompts of items, utilities, and what is never looked at."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures.graphs import copying, planted_graph, planted_world

from burnish.base.meter import Meter
from burnish.graph import asking
from burnish.graph.reading import Reader, ReadingSettings
from burnish.graph.settings import ProblemSettings
from burnish.models.handle import ModelHandle

GRAPH = planted_graph(60, text=True, edges=True)


def check_utilities():
    """A model that copies says 1.1/1.3 of the label it is shown, 0.1/1.3 of the others."""
    world = planted_world(GRAPH, copying)
    problem, pool = world.problem, world.problem.pool
    queries = [int(i) for i in pool[:5]]
    candidates = np.stack([pool[5:9]] * 5)
    candidates[0, 1] = -1
    found = world.asker.utilities(queries, candidates)
    for row, query in enumerate(queries):
        for column, item in enumerate(candidates[row]):
            same = problem.answers[query] == problem.answers[item]
            wanted = 0.0 if item < 0 else (1.1 if same else 0.1) / 1.3
            assert abs(found[row, column] - wanted) < 1e-9


def test_utilities_are_shares_of_the_answer():
    check_utilities()


def test_planted_utility_of_the_first_class(monkeypatch):
    monkeypatch.setattr(asking.Asker, "labels", property(lambda self: self.problem.classes[::-1]))
    real = asking.Asker.utilities

    def first(self, queries, candidates, *, what=""):
        found = real(self, queries, candidates, what=what)
        return found[:, ::-1]

    monkeypatch.setattr(asking.Asker, "utilities", first)
    with pytest.raises(AssertionError):
        check_utilities()


def test_generation_utilities_are_shares_among_the_candidates():
    rows = planted_world(named(GRAPH), problem=ProblemSettings(task="generate", queries=8, pool=20))
    pool = rows.problem.pool
    candidates = np.stack([pool[3:6]] * 2)
    candidates[1, 2] = -1
    found = rows.asker.utilities([int(pool[0]), int(pool[1])], candidates)
    assert np.allclose(found.sum(axis=1), 1) and found[1, 2] == 0


@pytest.mark.parametrize("task", ["classify", "generate"])
def test_the_cost_bounds_what_is_computed(task, tiny_folder):
    """By a real tokenizer, in passes that hold a few prompts, or not even one."""
    graph = named(GRAPH) if task == "generate" else GRAPH
    problem = ProblemSettings(task=task, labelled_frac=0.4, queries=8, pool=20)
    handle = ModelHandle(str(tiny_folder()), precision="fp32", device="cpu")
    for rows in (2048, 300, 1):
        reader = Reader(handle, ReadingSettings(batch_rows=rows), None, Meter("test"))
        asker = replace(planted_world(graph, problem=problem).asker, reader=reader)
        pool = [int(i) for i in asker.problem.pool]
        pairs = [(query, [item]) for query in pool[:4] for item in pool[4:8]]
        ask = asker.nll if task == "generate" else asker.read
        ask([q for q, _ in pairs], [shown for _, shown in pairs])
        paid = reader.meter.totals()
        paid = paid["prefilled"] + paid["scored"]
        most = sum(asker.cost(*pair) for pair in pairs)
        assert paid <= most
        if rows == 2048:
            assert most < 2 * paid


def test_a_servers_tokens_are_estimated():
    reader = Reader(ModelHandle("openai:http://127.0.0.1:9#m"), ReadingSettings(), None, Meter("t"))
    assert reader.count("abcdefg") == 3 and reader.count("") == 0
    assert reader.count_answers(["abc", "abcdef"], gap="", end="") == 3


def test_a_written_answer_costs_what_it_may_write(tiny_folder):
    handle = ModelHandle(str(tiny_folder()), precision="fp32", device="cpu")
    costs = []
    for num in (16, 21):
        settings = ReadingSettings(answer="write", max_new_tokens=num)
        reader = Reader(handle, settings, None, Meter("test"))
        asker = replace(planted_world(GRAPH).asker, reader=reader)
        query, item = (int(i) for i in asker.problem.pool[:2])
        costs.append(asker.cost(query, [item]))
    assert costs[1] - costs[0] == 5 and costs[0] == reader.count(asker.prompt(query, [item])) + 16


def named(graph):
    from burnish.graph.tag import make_graph

    texts = [f"{name}: {text}" for name, text in zip(graph.ids, graph.texts, strict=True)]
    rows = [{"id": n, "text": t, "label": y}
            for n, t, y in zip(graph.ids, texts, graph.labels, strict=True)]  # fmt: skip
    return make_graph(rows, []).with_edges(graph.edges)


def test_the_best_example_stands_next_to_the_query():
    world = planted_world(GRAPH)
    problem, pool = world.problem, world.problem.pool
    query, best, worst = (int(i) for i in (world.problem.queries[0], pool[0], pool[1]))
    prompt = world.asker.prompt(query, [best, worst])
    texts = [" ".join(problem.text(i).split()) for i in (worst, best, query)]
    places = [prompt.index(f"Text: {text}") for text in texts]
    assert places == sorted(places)
    assert f"Category: {problem.answers[best]}" in prompt and prompt.endswith("Category:")
