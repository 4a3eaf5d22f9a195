"""Saved retrievers: the same vectors, new nodes, wrong input."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures.graphs import PlantedReader, copying, planted_graph, planted_world

from burnish.base.errors import InputError, MissingFileError
from burnish.graph import saved as module
from burnish.graph.learn import encode
from burnish.graph.prepare import train_plain
from burnish.graph.saved import open_retriever, save_retriever


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("saved") / "r"
    world = planted_world(planted_graph(80, text=True, edges=True))
    trained = train_plain(world)
    save_retriever(place, world, trained.retriever)
    vectors = encode(trained.retriever, world.problem, world.features, world.problem.pool)
    np.save(place / "wanted.npy", vectors.compared)
    return place


def opened(folder, **more):
    found = open_retriever(folder, **more)
    asker = replace(found.world.asker, reader=PlantedReader(copying))
    found.world.__dict__["asker"] = asker
    return found


def new_nodes(tmp_path, text, edges="x,n000\n"):
    (tmp_path / "nodes.csv").write_text(f"id,text\nx,{text}\n")
    (tmp_path / "edges.csv").write_text(f"source,target\n{edges}")
    return tmp_path


def check_new(folder, tmp_path):
    """A new node whose text is one class's is answered as that class; old vectors stay."""
    text = "cowword0 cowword1 cowword2 cowword3"
    found = opened(folder, new=new_nodes(tmp_path, text, ""))
    (asked,) = found.ask([found.index_of("x")])
    assert asked.prediction == "cow" and asked.node == "x"
    assert [e["answer"] for e in asked.examples] == ["cow"] * 3
    assert np.allclose(found.keys.compared, np.load(folder / "wanted.npy"), atol=1e-5)


def test_new_nodes_are_embedded_without_training(folder, tmp_path):
    check_new(folder, tmp_path)


def test_planted_vectors_fitted_anew(folder, tmp_path, monkeypatch):
    """TF-IDF of the new node alone knows other words in another order."""
    real = module.TextVectors.load
    monkeypatch.setattr(
        module.TextVectors, "load",
        classmethod(lambda cls, path: replace(real(path), directions=np.roll(
            real(path).directions, 1, axis=0))),
    )  # fmt: skip
    with pytest.raises(AssertionError):
        check_new(folder, tmp_path)


def test_wrong_input(folder, tmp_path):
    with pytest.raises(MissingFileError, match="must contain a retriever"):
        open_retriever(tmp_path)
    with pytest.raises(InputError, match="Did you mean 'n001'"):
        opened(folder).index_of("n0001")
    with pytest.raises(InputError, match="must join nodes of the old or the new graph"):
        open_retriever(folder, new=new_nodes(tmp_path, "t", "x,stranger\n"))
    (tmp_path / "nodes.csv").write_text("id,text\nn000,t\n")
    (tmp_path / "edges.csv").write_text("source,target\n")
    with pytest.raises(InputError, match="is in the graph already"):
        open_retriever(folder, new=tmp_path)
