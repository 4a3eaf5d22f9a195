"""From examples to prompts, readings and utilities: a problem put to a model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from burnish.graph.problems import Problem
from burnish.graph.prompts import Template
from burnish.graph.reading import Reader, Reading
from burnish.graph.settings import PromptSettings


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Shows items of a problem to a model, with examples from the pool (items, best first)."""

    problem: Problem
    reader: Reader
    template: Template
    how: PromptSettings

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that an answer is chosen from; empty in generation."""
        return () if self.problem.task == "generate" else self.problem.classes

    def prompt(self, query: int, examples: Sequence[int]) -> str:
        """The text that the answer continues. The query's own answer is never used."""
        shown = list(examples)[: self.how.examples]
        if self.how.order == "nearest-last":
            shown.reverse()
        pairs = [(self.problem.fields(item), self.problem.answers[item]) for item in shown]
        return self.template.prompt(self.problem.fields(query), pairs, self.labels)

    def cost(self, query: int, examples: Sequence[int]) -> int:
        """Tokens that a reading computes at most, with its part of the header.

        Prompts of a pass share the header where labels are scored, else they may not.
        Source: ours. Oracle: tests/graph/test_asking.py::test_the_cost_bounds_what_is_computed
        """
        reader, header = self.reader, self.template.beginning(self.labels)
        own = reader.count(self.prompt(query, examples)[len(header) :])
        gap, end = self.template.gap, self.template.end
        answers = self.labels or (self.problem.answers[query],)
        own += reader.count_answers(answers, gap=gap, end=end)
        head = reader.count(header)
        if not self.labels or reader.writes:
            return own + head
        num_prompts = max(1, (reader.batch_rows - head) // own)
        return own + -(-head // num_prompts)

    def read(
        self, queries: Sequence[int], examples: Sequence[Sequence[int]], *, what: str = ""
    ) -> list[Reading]:
        """The model's reading of the classes for each query."""
        prompts = [self.prompt(q, own) for q, own in zip(queries, examples, strict=True)]
        gap, end = self.template.gap, self.template.end
        return self.reader.read(prompts, self.labels, gap=gap, end=end, what=what)

    def nll(self, queries: Sequence[int], examples: Sequence[Sequence[int]]) -> list[float]:
        """Mean negative log-likelihood [nats per token] of each query's reference."""
        prompts = [self.prompt(q, own) for q, own in zip(queries, examples, strict=True)]
        references = [
            self.template.gap + self.problem.answers[query] + self.template.end for query in queries
        ]
        return self.reader.reference_nll(prompts, references)

    def utilities(
        self, queries: Sequence[int], candidates: np.ndarray, *, what: str = ""
    ) -> np.ndarray:
        """Utility of each candidate (an item, -1: none) as the only example; none is 0.

        Classes: the share that the query's answer gets. Generation: softmax over the candidates of
        minus the reference's mean NLL, since one answer's share among itself is always 1.
        Source: AskGNN, arXiv 2410.07074; self-adaptive ICL's issue 4 for generation.
        Oracle: tests/graph/test_asking.py::test_utilities_are_shares_of_the_answer
        """
        pairs = [(i, j) for i, j in zip(*np.nonzero(candidates >= 0), strict=True)]
        asked = [queries[i] for i, _ in pairs]
        shown = [[int(candidates[i, j])] for i, j in pairs]
        found = np.zeros(candidates.shape)
        if self.problem.task == "generate":
            values = -np.array(self.nll(asked, shown))
            logits = np.full(candidates.shape, -np.inf)
            for (i, j), value in zip(pairs, values, strict=True):
                logits[i, j] = value
            top = logits.max(axis=1, keepdims=True)
            weights = np.exp(logits - np.where(np.isfinite(top), top, 0))
            return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
        readings = self.read(asked, shown, what=what)
        for (i, j), reading in zip(pairs, readings, strict=True):
            answer = self.problem.answers[queries[i]]
            if answer in self.labels:
                found[i, j] = reading.shares(len(self.labels))[self.labels.index(answer)]
        return found
