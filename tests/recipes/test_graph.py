"""Tasks of a graph for `improve`."""

from types import SimpleNamespace

import pytest
from fixtures.graphs import planted_graph, planted_world

from burnish.base.errors import InputError, MissingFileError, SettingError
from burnish.graph.prepare import train_plain
from burnish.graph.saved import save_retriever
from burnish.recipes import graph
from burnish.recipes.graph import GraphTaskSource


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("graph") / "r"
    world = planted_world(planted_graph(50, text=True, edges=True))
    save_retriever(place, world, train_plain(world).retriever)
    return place


def check_tasks(folder):
    from burnish.graph.saved import open_retriever

    tasks = GraphTaskSource.from_text(str(folder)).load(0)
    saved = open_retriever(folder)
    pool = {saved.problem.name(int(i)) for i in saved.problem.pool}
    own = {str(task.metadata["node"]) for task in tasks}
    assert len(tasks) == 50 - len(pool) and not own & pool
    texts = {n: " ".join(t.split()) for n, t in zip(saved.world.graph.ids, saved.world.graph.texts,
                                                    strict=True)}  # fmt: skip
    for task in tasks:
        asked = str(task.metadata["node"])
        others = [n for n in own if n != asked and f"Text: {texts[n]}\n" in task.prompt]
        assert not others and f"Text: {texts[asked]}\nCategory:" in task.prompt
        assert task.prompt.count("Category:") == 4 and task.checker == "exact"


def test_answers_of_tasks_stand_in_no_prompt(folder):
    check_tasks(folder)


def test_planted_pool_among_the_tasks(folder, monkeypatch):
    monkeypatch.setattr(graph, "set", lambda _: set(), raising=False)
    with pytest.raises(AssertionError):
        check_tasks(folder)


def test_wrong_sources(tmp_path, monkeypatch):
    with pytest.raises(SettingError, match="must name a folder"):
        GraphTaskSource.from_text("")
    with pytest.raises(MissingFileError):
        GraphTaskSource.from_text(str(tmp_path)).load(0)
    empty = SimpleNamespace(answers=("",), classes=("a",), pool=SimpleNamespace(tolist=list))
    monkeypatch.setattr("burnish.graph.saved.open_retriever", lambda _: SimpleNamespace(
        problem=empty))  # fmt: skip
    with pytest.raises(InputError, match=r"^graph must hold labelled nodes beyond its examples"):
        GraphTaskSource.from_text(str(tmp_path)).load(0)
    with pytest.raises(MissingFileError, match=r"^graph must be a folder, got.*graph train made"):
        GraphTaskSource.from_text("nothere").load(0)
