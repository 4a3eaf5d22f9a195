"""Claim: examples that a graph picks beat BM25's on WordNet by at least 8 points.

WordNet nouns without the hypernym hierarchy, 2% labelled, 500 queries, K = 4, SmolLM2-135M, all
arms, with 1,500 queries for the two arms of the feedback's claim. One cell a seed; what the model
said is kept in the graph's folder, so a killed run resumes, and minutes are told only for one that
found nothing there. `--task links` and `--task generate` measure the other tasks; `--graph FOLDER`
takes another graph, such as one of `graph ingest debian`.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from recording import save

from burnish.base.files import cache_folder
from burnish.graph.bench_job import bench_graph
from burnish.graph.checks import summarise
from burnish.graph.settings import (
    ARMS,
    BenchSettings,
    FeedbackSettings,
    GraphSettings,
    ProblemSettings,
)
from burnish.graph.sources import load_source
from burnish.graph.tables import write_graph


def graph_folder(source: str) -> Path:
    """Where the source's graph lies, made once."""
    folder = cache_folder() / "graphs" / source
    if not (folder / "graph.json").is_file():
        graph = load_source(source)
        write_graph(graph, folder, summarise(graph))
    return folder


def settings_of(options: argparse.Namespace, folder: Path) -> BenchSettings:
    """The protocol of the issue, but for what the options say."""
    links = options.task != "classify"
    base = GraphSettings(
        graph=str(folder),
        model="smollm2-135m",
        problem=ProblemSettings(
            task=options.task, labelled_frac=options.labelled, queries=options.queries
        ),
        feedback=FeedbackSettings(tokens=options.feedback_tokens),
    )
    return BenchSettings(
        base=base,
        arms=tuple(options.arms.split(",")),
        seeds=tuple(int(seed) for seed in options.seeds.split(",")),
        feedback_queries=0 if links else options.claimed,
    )


def main() -> None:
    """Run the protocol, and write what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", default="wordnet", help="a source, or a folder")
    parser.add_argument("--task", default="classify")
    parser.add_argument("--labelled", type=float, default=0.02)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--claimed", type=int, default=1500)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--feedback-tokens", type=int, default=250_000)
    parser.add_argument("--name", default="graph_wordnet")
    options = parser.parse_args()
    folder = Path(options.graph)
    folder = folder if folder.is_dir() else graph_folder(options.graph)
    settings = settings_of(options, folder)
    kept_before = any((folder / "readings").glob("*"))
    began = time.perf_counter()
    result: dict[str, Any] = bench_graph(settings, runs=cache_folder() / "graph-runs")
    minutes = None if kept_before else (time.perf_counter() - began) / 60
    kept = ("accuracy", "attribution", "conclusion", "measure", "seeds", "cost", "task")
    told = {name: result[name] for name in kept}
    told |= {"options": vars(options) | {"graph": folder.name}, "minutes": minutes}
    save(options.name, told)
    for name, row in result["accuracy"].items():
        print(f"{name:18} {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}] n={row['n']}")
    print(result["conclusion"])


if __name__ == "__main__":
    main()
