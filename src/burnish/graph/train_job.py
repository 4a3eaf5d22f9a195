"""`graph train`, `graph ask` and `graph predict`: training and using a retriever."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from burnish.base.canonical import jsonable
from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.page import Block, Page, Table
from burnish.contracts.step import Told
from burnish.graph.arms import vote
from burnish.graph.checks import summarise
from burnish.graph.drawing import draw, hops
from burnish.graph.page import ask_blocks, feedback_table
from burnish.graph.prepare import rank, train_ours
from burnish.graph.retriever import Retriever
from burnish.graph.saved import FOLDER, SavedRetriever, open_retriever, save_retriever
from burnish.graph.settings import GraphSettings
from burnish.graph.tables import open_graph, write_csv
from burnish.graph.world import World
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import ITSELF, Given, Step, Value
from burnish.models.handle import ModelHandle

WHAT = "graph-train"


def train_graph(
    settings: GraphSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Train a retriever for node classification; the result is what `result.json` holds.

    Raises what reading the graph, the problem and the model raise; SettingError for another task.
    Source: AskGNN, arXiv 2410.07074 (reconstruction).
    Oracle: tests/graph/test_train_job.py::test_train_ask_and_predict
    """
    if settings.problem.task != "classify":
        remedy = "Links and generation are measured by graph bench"
        rule = "must be classify to save a retriever"
        raise SettingError("problem.task", settings.problem.task, rule, remedy=remedy)
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command)
    return run_job(train_job(settings), place)


def train_job(settings: GraphSettings) -> Job:
    """The job of `graph train`."""
    handle = ModelHandle(settings.model, precision=settings.precision, device=settings.device)
    graph = open_graph(settings.graph)
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[RetrieverStep(graph=settings)],
        given={
            "graph": Value(lambda: graph.key, lambda: graph),
            "model": Value(lambda: handle.key, lambda: handle),
        },
        header=Header(
            title=f"burnish graph train: {Path(settings.graph).name}",
            numbers={"graph": settings.graph, "base": settings.model},
        ),
        base=settings.model,
    )


@dataclass(frozen=True, kw_only=True)
class RetrieverStep(Step):
    """Collects feedback, trains, and answers one query as an example.

    Source: ours. Oracle: tests/graph/test_train_job.py::test_train_ask_and_predict
    """

    graph: GraphSettings
    name: str = "retriever"

    guards = (ITSELF,)

    @property
    def reads(self) -> tuple[str, ...]:
        """Graph and model."""
        return ("graph", "model")

    @property
    def writes(self) -> Mapping[str, str]:
        """The retriever's folder."""
        return {"retriever": FOLDER}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Train and save."""
        world = World(
            graph=given["graph"], settings=self.graph, handle=given["model"],
            seed=self.graph.seed, meter=meter, asks=False,
        )  # fmt: skip
        trained, _ = train_ours(world)
        save_retriever(stage.path / FOLDER, world, trained.retriever)
        problem = world.problem
        known = problem.queries if len(problem.queries) else problem.pool
        shown = ask_node(open_retriever(stage.path / FOLDER), problem.graph.ids[int(known[0])])
        world.asker.reader.close()
        return jsonable({
            "training": trained.told,
            "mode": problem.mode,
            **known_accuracy(world, trained.retriever),
            "num_pool": len(problem.pool),
            "num_queries": len(problem.queries),
            "summary": summarise(world.graph),
            "shown": shown,
        })  # fmt: skip

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Numbers and the page."""
        told = {k: v for k, v in done.output.items() if k not in ("shown", "metered")}
        said = told["training"]
        verdict = f"A retriever over {told['num_pool']} labelled nodes ({told['mode']})"
        if told["num_queries"]:
            verdict += (
                f": the network alone is right on {100 * told['network_accuracy']:.1f}% of "
                f"{told['num_queries']} other nodes, the vote of its examples on "
                f"{100 * told['vote_accuracy']:.1f}%"
            )
        verdict += "."
        blocks: list[Block] = [*ask_blocks(done.output["shown"])]
        if "pairs" in said:
            blocks.append(feedback_table({str(self.graph.seed): {"feedback": said}}))
        notes = told["summary"]["notes"]
        rows = [[note] for note in notes]
        blocks.append(Table(title="Findings of the graph", columns=["finding"], rows=rows))
        page = Page(title="burnish graph train", verdict=verdict, good="measured", blocks=blocks)
        return (Told.of_page(page, {**told, "retriever": str(done.path / FOLDER)}),)


def known_accuracy(world: World, retriever: Retriever) -> dict[str, float | None]:
    """Share of the queries on which the network, and its examples' vote, are right; or None."""
    problem = world.problem
    if not len(problem.queries):
        return {"network_accuracy": None, "vote_accuracy": None}
    num = world.settings.prompt.examples
    ranked = rank(world, problem, retriever, problem.queries, num)
    wanted = [problem.answers[query] for query in problem.queries]
    said = {"network_accuracy": ranked.classes, "vote_accuracy": vote(problem, ranked.examples)}
    return {
        name: sum(a == b for a, b in zip(own, wanted, strict=True)) / len(wanted)
        for name, own in said.items()
    }


def ask_node(saved: SavedRetriever, node: str) -> dict[str, Any]:
    """One node's answer, with the examples' distances and a drawing.

    Raises InputError for an id that is not in the graph.
    Source: ours. Oracle: tests/graph/test_train_job.py::test_train_ask_and_predict
    """
    item = saved.index_of(node)
    try:
        (asked,) = saved.ask([item])
    finally:
        saved.world.asker.reader.close()
    graph = saved.world.graph
    others = [graph.index[e["id"]] for e in asked.examples]
    far = hops(graph, item, others)
    examples = [{**e, "hops": h} for e, h in zip(asked.examples, far, strict=True)]
    return jsonable({**asdict(asked), "examples": examples, "drawing": draw(graph, item, others)})


def predict_nodes(
    folder: Path, out: Path, *, new: Path | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Predict all unlabelled nodes, and those of the folder `new`, into a CSV file.

    What the model said is kept, so an interrupted call resumes. Raises InputError, StorageError.
    Source: ours. Oracle: tests/graph/test_train_job.py::test_train_ask_and_predict
    """
    saved = open_retriever(folder, new=new)
    graph = saved.world.graph
    items = [i for i, label in enumerate(graph.labels) if not label][:limit]
    try:
        answers = saved.ask(items) if items else []
    finally:
        saved.world.asker.reader.close()
    rows = [
        (a.node, a.prediction or "", "" if a.share is None else f"{a.share:.4f}",
         " ".join(e["id"] for e in a.examples))
        for a in answers
    ]  # fmt: skip
    write_csv(out, ("id", "prediction", "share", "examples"), rows)
    unparsed = sum(not row[1] for row in rows)
    told = {"out": str(out), "nodes": len(rows), "unparsed": unparsed}
    return told | {"unparsed_frac": round(unparsed / max(1, len(rows)), 4)}
