"""A trained retriever in a folder: weights, text vectors, graph, pool; to ask and predict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.coercion import coerce_value
from burnish.base.errors import InputError, MissingFileError
from burnish.base.meter import Meter
from burnish.base.naming import suggest
from burnish.base.records import read_json, write_json
from burnish.base.settings import to_dict
from burnish.graph.features import TextVectors
from burnish.graph.learn import Vectors, encode
from burnish.graph.problems import Problem
from burnish.graph.retriever import Retriever
from burnish.graph.search import top_k
from burnish.graph.settings import GraphSettings
from burnish.graph.tables import open_graph, read_csv, read_graph, write_graph
from burnish.graph.tag import TextGraph, make_graph
from burnish.graph.world import World, model_vectors
from burnish.models.handle import ModelHandle

FOLDER = "retriever"
WEIGHTS, VECTORS, ABOUT = "retriever.safetensors", "text_vectors.npz", "retriever.json"


def save_retriever(folder: Path, world: World, retriever: Retriever) -> None:
    """Write everything needed for asking. Raises StorageError."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in retriever.state_dict().items()}, folder / WEIGHTS)
    if world.text_vectors is not None:
        world.text_vectors.save(folder / VECTORS)
    problem = world.problem
    about = {
        "settings": to_dict(world.settings),
        "seed": world.seed,
        "classes": list(problem.classes),
        "pool": [problem.name(int(item)) for item in problem.pool],
        "num_features": int(world.features.shape[1]),
    }
    write_json(folder / ABOUT, about)
    write_graph(world.graph, folder / "graph", {"nodes": len(world.graph)})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One node's answer: the prompt as shown, its examples with scores, the model's choice."""

    node: str
    prediction: str | None
    share: float | None
    examples: Sequence[Mapping[str, Any]]
    prompt: str


@dataclass(frozen=True)
class SavedRetriever:
    """A retriever that `graph train` saved, possibly with new nodes.

    Source: ours. Oracle: tests/graph/test_saved.py::test_new_nodes_are_embedded_without_training
    """

    world: World
    folder: Path
    about: Mapping[str, Any]

    @cached_property
    def problem(self) -> Problem:
        """Nodes as items, with the pool and classes of training."""
        graph = self.world.graph
        pool = [graph.index[name] for name in self.about["pool"]]
        return Problem(
            task="classify", graph=graph, training=graph, inputs=graph.texts,
            nodes=np.arange(len(graph))[:, None], answers=graph.labels,
            classes=tuple(self.about["classes"]), pool=np.array(sorted(pool)),
            queries=np.array([], dtype=np.int64), mode=self.world.settings.problem.mode,
        )  # fmt: skip

    @cached_property
    def features(self) -> np.ndarray:
        """One row a node, by the vectors that training fitted."""
        kind, graph = self.world.feature_kind, self.world.graph
        if kind == "tfidf":
            return TextVectors.load(self.folder / VECTORS)(graph.texts)
        if kind == "given":
            assert graph.features is not None
            return graph.features
        return model_vectors(self.world.handle, graph.texts, self.world.meter)

    @cached_property
    def retriever(self) -> Retriever:
        """The trained network."""
        from safetensors.torch import load_file

        settings = self.world.settings.retriever
        found = Retriever(
            self.about["num_features"], len(self.about["classes"]), settings, pairs=False
        )
        found.load_state_dict(load_file(self.folder / WEIGHTS))
        return found.eval()

    @cached_property
    def keys(self) -> Vectors:
        """Vectors of the pool."""
        return encode(self.retriever, self.problem, self.features, self.problem.pool)

    def index_of(self, node: str) -> int:
        """The item of a node's id. Raises InputError with a suggestion."""
        if node not in self.world.graph.index:
            remedy = suggest(node, self.world.graph.ids)
            raise InputError("node", node, "must be a node of the graph", remedy=remedy)
        return self.world.graph.index[node]

    def examples(self, items: Sequence[int]) -> tuple[list[list[int]], np.ndarray]:
        """Examples of nodes from the pool, best first, and their scores."""
        queries, problem = np.array(items, dtype=np.int64), self.problem
        own = encode(self.retriever, problem, self.features, queries)
        found = top_k(
            own.compared, self.keys.compared, self.world.settings.prompt.examples,
            query_groups=problem.groups[queries], key_groups=problem.groups[problem.pool],
            engine=self.world.settings.retriever.search,
        )  # fmt: skip
        rows = range(len(queries))
        return [[int(problem.pool[i]) for i in found.row(q)] for q in rows], found.scores

    def prompts(self, items: Sequence[int]) -> list[str]:
        """The prompts of nodes, with their examples; no model is asked."""
        shown, _ = self.examples(items)
        asker = self.world.with_problem(self.problem)
        return [asker.prompt(item, own) for item, own in zip(items, shown, strict=True)]

    def ask(self, items: Sequence[int]) -> list[Asked]:
        """Answers for nodes: one prompt per node."""
        problem, (shown, scores) = self.problem, self.examples(items)
        asker = self.world.with_problem(problem)
        readings = asker.read(items, shown, what="predict")
        answers = []
        for row, (item, reading, own) in enumerate(zip(items, readings, shown, strict=True)):
            choice, names = reading.choice, problem.graph.ids
            share = None if choice is None else reading.shares(len(asker.labels))[choice]
            examples = [
                {"id": names[e], "answer": problem.answers[e], "score": round(float(s), 4),
                 "text": problem.text(e)}
                for e, s in zip(own, scores[row], strict=False)
            ]  # fmt: skip
            prediction = None if choice is None else asker.labels[choice]
            answers.append(
                Asked(
                    node=names[item], prediction=prediction, share=share, examples=examples,
                    prompt=asker.prompt(item, own),
                )
            )  # fmt: skip
        return answers


