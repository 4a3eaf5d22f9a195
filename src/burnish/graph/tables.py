"""Node and edge tables: CSV, JSONL and Parquet in, CSV out, every cell a string."""

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from burnish.base.errors import InputError, MissingFileError, SettingError
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
SUMMARY, FEATURES = "graph.json", "features.npy"


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


def check_out(out: Path, source: str) -> None:
    """Raise SettingError for a folder that is none, or that holds the tables which are read."""
    if out == Path() or (out.exists() and not out.is_dir()):
        remedy = "Name a folder for the graph"
        raise SettingError("out", str(out), "must be a folder of its own", remedy=remedy)
    if out.is_dir() and Path(source).is_dir() and out.samefile(source):
        rule, remedy = "must differ from the folder that is read", "Its tables would be replaced"
        raise SettingError("out", str(out), rule, remedy=remedy)


def write_graph(graph: TextGraph, folder: Path, summary: Mapping[str, Any]) -> None:
    """Write `nodes.csv`, `edges.csv`, `graph.json`, and `features.npy` where there are any.

    All are written before the first gets its name: a folder never holds halves of two graphs.
    Raises StorageError.
    """
    rows = zip(graph.ids, graph.texts, graph.labels, graph.splits, strict=True)
    ends = ((graph.ids[a], graph.ids[b]) for a, b in graph.edges.tolist())
    with contextlib.ExitStack() as files:
        opened = {
            name: files.enter_context(atomic_write(folder / name, "wb"))
            for name in ("edges.csv", "nodes.csv")
        }
        _write_rows(opened["nodes.csv"], ("id", "text", "label", "split"), rows)
        _write_rows(opened["edges.csv"], ("source", "target"), ends)
        if graph.features is None:
            (folder / FEATURES).unlink(missing_ok=True)  # of an earlier graph
        else:
            import numpy as np

            np.save(files.enter_context(atomic_write(folder / FEATURES, "wb")), graph.features)
    write_json(folder / SUMMARY, summary)


def open_graph(
    folder: Path | str, *, dangling: Dangling = "refuse", header: bool = True
) -> TextGraph:
    """A folder with `nodes` and `edges`, and `features.npy` where it is there.

    Raises as `read_graph`, and InputError for a matrix that is damaged or has infinite cells.
    Source: ours. Oracle: tests/graph/test_tables.py::test_features_beside_the_nodes
    """
    path = Path(folder) / FEATURES
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
        _write_rows(binary, columns, rows)


def _write_rows(binary: IO[bytes], columns: Sequence[str], rows: Any) -> None:
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
                if any("\0" in cell for cell in cells):
                    rule, remedy = "must be CSV in UTF-8", "Convert it, for example with iconv"
                    raise InputError(f"{path}:{line}", "a zero byte", rule, remedy=remedy)
                if cells:
                    yield line, cells
                line = reader.line_num + 1
        except UnicodeDecodeError as error:
            got, rule = error.object[error.start : error.start + 8], "must be CSV in UTF-8"
            remedy = "Convert it, for example with iconv"
            raise InputError(f"{path}:{line}", got, rule, remedy=remedy) from None
        except csv.Error as error:
            rule, remedy = "must be CSV in UTF-8", "Close the quotes, and double those inside"
            raise InputError(f"{path}:{line}", str(error), rule, remedy=remedy) from None
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
    most = 2**31  # further columns of a table without a header have no names, and are not read
    if header or next(read_csv(path), (1, []))[1][:2] == ["id", "text"]:
        first = next(rows, None)
        if first is None:
            raise InputError(str(path), "no line", "must have a header", remedy="Write one")
        cells = [cell.strip().casefold() for cell in first[1]]
        _check_columns(path, cells)
        columns, most = _places(f"{path.name} (line 1)", cells, names, needed), len(cells)
    width = 1 + max(columns[name] for name in needed)
    for line, cells in rows:
        if len(cells) < width:
            rule = f"must have at least {width} cells"
            raise InputError(f"{path.name}:{line}", cells, rule, remedy="Correct the line")
        if len(cells) > most:
            rule, remedy = f"must have at most {most} cells", "Put quotes around commas in a text"
            raise InputError(f"{path.name}:{line}", cells, rule, remedy=remedy)
        values = {n: cells[at] for n, at in columns.items() if at < len(cells)}
        yield {**values, "where": f"line {line}"}


def _check_columns(path: Path, cells: Sequence[str]) -> None:
    """Raise InputError for a name that stands twice, and for cells that no comma separates."""
    twice = next((cell for cell in cells if cell and cells.count(cell) > 1), None)
    if twice is not None:
        rule, remedy = f"must name the column {twice} once", "Rename or remove the other one"
        raise InputError(f"{path.name} (line 1)", list(cells), rule, remedy=remedy)
    mark = next((mark for mark in ";\t|" if len(cells) == 1 and mark in cells[0]), None)
    if mark is not None:
        rule, remedy = "must separate cells by commas", f"Replace {mark!r} by ','"
        raise InputError(f"{path.name} (line 1)", cells[0], rule, remedy=remedy)


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
