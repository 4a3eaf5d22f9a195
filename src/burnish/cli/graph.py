"""`burnish graph`: graphs of texts, and examples that a graph network picks for prompts."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from burnish.cli.options import (
    Config,
    Device,
    Precision,
    Runs,
    Sets,
    job_options,
    settings_from,
    table,
)
from burnish.cli.verbs import Commands, Outcome

commands = Commands(
    "graph",
    help="Answer questions about a graph of texts, with examples that a graph network selects.",
)

GraphArgument = Annotated[Path, typer.Argument(help="Folder of `graph ingest`, or with tables.")]
RetrieverArgument = Annotated[Path, typer.Argument(help="Folder of `graph train`.")]
ServedModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Embedded name, folder, GGUF file, hub name or openai:URL#name. "
        "[default: smollm2-135m]",
        show_default=False,
    ),
]
OutFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", "--run", help="Run folder; new: start another run. [default: by the settings]"
    ),
]
FeedbackTokens = Annotated[
    int | None,
    typer.Option(help="Maximum tokens computed for feedback. [default: 250000]"),
]


@commands.command()
def ingest(
    source: Annotated[
        str, typer.Argument(help="wordnet, debian, or a folder with nodes.csv and edges.csv.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write the graph into.")],
    dangling: Annotated[
        Literal["refuse", "drop", "create"],
        typer.Option(help="What to do with edges to unknown nodes."),
    ] = "refuse",
    no_header: Annotated[
        bool, typer.Option("--no-header", help="The tables have no header line.")
    ] = False,
) -> Outcome:
    """Read and check a graph, and write it into a folder for the other commands."""
    from burnish.graph.checks import summarise
    from burnish.graph.sources import load_source
    from burnish.graph.tables import check_out, write_graph

    check_out(out, source)
    graph = load_source(source, dangling=dangling, header=not no_header)
    summary = summarise(graph)
    write_graph(graph, out, summary)
    result = {**summary, "graph": str(out)}

    def text() -> str:
        names = ("nodes", "edges", "classes", "homophily", "homophily_by_chance", "labelled",
                 "largest_degree")  # fmt: skip
        rows = [[name, summary[name]] for name in names]
        return "\n".join([table(["what", "value"], rows), *summary["notes"]])

    following = f"burnish graph train {out} --out {out}-retriever"
    return Outcome(result=result, next_command=following, text=text)


@commands.command()
def train(
    graph: GraphArgument,
    model: ServedModel = None,
    out: OutFolder = None,
    feedback_tokens: FeedbackTokens = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006 - typer copies it
    runs: Runs = Path("runs"),
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Train the retriever of GRAPH: the network's own classes, and feedback of the model."""
    from burnish.graph.settings import GraphSettings
    from burnish.graph.train_job import train_graph

    flags = {
        "graph": str(graph), "model": model, "feedback.tokens": feedback_tokens,
        "device": device, "precision": precision,
    }  # fmt: skip
    settings = settings_from(GraphSettings, config=config, sets=set, flags=flags)
    result = train_graph(settings, **job_options(runs, out))
    node = _first_node(result)
    return Outcome(result=result, next_command=f"burnish graph ask {result['run']} --node {node}")


@commands.command()
def ask(
    retriever: RetrieverArgument,
    node: Annotated[str, typer.Option(help="Id of the node.")],
    new: Annotated[
        Path | None, typer.Option(help="Folder with nodes.csv and edges.csv of new nodes.")
    ] = None,
) -> Outcome:
    """Answer for one node, and show its examples and the prompt."""
    from burnish.graph.saved import open_retriever
    from burnish.graph.train_job import ask_node

    asked = ask_node(open_retriever(retriever, new=new), node)

    def text() -> str:
        columns = ["id", "answer", "score", "hops", "text"]
        rows = [[e[c] if c != "text" else e[c][:60] for c in columns] for e in asked["examples"]]
        share = "" if asked["share"] is None else f" (share {asked['share']:.2f})"
        told = f"prediction: {asked['prediction']}{share}"
        return "\n".join([table(columns, rows), asked["prompt"], "", told])

    following = f"burnish graph predict {retriever} --out predictions.csv"
    return Outcome(result=asked, text=text, next_command=following)


@commands.command()
def predict(
    retriever: RetrieverArgument,
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    new: Annotated[
        Path | None, typer.Option(help="Folder with nodes.csv and edges.csv of new nodes.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Predict only the first nodes.")] = None,
) -> Outcome:
    """Predict all nodes without a label, and new ones, without training again."""
    from burnish.graph.train_job import predict_nodes

    result = predict_nodes(retriever, out, new=new, limit=limit)

    def text() -> str:
        return table(["what", "value"], [[name, value] for name, value in result.items()])

    return Outcome(result=result, text=text)


@commands.command()
def bench(
    graph: GraphArgument,
    model: ServedModel = None,
    feedback_tokens: FeedbackTokens = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    out: OutFolder = None,
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Measure every method of choosing examples on GRAPH, and what each part adds.

    More: --set seeds=[0,1,2], base.problem.task=links|generate, base.problem.queries=500,
    base.prompt.examples=4, feedback_queries=1500, oracle_queries=0, arms=[bm25,gnn,ours].
    """
    from burnish.graph.bench_job import bench_graph
    from burnish.graph.settings import BenchSettings

    flags = {
        "base.graph": str(graph), "base.model": model, "base.feedback.tokens": feedback_tokens,
        "base.device": device, "base.precision": precision,
    }  # fmt: skip
    settings = settings_from(BenchSettings, config=config, sets=set, flags=flags)
    result = bench_graph(settings, **job_options(runs, out))
    following = f"burnish report show {result['run']}"
    return Outcome(result=result, next_command=following)


def _first_node(result: dict[str, Any]) -> str:
    """The node that the run's page shows."""
    titles = [block["title"] for block in result["page"]["blocks"]]
    return next(t for t in titles if t.startswith("Examples for ")).removeprefix("Examples for ")
