"""Training a retriever: supervised on the pool, and by feedback where there is some."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from burnish.base.progress import track
from burnish.base.rng import derive_seed, stream
from burnish.graph.blocks import Batch, Neighbourhoods
from burnish.graph.losses import feedback_loss
from burnish.graph.problems import Problem
from burnish.graph.retriever import Retriever
from burnish.graph.settings import FeedbackSettings, RetrieverSettings

ROWS = 4096  # items whose vectors are computed at once


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """Utilities of candidates: `queries` and `candidates` are positions in the pool, -1 is none."""

    queries: np.ndarray
    candidates: np.ndarray
    utilities: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """A trained retriever's output for items: unit vectors to compare, and class probabilities."""

    compared: np.ndarray
    classes: np.ndarray


def train_retriever(
    problem: Problem,
    features: np.ndarray,
    settings: RetrieverSettings,
    *,
    seed: int,
    kept: np.ndarray | None = None,
    feedback: tuple[Feedback, FeedbackSettings] | None = None,
) -> tuple[Retriever, dict[str, Any]]:
    """Train on the pool (on the places `kept` of it), with feedback if its weight is not 0.

    Without feedback, or with weight 0, the weights are bit for bit those of supervision alone.
    Returns the retriever and what training told: losses, and how many queries were flat.
    Source: AskGNN, arXiv 2410.07074: supervised loss + 0.15 ListMLE, both means over all nodes.
    Departure: a budget may leave most nodes without feedback; they count as 0 in its mean, so a
    node that has some weighs as much as in the paper, and a few cannot bend the whole space.
    Oracle: tests/graph/test_learn.py::test_weight_zero_is_the_plain_network
    """
    if feedback is not None and (feedback[1].weight == 0 or not len(feedback[0].queries)):
        feedback = None
    rng = stream(seed, "graph", "train")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "graph", "weights"))
        retriever = Retriever(
            features.shape[1], len(problem.classes), settings, pairs=problem.nodes.shape[1] == 2
        )
        course = _Course(problem, features, retriever, settings, rng)
        optimizer = torch.optim.Adam(
            retriever.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        retriever.train()
        told: dict[str, Any] = {"flat_queries": 0}
        places = np.arange(len(problem.pool)) if kept is None else kept
        share = 0.0 if feedback is None else min(1.0, len(feedback[0].queries) / len(places))
        with track(settings.epochs, "train the retriever", "epoch") as progress:
            for _ in range(settings.epochs):
                for some in course.parts(places):
                    loss = course.supervised(some)
                    told["supervised_loss"] = loss.item()
                    if feedback is not None:
                        extra, told["flat_queries"] = course.by_feedback(feedback, len(places))
                        told["feedback_loss"] = extra.item()
                        loss = loss + feedback[1].weight * share * extra
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                progress.advance()
    return retriever.eval(), told


class _Course:
    """The batches of one training; a neighbourhood that is not drawn is kept."""

    def __init__(
        self,
        problem: Problem,
        features: np.ndarray,
        retriever: Retriever,
        settings: RetrieverSettings,
        rng: np.random.Generator,
    ) -> None:
        self._problem, self._retriever, self._settings = problem, retriever, settings
        self._rows, self._rng = torch.from_numpy(features), rng
        self._around = Neighbourhoods(problem.training.adjacency, fanouts=settings.fanouts)
        self._targets = torch.from_numpy(problem.targets)
        self._kept: dict[bytes, tuple[Tensor, Batch, Tensor]] = {}

    def parts(self, places: np.ndarray) -> Iterator[np.ndarray]:
        """The pool's positions in shuffled batches; one batch by default."""
        size = self._settings.batch_items
        if not size or size >= len(places):
            yield places
            return
        order = self._rng.permutation(places)
        for start in range(0, len(order), size):
            yield order[start : start + size]

    def supervised(self, places: np.ndarray) -> Tensor:
        """Cross-entropy of the classes of pool items; 0 where none has a class."""
        targets = self._targets[places]
        logits = self._retriever.logits(self._vectors(places))
        if not (targets >= 0).any():
            return logits.sum() * 0
        return F.cross_entropy(logits, targets, ignore_index=-1)

    def by_feedback(
        self, feedback: tuple[Feedback, FeedbackSettings], num_places: int
    ) -> tuple[Tensor, int]:
        """The loss of feedback on as many queries as a batch holds."""
        told, how = feedback
        size = self._settings.batch_items or len(told.queries)
        some = np.arange(len(told.queries))
        if size < len(some):
            some = self._rng.choice(some, size, replace=False)
        queries, candidates = told.queries[some], told.candidates[some]
        places = np.unique(np.concatenate([queries, candidates[candidates >= 0]]))
        compared = self._retriever.compared(self._vectors(places))
        own = compared[torch.from_numpy(np.searchsorted(places, queries))]
        kept = torch.from_numpy(candidates >= 0)
        at = np.searchsorted(places, np.where(candidates >= 0, candidates, places[0]))
        others = compared[torch.from_numpy(at)]
        scores = self._retriever.sharpness * torch.einsum("qd,qcd->qc", own, others)
        utilities = torch.from_numpy(told.utilities[some]).to(scores.dtype)
        return feedback_loss(how.loss, scores, utilities, kept)

    def _vectors(self, places: np.ndarray) -> Tensor:
        """Vectors of pool places; a batch that comes again is not made again."""
        key = places.tobytes()
        if key not in self._kept or self._settings.fanouts:
            found = _batch(self._problem, self._problem.pool[places], self._around, self._rows,
                           self._settings.layers, self._rng)  # fmt: skip
            if self._settings.batch_items:
                return self._retriever(*found)
            self._kept[key] = found
        return self._retriever(*self._kept[key])


def _batch(
    problem: Problem,
    items: np.ndarray,
    around: Neighbourhoods,
    rows: Tensor,
    num_layers: int,
    rng: np.random.Generator | None,
) -> tuple[Tensor, Batch, Tensor]:
    nodes = problem.nodes[items]
    outputs = np.unique(nodes)
    batch = around.around(outputs, num_layers, rng)
    return rows[batch.nodes], batch, torch.from_numpy(np.searchsorted(outputs, nodes))


def encode(
    retriever: Retriever, problem: Problem, features: np.ndarray, items: np.ndarray,
    *, training: bool = False,
) -> Vectors:  # fmt: skip
    """Vectors of items with all their neighbours, in evaluation mode; new nodes cost no training.

    `training` takes the training graph, for what must not see test nodes.
    Source: ours. Oracle: tests/graph/test_learn.py::test_vectors_do_not_depend_on_the_batch
    """
    graph = problem.training if training else problem.graph
    around, rows = Neighbourhoods(graph.adjacency), torch.from_numpy(features)
    num_layers = retriever.settings.layers
    compared, classes = list[np.ndarray](), list[np.ndarray]()
    retriever.eval()
    with torch.inference_mode():
        for start in range(0, len(items), ROWS):
            some = items[start : start + ROWS]
            vectors = retriever(*_batch(problem, some, around, rows, num_layers, None))
            compared.append(retriever.compared(vectors).numpy())
            classes.append(retriever.logits(vectors).softmax(1).numpy())
    width, num = retriever.settings.width, max(1, len(problem.classes))
    empty = np.zeros((0, width), dtype=np.float32), np.zeros((0, num), dtype=np.float32)
    if not compared:
        return Vectors(compared=empty[0], classes=empty[1])
    return Vectors(compared=np.concatenate(compared), classes=np.concatenate(classes))
