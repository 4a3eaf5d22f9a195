"""Where graphs come from, by name: `wordnet`, `debian`, or a folder."""

from typing import Protocol

from burnish.base.errors import MissingFileError, UnknownNameError
from burnish.base.naming import suggest
from burnish.base.registry import Registry
from burnish.graph.tag import Dangling, TextGraph


class GraphSource(Protocol):
    """A source of a graph."""

    def load(self) -> TextGraph:
        """The graph. Raises what its files need."""
        ...


graph_sources: Registry[GraphSource] = Registry("graph source", "burnish.graph.sources")


def load_source(spec: str, *, dangling: Dangling = "refuse", header: bool = True) -> TextGraph:
    """The graph of a source's spec (`wordnet:least_degree=2`), or of a folder with tables.

    Raises MissingFileError for what is neither; InputError.
    """
    from pathlib import Path

    from burnish.graph.tables import open_graph

    name = spec.partition(":")[0]
    if name in graph_sources.names() and not Path(spec).is_dir():
        return graph_sources.parse(spec).load()
    if ":" in spec and not Path(spec).exists():
        remedy = f"Known: {', '.join(graph_sources.names())}, or a folder"
        raise UnknownNameError("graph source", spec, "is not registered", remedy=remedy)
    if not Path(spec).is_dir():
        rule = "must be a folder, or the name of a source"
        remedy = suggest(spec, graph_sources.names())
        raise MissingFileError("graph", spec, rule, remedy=remedy)
    return open_graph(spec, dangling=dangling, header=header)
