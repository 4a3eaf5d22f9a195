"""What the jobs of one seed share: problem, features, model, retrievers, examples."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.base.meter import Meter
from burnish.graph.asking import Asker
from burnish.graph.features import TextVectors
from burnish.graph.problems import Problem, make_problem
from burnish.graph.prompts import open_template
from burnish.graph.reading import Reader
from burnish.graph.settings import GraphSettings
from burnish.graph.tag import TextGraph
from burnish.models.handle import ModelHandle


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything that one seed of a problem needs, made once on first use."""

    graph: TextGraph
    settings: GraphSettings
    handle: ModelHandle
    seed: int
    meter: Meter
    asks: bool = True  # whether there must be queries whose answers are known

    @cached_property
    def problem(self) -> Problem:
        """Pool, queries and answers."""
        return make_problem(self.graph, self.settings.problem, self.seed, asks=self.asks)

    @cached_property
    def text_vectors(self) -> TextVectors | None:
        """TF-IDF directions; fitted without the queries' texts in inductive mode."""
        if self.feature_kind != "tfidf":
            return None
        texts = np.array(self.problem.inputs, dtype=object)
        if self.problem.mode == "inductive":
            hidden = np.zeros(len(texts), dtype=bool)
            hidden[self.problem.nodes[self.problem.queries]] = True
            hidden |= np.array(self.graph.splits) == "test"
            texts = texts[~hidden]
        return TextVectors.fit(list(texts), width=self.settings.retriever.feature_width)

    @property
    def feature_kind(self) -> str:
        """`given`, `tfidf` or `model`. Raises InputError for a matrix that is not there."""
        kind = self.settings.retriever.features
        if kind == "given" and self.graph.features is None:
            remedy = "Put features.npy next to nodes.csv, or use tfidf"
            raise InputError("features", kind, "must be part of the graph", remedy=remedy)
        if kind == "auto":
            return "given" if self.graph.features is not None else "tfidf"
        return kind

    @cached_property
    def features(self) -> np.ndarray:
        """One row per node, the same for every arm."""
        if self.feature_kind == "given":
            assert self.graph.features is not None
            return self.graph.features
        if self.feature_kind == "tfidf":
            assert self.text_vectors is not None
            return self.text_vectors(self.problem.inputs)
        return model_vectors(self.handle, self.problem.inputs, self.meter)

    @cached_property
    def asker(self) -> Asker:
        """Shows items to the model."""
        template = open_template(self.settings.prompt.template, self.settings.problem.task)
        reader = Reader(self.handle, self.settings.reading, self.log, self.meter)
        return Asker(
            problem=self.problem, reader=reader, template=template, how=self.settings.prompt
        )

    @property
    def log(self) -> Path | None:
        """The file of readings: one per model beside the graph, or the one in the settings."""
        if self.settings.reading.store:
            return Path(self.settings.reading.store)
        folder = Path(self.settings.graph)
        if not self.settings.graph or not folder.is_dir():
            return None
        from burnish.base.canonical import content_hash

        return folder / "readings" / f"{content_hash(self.handle.key)[:16]}.jsonl"

    def with_problem(self, problem: Problem) -> Asker:
        """The asker of a changed problem, with the same reader."""
        return replace(self.asker, problem=problem)


def model_vectors(handle: ModelHandle, texts: Any, meter: Meter) -> np.ndarray:
    """Mean hidden states of the language model, as one unit vector per text; zero if empty."""
    from burnish.engine.embed import embed

    model = handle.model
    most = model.max_position
    kept = [i for i, text in enumerate(texts) if text.strip()]
    cut = [model.tokenizer.decode(model.tokenizer.encode(texts[i])[: most - 2]) for i in kept]
    found = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    found[kept] = embed(model, cut, meter=meter).numpy()
    return found
