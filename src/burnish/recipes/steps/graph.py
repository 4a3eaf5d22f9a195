"""`graph`: where tasks are nodes of a graph, it picks the examples before them; a control."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from burnish.base.meter import Meter
from burnish.base.records import read_json, write_json
from burnish.base.rng import stream
from burnish.base.stages import Stage, StageResult
from burnish.base.stats import paired_difference
from burnish.contracts.page import Table
from burnish.contracts.step import Told
from burnish.contracts.task import Task, Verdict
from burnish.data.demonstrations import STOPS
from burnish.graph.picking import By, pick_examples
from burnish.graph.tables import open_graph
from burnish.jobs.step import Composite, Given, Step, Verification
from burnish.recipes.answering import DECODING, Ask, greedy_asks
from burnish.recipes.graph import GRAPH
from burnish.recipes.settings import GraphStageSettings, ImproveSettings
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.measure import HeldoutStep, control_row
from burnish.recipes.steps.taken import TakenPart, taken_by
from burnish.recipes.steps.tasks import FILES

EXAMPLES = "graph-examples"
PICKED = "examples.json"
Kind = Literal["graph", "random"]
CONTROLS: Mapping[Kind, str] = {"random": "control-graph-random", "graph": "control-graph"}


@dataclass(frozen=True, kw_only=True)
class PickStep(Step):
    """Training tasks that are shown before each held-out task: by the graph, and by lot.

    Source: as `pick_examples`.
    Oracle: tests/recipes/test_graph_step.py::test_the_graph_picks_training_tasks
    """

    graph: GraphStageSettings
    seed: int
    name: str = EXAMPLES
    verified: Verification = "again"

    @property
    def reads(self) -> tuple[str, ...]:
        """The tasks, and the files of the graph."""
        return ("train", "heldout", FILES)

    @property
    def writes(self) -> Mapping[str, str]:
        """Names of tasks."""
        return {self.name: PICKED}

    def open(self, name: str, done: StageResult, given: Given) -> Mapping[Kind, Any]:
        """For each kind and held-out task, the training tasks, best first."""
        return read_json(done.path / PICKED)

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Pick, graph by graph."""
        train, heldout = (by_graph(given[name]) for name in ("train", "heldout"))
        ranked: Mapping[Kind, By] = {"graph": self.graph.by, "random": "random"}
        rows = {
            kind: {
                name: own
                for folder, asked in heldout.items()
                for name, own in self._picked(folder, train[folder], asked, by).items()
            }
            for kind, by in ranked.items()
        }
        write_json(stage.path / PICKED, rows)
        return {"num_tasks": sum(map(len, heldout.values()))}

    def _picked(
        self, folder: str, pool: Mapping[str, Task], asked: Mapping[str, Task], by: By
    ) -> dict[str, list[str]]:
        found = pick_examples(
            open_graph(folder), list(pool), list(asked), by=by, num=self.graph.num_examples,
            seed=self.seed,
        )  # fmt: skip
        return {
            task.id: [pool[node].id for node in own]
            for task, own in zip(asked.values(), found, strict=True)
        }


def by_graph(tasks: Sequence[Task]) -> dict[str, dict[str, Task]]:
    """The tasks that are nodes, by the folder of their graph, then by the node's id."""
    found: dict[str, dict[str, Task]] = defaultdict(dict)
    for task in tasks:
        if GRAPH in task.metadata:
            found[task.metadata[GRAPH]][task.metadata["node"]] = task
    return found


