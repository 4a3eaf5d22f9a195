"""`graph`: examples that a graph network picks for prompts, against those that words pick."""

from dataclasses import dataclass, replace
from typing import Self

from burnish.base.errors import IncompleteError
from burnish.base.meter import Meter
from burnish.base.stages import Stage
from burnish.graph.bench_job import bench_graph
from burnish.graph.settings import BenchSettings
from burnish.graph.tables import write_csv
from burnish.jobs.step import Given
from burnish.recipes.tour import stops
from burnish.recipes.tour.material import graph_rows
from burnish.recipes.tour.stop import MODEL, RUN, Found, Stop, where_of
from burnish.recipes.tour_settings import TourSettings

CONTRAST = "over_bm25"


@stops.register("graph")
@dataclass(frozen=True, kw_only=True)
class GraphStop(Stop):
    """Accuracy with examples by the graph less accuracy with examples by BM25.

    Source: AskGNN, arXiv 2410.07074.
    Oracle: tests/recipes/test_touring.py::test_each_stop_tells_the_number_of_its_run
    """

    graph: BenchSettings
    name: str = "graph"

    @classmethod
    def configured(cls, settings: TourSettings) -> Self:
        """The stop of a tour."""
        where, seed = where_of(settings), settings.seed
        base = replace(settings.graph.base, seed=seed, **where.model_settings)
        return cls(where=where, graph=replace(settings.graph, base=base, seeds=(seed,)))

    def measure(self, stage: Stage, given: Given, meter: Meter) -> Found:
        """Draw a graph, train the retriever, ask. Raises IncompleteError without both arms."""
        given[MODEL].release()
        nodes, edges = graph_rows(self.where.material.nodes, seed=self.where.seed)
        folder = stage.path / "graph"
        folder.mkdir(exist_ok=True)
        write_csv(folder / "nodes.csv", ("id", "text", "label"), nodes)
        write_csv(folder / "edges.csv", ("source", "target"), edges)
        base = replace(self.graph.base, graph=str(folder))
        settings = replace(self.graph, base=base)
        result = bench_graph(settings, runs=stage.path, folder=stage.path / RUN)
        if CONTRAST not in result["attribution"]:
            rule, remedy = "must hold ours and bm25", "Leave graph.arms out"
            raise IncompleteError("arms", settings.arms, rule, remedy=remedy)
        meaning = "accuracy with examples by the graph less examples by BM25"
        return Found.of(result["attribution"][CONTRAST], meaning, result)
