"""Node and edge tables: CSV, JSONL and Parquet in, CSV out, every cell a string."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError, MissingFileError
from burnish.base.files import atomic_write, write_json
from burnish.base.naming import suggest
from burnish.base.records import read_records
from burnish.graph.tag import Dangling, TextGraph, make_graph

SUFFIXES = (".csv", ".jsonl", ".jsonl.gz", ".json", ".parquet")
NODES = {
    "id": ("id", "node", "node_id", "name", "key"),
    "text": ("text", "abstract", "title", "description", "content"),
    "label": ("label", "class", "category", "y"),
    "split": ("split", "set", "fold"),
}
EDGES = {
    "source": ("source", "src", "from", "u", "head", "citing"),
    "target": ("target", "dst", "dest", "to", "v", "tail", "cited"),
}
SUMMARY = "graph.json"


def read_graph(
    folder: Path | str,
    *,
    dangling: Dangling = "refuse",
    header: bool = True,
    features: Any = None,
) -> TextGraph:
    """Read `nodes` and `edges` (.csv, .jsonl, .json or .parquet) of a folder.

    Without `header` the columns of CSV are id, text, label, split, and source, target; a table of
    nodes that begins with `id,text` has a header all the same.
    Raises MissingFileError, and InputError naming file and line.
    Source: ours. Oracle: tests/graph/test_tables.py::test_written_graphs_read_back
    """
    folder = Path(folder)
    if not folder.is_dir():
        remedy = "Name a folder with nodes.csv and edges.csv, or a graph that ingest made"
        raise MissingFileError("graph", str(folder), "must be a folder", remedy=remedy)
    nodes = list(_rows(_table(folder, "nodes"), NODES, ("id", "text"), header=header))
    path = _table(folder, "edges")
    if header and path.suffix == ".csv":
        _check_header(path, {str(row["id"]) for row in nodes})
    edges = _rows(path, EDGES, ("source", "target"), header=header)
    ends = [(str(row["source"]), str(row["target"]), str(row["where"])) for row in edges]
    return make_graph(nodes, ends, dangling=dangling, features=features)


def write_graph(graph: TextGraph, folder: Path, summary: Mapping[str, Any]) -> None:
    """Write `nodes.csv`, `edges.csv`, `graph.json`, and `features.npy` where there are any.

    Raises StorageError.
    """
    rows = zip(graph.ids, graph.texts, graph.labels, graph.splits, strict=True)
    write_csv(folder / "nodes.csv", ("id", "text", "label", "split"), rows)
    ends = ((graph.ids[a], graph.ids[b]) for a, b in graph.edges.tolist())
    write_csv(folder / "edges.csv", ("source", "target"), ends)
    if graph.features is not None:
        import numpy as np

        with atomic_write(folder / "features.npy", "wb") as file:
            np.save(file, graph.features)
    write_json(folder / SUMMARY, summary)


def open_graph(
    folder: Path | str, *, dangling: Dangling = "refuse", header: bool = True
) -> TextGraph:
    """A folder with `nodes` and `edges`, and `features.npy` where it is there.

    Raises as `read_graph`, and InputError for a matrix that is damaged or has infinite cells.
    Source: ours. Oracle: tests/graph/test_tables.py::test_features_beside_the_nodes
    """
    path = Path(folder) / "features.npy"
    features = _features(path) if path.is_file() else None
    return read_graph(folder, dangling=dangling, header=header, features=features)


def _features(path: Path) -> Any:
    import numpy as np

    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        rule, remedy = "must be a matrix that numpy.save wrote", f"NumPy says: {error}"
        raise InputError(str(path), path.stat().st_size, rule, remedy=remedy) from None
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind not in "biuf":
        got = f"{getattr(found, 'dtype', type(found).__name__)}{getattr(found, 'shape', '')}"
        rule, remedy = "must be a matrix of numbers", "Write one row for each node"
        raise InputError(str(path), got, rule, remedy=remedy)
    wrong = np.argwhere(~np.isfinite(found))
    if len(wrong):
        row, column = wrong[0].tolist()
        rule = f"must be finite; {len(wrong)} cells are not, the first in row {row + 1}"
        raise InputError(str(path), float(found[row, column]), rule, remedy="Fill in these cells")
    return found


def write_csv(path: Path, columns: Sequence[str], rows: Any) -> None:
    """Write a table whose cells come back as they are. Raises StorageError."""
    with atomic_write(path, "wb") as binary:
        import io

        file = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
        writer.writerow(columns)
        writer.writerows(rows)
        file.flush()
        file.detach()


def read_csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row that is not blank. Raises InputError."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader, line = csv.reader(file, strict=True), 1
        limit = csv.field_size_limit(2**31 - 1)
        try:
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + 1
        except (csv.Error, UnicodeDecodeError) as error:
            where, remedy = f"{path}:{line}", f"The parser says: {error}"
            raise InputError(where, str(error), "must be CSV in UTF-8", remedy=remedy) from None
        finally:
            csv.field_size_limit(limit)


def _table(folder: Path, name: str) -> Path:
    found = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    found = [path for path in found if path.is_file()]
    if len(found) != 1:
        rule = "must be there" if not found else "must be one file"
        got = str(folder / f"{name}.csv") if not found else [path.name for path in found]
        remedy = f"Write {name}.csv with the columns {', '.join(_columns(name))}"
        raise MissingFileError(f"{name} of the graph", got, rule, remedy=remedy)
    return found[0]


def _columns(name: str) -> tuple[str, ...]:
    return tuple(NODES if name == "nodes" else EDGES)


def _rows(
    path: Path,
    names: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    *,
    header: bool,
) -> Iterator[dict[str, Any]]:
    if path.suffix != ".csv":
        yield from _records(path, names, needed)
        return
    rows = read_csv(path)
    columns: dict[str, int] = {name: place for place, name in enumerate(names)}
    if header or next(read_csv(path), (1, []))[1][:2] == ["id", "text"]:
        first = next(rows, None)
        if first is None:
            raise InputError(str(path), "no line", "must have a header", remedy="Write one")
        cells = [cell.strip().casefold() for cell in first[1]]
        columns = _places(f"{path.name} (line 1)", cells, names, needed)
    width = 1 + max(columns[name] for name in needed)
    for line, cells in rows:
        if len(cells) < width:
            rule = f"must have at least {width} cells"
            raise InputError(f"{path.name}:{line}", cells, rule, remedy="Correct the line")
        values = {n: cells[at] for n, at in columns.items() if at < len(cells)}
        yield {**values, "where": f"line {line}"}


def _check_header(path: Path, ids: set[str]) -> None:
    """Raise InputError for a first edge that would be taken for a header, such as `u,v`."""
    _, cells = next(read_csv(path), (1, list[str]()))
    known = {alias for aliases in EDGES.values() for alias in aliases} & ids
    if len(cells) > 1 and {cells[0], cells[1]} <= known and cells[:2] != ["source", "target"]:
        rule = "must have a header; these are nodes"
        remedy = "Name the columns source and target, or use --no-header"
        raise InputError(f"{path.name} (line 1)", cells, rule, remedy=remedy)


def _records(
    path: Path, names: Mapping[str, Sequence[str]], needed: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(read_records(path), start=1):
        keys = {str(key).casefold(): key for key in row}
        places = _places(f"{path.name}:{number}", list(keys), names, needed)
        own = list(keys.values())
        yield {**{n: row[own[at]] for n, at in places.items()}, "where": f"row {number}"}


def _places(
    where: str, cells: Sequence[str], names: Mapping[str, Sequence[str]], needed: Sequence[str]
) -> dict[str, int]:
    """The column of every name; an alias counts if the name is missing."""
    found: dict[str, int] = {}
    for name, aliases in names.items():
        place = next((cells.index(alias) for alias in aliases if alias in cells), None)
        if place is not None:
            found[name] = place
    for name in needed:
        if name not in found:
            remedy = f"Name a column {name}, or use --no-header. {suggest(name, cells)}"
            raise InputError(where, list(cells), f"must have a column {name}", remedy=remedy)
    return found