@dataclass(frozen=True, kw_only=True)
class GraphControlStep(TakenPart, HeldoutStep):
    """The base model with picked training tasks before each held-out task, the best one last.

    Source: ours. Oracle: tests/recipes/test_graph_step.py::test_the_graph_picks_training_tasks
    """

    kind: Kind
    graph: GraphStageSettings
    model: str = "base"

    @property
    def tasks(self) -> tuple[str, ...]:
        """The held-out tasks, and the training tasks that are shown."""
        return ("heldout", "train", EXAMPLES)

    def asks(self, given: Given) -> list[Ask]:
        """The greedy questions with examples before them; only of tasks that are nodes."""
        shown, layout = given[EXAMPLES][self.kind], self.graph.layout
        train = {task.id: task for task in given["train"]}
        found = []
        for ask in greedy_asks(given["heldout"], self.max_new_tokens):
            if ask.task.id not in shown:
                continue
            examples = [train[name] for name in reversed(shown[ask.task.id])]
            found.append(
                replace(
                    ask,
                    sampling=replace(ask.sampling, stop=STOPS[layout]),
                    demonstrations=tuple((one.prompt, one.answer) for one in examples),
                    layout=layout,
                )
            )
        return found

    @property
    def shows(self) -> tuple[str, ...]:
        """The answers with examples by lot, which are compared with the graph's."""
        other = CONTROLS["random"]
        return (other, taken_by(other)) if self.kind == "graph" else ()

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The accuracy; and, of the graph's examples, what they add to those by lot."""
        records, found = given[self.name], self.measured(self.name, given)
        label = {"graph": f"examples by the graph ({self.graph.by})", "random": "examples by lot"}
        row = control_row(f"base model, {label[self.kind]}", found.accuracy, records)
        numbers: dict[str, Any] = {self.kind: {"accuracy": found.accuracy.to_dict()}}
        blocks, claims = [row], []
        if self.kind == "graph":
            other = CONTROLS["random"]
            sides = [[float(one.verdict == Verdict.RIGHT) for one in given[name]]
                     for name in (other, self.name)]  # fmt: skip
            added = paired_difference(*sides, rng=stream(self.seed, "graph"))
            numbers["added"] = added.to_dict()
            claims = [self.claim("graph: accuracy above examples by lot", added, given, done)]
            taken = {other: given[taken_by(other)], self.name: given[taken_by(self.name)]}
            blocks.append(
                Table(
                    title="Examples picked by the graph",
                    columns=["examples", "right", "of", "tokens", "seconds"],
                    rows=[[label[kind], sum(map(int, side)), len(side), *taken[name]]
                          for (kind, name), side in zip(CONTROLS.items(), sides, strict=True)],
                    caption=f"The graph less lot: {100 * added.value:.1f} points "
                    f"[{100 * added.low:.1f}, {100 * added.high:.1f}], the same tasks on both "
                    "sides. Only training tasks are shown.",
                )
            )  # fmt: skip
        told = {"graph": {"by": self.graph.by, **numbers}}
        return (
            *super().tell(done, given),
            Told(section="controls", numbers=told, claims=claims, blocks=blocks),
        )


@improve_steps.register("graph")
@dataclass(frozen=True, kw_only=True)
class Graph(Composite):
    """Examples by the graph against examples by lot; only for tasks of `graph:FOLDER`.

    Source: AskGNN, arXiv 2410.07074, with examples by the edges themselves.
    Oracle: tests/recipes/test_graph_step.py::test_the_graph_beats_lot_where_edges_tell
    """

    settings: ImproveSettings
    name: str = "graph"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "Graph":
        """The control of a job with these settings."""
        return cls(settings=settings)

    @property
    def is_on(self) -> bool:
        """Whether there can be tasks of a graph, and examples are wanted."""
        return has_graph(self.settings) and self.settings.graph.num_examples > 0

    @property
    def reads(self) -> tuple[str, ...]:
        """The base model and the tasks; nothing where it is off."""
        return ("base", "train", "heldout", FILES, DECODING) if self.is_on else ()

    def planned(self) -> Sequence[Step]:
        """Picking, then answers with each kind of examples."""
        if not self.is_on:
            return []
        pick = PickStep(graph=self.settings.graph, seed=self.settings.seed)
        return [pick, *map(self._control, CONTROLS)]

    def steps(self, look: Callable[[str], Any]) -> Iterator[Step]:
        """Nothing where no held-out task is a plain node with training tasks beside it."""
        if self.is_on and by_graph(look("heldout")).keys() <= by_graph(look("train")).keys():
            yield from self.planned() if by_graph(look("heldout")) else ()

    def _control(self, kind: Kind) -> GraphControlStep:
        return GraphControlStep(
            name=CONTROLS[kind],
            kind=kind,
            graph=self.settings.graph,
            max_new_tokens=self.settings.measure.max_new_tokens,
            precision=self.settings.precision,
            seed=self.settings.seed,
        )


def has_graph(settings: ImproveSettings) -> bool:
    """Whether a source of tasks is a graph."""
    return any(spec.startswith("graph:") for spec in settings.tasks)
