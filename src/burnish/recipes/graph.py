"""`graph`: tasks of a graph: plain ones of a folder of nodes and edges, or with examples.

Registered through the entry point group `burnish.plugins`, because `data` may not know `graph`.
"""

from dataclasses import dataclass
from pathlib import Path

from burnish.base.errors import InputError, MissingFileError, SettingError
from burnish.contracts.task import Task
from burnish.data.sources import sources
from burnish.data.tasks import make_task

GRAPH = "graph"  # entry of a task's metadata: the folder of its graph


@sources.register("graph")
@dataclass(frozen=True, kw_only=True)
class GraphTaskSource:
    """`graph:FOLDER`: name the class of each labelled node.

    FOLDER holds `nodes.csv` and `edges.csv`, as `graph ingest` takes and writes them: the step
    `graph` of `improve` picks examples among the training tasks. Or it is a folder of `graph
    train`: prompts show the examples that its retriever picks among its labelled nodes, and all
    other labelled nodes are tasks, so no task's answer is in the prompt of another task.
    All tasks are one group: a class as group would tell the answer where examples are shown.
    Source: AskGNN, arXiv 2410.07074: prompts with retrieved examples.
    Oracle: tests/recipes/test_graph.py::test_answers_of_tasks_stand_in_no_prompt
    """

    path: str

    @classmethod
    def from_text(cls, text: str) -> "GraphTaskSource":
        """Read `FOLDER`. Raises: SettingError."""
        if not text:
            remedy = "Write graph:FOLDER, with nodes.csv and edges.csv, or made by graph train"
            raise SettingError("source", "graph:", "must name a folder", remedy=remedy)
        return cls(path=text)

    def load(self, seed: int) -> list[Task]:
        """One task a labelled node.

        Raises: MissingFileError; as `open_graph`, `open_retriever`; InputError.
        """
        if not Path(self.path).is_dir():
            remedy = "Name a folder with nodes.csv and edges.csv, or one that graph train made"
            raise MissingFileError("graph", self.path, "must be a folder", remedy=remedy)
        plain = any(Path(self.path).glob("nodes.*"))
        tasks = _plain_tasks(self.path) if plain else _retrieved_tasks(self.path)
        if not tasks:
            rule = "must hold labelled nodes" + " beyond its examples" * (not plain)
            raise InputError("graph", self.path, rule, remedy="Label more nodes")
        return tasks


def _plain_tasks(folder: str) -> list[Task]:
    from burnish.graph.prompts import CLASSIFY
    from burnish.graph.tables import open_graph

    graph = open_graph(folder)
    classes = sorted(set(graph.labels) - {""})
    return [
        make_task(
            CLASSIFY.prompt({"text": text}, (), classes), label, group="graph", checker="exact",
            metadata={"node": node, GRAPH: folder},
        )
        for node, text, label in zip(graph.ids, graph.texts, graph.labels, strict=True) if label
    ]  # fmt: skip


def _retrieved_tasks(folder: str) -> list[Task]:
    from burnish.graph.saved import open_retriever

    saved = open_retriever(folder)
    problem = saved.problem
    pool = set(problem.pool.tolist())
    items = [
        item for item, label in enumerate(problem.answers)
        if label in problem.classes and item not in pool
    ]  # fmt: skip
    return [
        make_task(
            prompt, problem.answers[item], group="graph", checker="exact",
            metadata={"node": problem.name(item)},
        )
        for item, prompt in zip(items, saved.prompts(items) if items else (), strict=True)
    ]  # fmt: skip
