"""One seed of the bench: every arm on the same queries, with controls that ask no model."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from burnish.base.progress import say
from burnish.base.rng import stream
from burnish.graph.arms import FIXED, Examples, vote
from burnish.graph.learn import Feedback
from burnish.graph.links import scores_without_model
from burnish.graph.prepare import (
    Trained,
    by_utility,
    fixed_examples,
    permuted,
    rank,
    train_ours,
    train_plain,
)
from burnish.graph.problems import make_problem
from burnish.graph.settings import BenchSettings
from burnish.graph.world import World

CLAIMED = ("gnn", "ours")  # the two arms of the feedback's claim


@dataclass
class Bench:
    """Runs the arms of one seed, with one row per query and arm.

    Source: ours. Oracle: tests/graph/test_bench_seed.py::test_structure_only
    Oracle: tests/graph/test_bench_seed.py::test_garbage_test_labels_change_no_prompt
    """

    world: World
    settings: BenchSettings
    rows: list[dict[str, Any]] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    _trained: dict[str, Trained] = field(default_factory=dict)
    _feedback: Feedback | None = None

    def run(self) -> None:
        """Run each arm in turn: train, choose, ask, judge."""
        problem, arms = self.world.problem, self.settings.arms
        self.told |= self._about_problem()
        self._trained["gnn"] = train_plain(self.world)
        if {"ours", "permuted", "oracle"} & set(arms):
            self._trained["ours"], self._feedback = train_ours(self.world)
            self.told["feedback"] = self._trained["ours"].told
        few = self._few()
        for arm in arms:
            queries = self._queries(arm, few)
            say(f"seed {self.world.seed}: {arm}, {len(queries)} queries")
            before = self.world.meter.totals()
            examples = self._examples(arm, queries)
            self._judge(arm, queries, examples)
            after = self.world.meter.totals()
            kinds = ("prefilled", "scored", "generated")
            self.told.setdefault("tokens", {})[arm] = sum(after[k] - before[k] for k in kinds)
        self._without_model(problem.queries)

    def _queries(self, arm: str, few: np.ndarray) -> np.ndarray:
        """The queries of an arm: all, those of all arms, or for the oracle some of them."""
        if arm in CLAIMED:
            return self.world.problem.queries
        wanted = self.settings.oracle_queries
        if arm != "oracle" or not 0 < wanted < len(few):
            return few
        drawn = stream(self.world.seed, "graph", "oracle").permutation(few)[:wanted]
        return np.sort(drawn)

    def _few(self) -> np.ndarray:
        """The queries of all arms; the claimed two may have more."""
        problem, settings = self.world.problem, self.world.settings.problem
        wanted = self.settings.base.problem.queries
        if problem.task != "classify" or wanted >= len(problem.queries):
            return problem.queries
        few = make_problem(self.world.graph, replace(settings, queries=wanted), self.world.seed)
        return few.queries

    def _about_problem(self) -> dict[str, Any]:
        problem, graph = self.world.problem, self.world.graph
        degrees = np.diff(problem.graph.adjacency.indptr)
        asked = degrees[problem.nodes[problem.queries]].min(axis=1)
        known = set(problem.classes)
        return {
            "mode": problem.mode,
            "num_pool": len(problem.pool),
            "num_queries": len(problem.queries),
            "num_classes": len(problem.classes),
            "features": self.world.feature_kind,
            "isolated_queries": int((asked == 0).sum()),
            "unanswerable_queries": 0 if problem.task != "classify" else sum(
                graph.labels[i] not in known for i in problem.queries
            ),
        }  # fmt: skip

    def _examples(self, arm: str, queries: np.ndarray) -> Examples:
        num = self.world.settings.prompt.examples
        if arm in FIXED:
            return fixed_examples(self.world, arm, queries)
        problem = self.world.problem
        if arm == "permuted":
            problem, trained = permuted(self.world, self._feedback)
            self._trained[arm] = trained
        retriever = self._trained["ours" if arm == "oracle" else arm].retriever
        wanted = max(num, self.settings.oracle) if arm == "oracle" else num
        ranked = rank(self.world, problem, retriever, queries, wanted)
        if arm == "oracle":
            return by_utility(self.world, ranked.examples, queries, num)
        return ranked.examples

    def _judge(self, arm: str, queries: np.ndarray, examples: Examples) -> None:
        problem, asker = self.world.problem, self.world.asker
        names = [problem.name(int(query)) for query in queries]
        shown = [[problem.name(item) for item in own] for own in examples]
        if problem.task == "generate":
            values = asker.nll([int(q) for q in queries], examples)
            for name, value, own in zip(names, values, shown, strict=True):
                self._keep(arm, name, value, examples=own)
            return
        readings = asker.read([int(q) for q in queries], examples, what=arm)
        for name, query, reading, own in zip(names, queries, readings, shown, strict=True):
            choice = None if reading.choice is None else asker.labels[reading.choice]
            right = float(choice == problem.answers[query])
            self._keep(arm, name, right, prediction=choice, examples=own)
        if asker.reader.writes:
            unparsed = sum(reading.choice is None for reading in readings)
            self.told.setdefault("unparsed_frac", {})[arm] = unparsed / max(1, len(readings))
        if arm == "ours":
            self._describe_examples(queries, examples)

    def _describe_examples(self, queries: np.ndarray, examples: Examples) -> None:
        """The vote of our examples, and how often the model agrees with it."""
        problem = self.world.problem
        votes = vote(problem, examples)
        says = {row["query"]: row["prediction"] for row in self.rows if row["arm"] == "ours"}
        agreed = 0
        for query, voted in zip(queries, votes, strict=True):
            name = problem.name(int(query))
            self._keep("vote", name, float(voted == problem.answers[query]), prediction=voted)
            agreed += says[name] == voted
        kinds = [len({problem.answers[i] for i in own}) for own in examples]
        hits = [
            problem.answers[q] in {problem.answers[i] for i in own}
            for q, own in zip(queries, examples, strict=True)
        ]
        self.told["examples"] = {
            "agrees_with_vote_frac": agreed / len(queries),
            "distinct_answers": float(np.mean(kinds)),
            "holds_answer_frac": float(np.mean(hits)),
        }

    def _without_model(self, queries: np.ndarray) -> None:
        """The graph networks' own classes; for links also common neighbours and text."""
        problem = self.world.problem
        if problem.task == "generate":
            return
        names = {"gnn": "gnn-classifier", "ours": "ours-classifier"}
        for arm, trained in self._trained.items():
            if arm not in names:
                continue
            ranked = rank(self.world, problem, trained.retriever, queries, 1)
            self._keep_all(names[arm], queries, ranked.classes)
        if problem.task == "links":
            for arm, classes in scores_without_model(problem, self.world.features).items():
                self._keep_all(arm, queries, classes)

    def _keep_all(self, arm: str, queries: np.ndarray, classes: Sequence[str]) -> None:
        problem = self.world.problem
        for query, own in zip(queries, classes, strict=True):
            right = float(own == problem.answers[query])
            self._keep(arm, problem.name(int(query)), right, prediction=own)

    def _keep(self, arm: str, query: str, value: float, **more: Any) -> None:
        self.rows.append(
            {"arm": arm, "query": query, "seed": self.world.seed, "value": value, **more}
        )
