"""`graph`: tasks of a graph, whose prompts show the examples that a trained retriever picks.

Registered through the entry point group `burnish.plugins`, because `data` may not know `graph`.
"""

from dataclasses import dataclass

from burnish.base.errors import InputError, SettingError
from burnish.contracts.task import Task
from burnish.data.sources import sources
from burnish.data.tasks import make_task


@sources.register("graph")
@dataclass(frozen=True, kw_only=True)
class GraphTaskSource:
    """`graph:FOLDER`, a folder of `graph train`: name the class of each labelled node.

    Examples come from the retriever's labelled nodes, tasks from all others, so no task's answer
    is in the prompt of another task. The group is the class.
    Source: AskGNN, arXiv 2410.07074: prompts with retrieved examples.
    Oracle: tests/recipes/test_graph.py::test_answers_of_tasks_stand_in_no_prompt
    """

    path: str

    @classmethod
    def from_text(cls, text: str) -> "GraphTaskSource":
        """Read `FOLDER`. Raises: SettingError."""
        if not text:
            remedy = "Write graph:FOLDER, a folder of graph train"
            raise SettingError("source", "graph:", "must name a folder", remedy=remedy)
        return cls(path=text)

    def load(self, seed: int) -> list[Task]:
        """One task a labelled node outside the pool. Raises: as `open_retriever`; InputError."""
        from burnish.graph.saved import open_retriever

        saved = open_retriever(self.path)
        problem = saved.problem
        pool = set(problem.pool.tolist())
        items = [
            item for item, label in enumerate(problem.answers)
            if label in problem.classes and item not in pool
        ]  # fmt: skip
        if not items:
            rule = "must hold labelled nodes beyond its examples"
            raise InputError("graph", self.path, rule, remedy="Label more nodes")
        prompts = saved.prompts(items)
        return [
            make_task(
                prompt, problem.answers[item], group=problem.answers[item], checker="exact",
                metadata={"node": problem.name(item)},
            )
            for item, prompt in zip(items, prompts, strict=True)
        ]  # fmt: skip
