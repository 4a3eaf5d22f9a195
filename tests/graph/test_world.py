"""Worlds: features of every kind, and what inductive mode leaves out."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures.graphs import QUICK, planted_graph, planted_world

from burnish.base.errors import InputError
from burnish.base.meter import Meter
from burnish.graph.settings import ProblemSettings
from burnish.graph.world import World, model_vectors
from burnish.models.handle import ModelHandle

GRAPH = planted_graph(50, text=True, edges=True)


def test_kinds_of_features():
    assert planted_world(GRAPH).feature_kind == "tfidf"
    given = replace(GRAPH, features=np.eye(50, dtype=np.float32))
    world = planted_world(given)
    assert world.feature_kind == "given" and world.features is given.features
    missing = planted_world(GRAPH, retriever=replace(QUICK, features="given"))
    with pytest.raises(InputError, match="must be part of the graph"):
        _ = missing.features


def test_a_models_own_vectors(tiny_folder):
    meter = Meter("test")
    handle = ModelHandle(str(tiny_folder()), precision="fp32", device="cpu")
    rows = model_vectors(handle, ["the abc", "", "in"], meter)
    assert rows.shape == (3, 28) and not rows[1].any() and meter.totals()["prefilled"] > 0
    assert np.allclose(np.linalg.norm(rows[[0, 2]], axis=1), 1, atol=1e-5)


def test_inductive_words_come_from_other_texts():
    """A word that only queries have is no direction."""
    settings = ProblemSettings(labelled_frac=0.4, queries=20, mode="inductive")
    world = planted_world(GRAPH, problem=settings)
    marked = list(GRAPH.texts)
    for query in world.problem.queries:
        marked[query] += " secretword"
    hidden = planted_world(replace(GRAPH, texts=tuple(marked)), problem=settings)
    assert "secretword" not in hidden.text_vectors.words
    both = ProblemSettings(labelled_frac=0.4, queries=20)
    seen = planted_world(replace(GRAPH, texts=tuple(marked)), problem=both)
    assert "secretword" in seen.text_vectors.words


def test_where_readings_are_kept(tmp_path):
    world = planted_world(GRAPH)
    assert world.log is None
    own = replace(world.settings, graph=str(tmp_path))
    handle = ModelHandle("smollm2-135m")
    kept = World(graph=GRAPH, settings=own, handle=handle, seed=0, meter=Meter("t")).log
    assert kept is not None and kept.parent == tmp_path / "readings"