def open_retriever(folder: Path | str, *, new: Path | None = None) -> SavedRetriever:
    """Open what `graph train` wrote, with the nodes and edges of the folder `new` added.

    Raises MissingFileError; InputError for a new node whose id is taken.
    Source: ours. Oracle: tests/graph/test_saved.py::test_new_nodes_are_embedded_without_training
    """
    place = Path(folder)
    stages = place / "stages" / "retriever" / FOLDER
    place = stages if stages.is_dir() else place
    if not (place / ABOUT).is_file():
        remedy = "Name a folder that graph train made"
        raise MissingFileError("retriever", str(folder), "must contain a retriever", remedy=remedy)
    about = read_json(place / ABOUT)
    settings = coerce_value("settings", about["settings"], GraphSettings)
    graph = open_graph(place / "graph")
    if new is not None:
        graph = extended(graph, new)
    handle = ModelHandle(settings.model, precision=settings.precision, device=settings.device)
    world = World(
        graph=graph, settings=settings, handle=handle, seed=about["seed"],
        meter=Meter("graph"), asks=False,
    )  # fmt: skip
    return SavedRetriever(world, place, about)


def extended(graph: TextGraph, folder: Path) -> TextGraph:
    """A graph with more nodes and edges; edges of the new nodes may name old ones.

    Raises MissingFileError; InputError for an id that is taken, or features that are missing.
    """
    more = read_graph(folder, dangling="create")
    known = set(graph.ids)
    given = {cells[0] for line, cells in read_csv(folder / "nodes.csv") if line > 1}
    taken = sorted(known & given)
    if taken:
        remedy = "Give new nodes ids of their own"
        raise InputError("node id", taken[0], "is in the graph already", remedy=remedy)
    strangers = sorted(set(more.ids) - given - known)
    if strangers:
        remedy = "Add it to nodes.csv"
        rule = "must join nodes of the old or the new graph"
        raise InputError("edge", strangers[0], rule, remedy=remedy)
    if graph.features is not None:
        remedy = "Train with --set retriever.features=tfidf"
        rule = "cannot be computed for new nodes"
        raise InputError("features", "a given matrix", rule, remedy=remedy)
    rows = [
        {"id": i, "text": t, "label": y, "split": s}
        for one in (graph, more)
        for i, t, y, s in zip(one.ids, one.texts, one.labels, one.splits, strict=True)
        if one is graph or i in given
    ]
    edges = [
        (one.ids[a], one.ids[b], "edge") for one in (graph, more) for a, b in one.edges.tolist()
    ]
    return make_graph(rows, edges)
