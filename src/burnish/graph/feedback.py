"""Feedback: which pairs to ask the model about, within a budget, by networks that cannot cheat."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.base.rng import stream
from burnish.graph.asking import Asker
from burnish.graph.learn import Feedback, Vectors, encode, train_retriever
from burnish.graph.losses import FLAT
from burnish.graph.problems import Problem
from burnish.graph.search import NONE, top_k
from burnish.graph.settings import FeedbackSettings, RetrieverSettings

LARGE = 4000  # a pool of more has queries enough in one fold: one network is trained


@dataclass(frozen=True, kw_only=True)
class Collected:
    """Feedback, and facts about it for the report."""

    feedback: Feedback
    told: dict[str, Any]


def collect_feedback(
    asker: Asker,
    features: np.ndarray,
    settings: FeedbackSettings,
    how: RetrieverSettings,
    *,
    seed: int,
) -> Collected:
    """Ask the model how useful nearest examples are to queries of the pool.

    A query's candidates are found by a network that was not trained on the query: the pool is cut
    into folds, and each fold's queries see a network of the others. Examples of a text that the
    query has are none. Readings that the log holds are not asked again.
    Source: AskGNN, arXiv 2410.07074; cross-fitting and the budget are ours.
    Oracle: tests/graph/test_feedback.py::test_no_network_has_seen_its_queries
    """
    problem = asker.problem
    ranked, doubt = cross_fitted(problem, features, settings, how, seed=seed)
    queries, candidates = chosen_pairs(asker, ranked, doubt, settings)
    items = np.where(candidates >= 0, problem.pool[candidates], NONE)
    before = asker.reader.meter.totals()
    asked = [int(problem.pool[q]) for q in queries]
    utilities = asker.utilities(asked, items, what="feedback")
    after = asker.reader.meter.totals()
    told = describe(problem, queries, candidates, utilities)
    told["tokens"] = sum(after[k] - before[k] for k in ("prefilled", "scored", "generated"))
    told["budget_tokens"] = settings.tokens
    feedback = Feedback(queries=queries, candidates=candidates, utilities=utilities)
    return Collected(feedback=feedback, told=told)


def cross_fitted(
    problem: Problem,
    features: np.ndarray,
    settings: FeedbackSettings,
    how: RetrieverSettings,
    *,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """For each pool item its nearest others, and the network's uncertainty [nats].

    Source: ours. Oracle: tests/graph/test_feedback.py::test_no_network_has_seen_its_queries
    """
    num = len(problem.pool)
    folds = stream(seed, "graph", "folds").permutation(np.arange(num)) % settings.folds
    ranked = np.full((num, settings.nearest), NONE, dtype=np.int64)
    doubt = np.zeros(num)
    groups = problem.groups[problem.pool]
    num_networks = min(settings.folds, num) if num <= LARGE else 1
    for fold in range(num_networks):
        inside = np.flatnonzero(folds == fold)
        rest = np.flatnonzero(folds != fold)
        if not len(inside) or not len(rest):
            continue
        retriever, _ = train_retriever(problem, features, how, seed=seed, kept=rest)
        vectors: Vectors = encode(retriever, problem, features, problem.pool, training=True)
        found = top_k(
            vectors.compared[inside], vectors.compared, settings.nearest,
            query_groups=groups[inside], key_groups=groups, engine=how.search,
        )  # fmt: skip
        ranked[inside] = found.indices
        shares = np.clip(vectors.classes[inside], 1e-12, 1)
        doubt[inside] = -(shares * np.log(shares)).sum(axis=1)
    return ranked, doubt


def chosen_pairs(
    asker: Asker, ranked: np.ndarray, doubt: np.ndarray, settings: FeedbackSettings
) -> tuple[np.ndarray, np.ndarray]:
    """The queries and candidates (positions in the pool) that the budget covers.

    Candidates are spread evenly over the nearest. Where not all queries fit, those come first of
    whose class the network is least sure: there an example can change the answer.
    Source: ours. Oracle: tests/graph/test_feedback.py::test_the_budget_bounds_the_pairs
    """
    nearest, problem = settings.nearest, asker.problem
    spread = np.unique(np.linspace(0, nearest - 1, settings.candidates).round().astype(int))
    candidates = ranked[:, spread]
    order = np.lexsort((np.arange(len(doubt)), -doubt))
    order = order[(candidates[order] >= 0).sum(axis=1) > 1]
    left, kept = settings.tokens, list[int]()
    for place in order:
        query, own = int(problem.pool[place]), [int(c) for c in candidates[place] if c >= 0]
        left -= sum(asker.cost(query, [int(problem.pool[c])]) for c in own)
        if left < 0:
            break
        kept.append(int(place))
    queries = np.array(sorted(kept), dtype=np.int64)
    return queries, candidates[queries] if len(queries) else candidates[:0]


def describe(
    problem: Problem, queries: np.ndarray, candidates: np.ndarray, utilities: np.ndarray
) -> dict[str, Any]:
    """Counts of pairs and flat queries, and whether utility is more than an equal label.

    `same_label` and `other_label` are mean utilities of candidates that do and do not have the
    query's label: far apart means that the model copies labels.
    """
    kept = candidates >= 0
    told: dict[str, Any] = {"queries": len(queries), "pairs": int(kept.sum())}
    if not len(queries):
        return told | {"flat_queries": 0}
    spread = np.where(kept, utilities, -np.inf).max(1) - np.where(kept, utilities, np.inf).min(1)
    told["flat_queries"] = int((spread <= FLAT).sum())
    labels = np.array([problem.label_of(int(item)) for item in problem.pool])
    same = (labels[np.maximum(candidates, 0)] == labels[queries][:, None]) & kept
    for name, some in (("same_label", same), ("other_label", kept & ~same)):
        told[name] = float(utilities[some].mean()) if some.any() else None
    return told
