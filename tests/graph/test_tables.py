"""Tables in and out: every cell comes back as it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from burnish.base.errors import InputError, MissingFileError
from burnish.graph import tables
from burnish.graph.tables import open_graph, read_graph, write_graph
from burnish.graph.tag import TextGraph, make_graph

Write = Callable[..., Path]
ODD = 'a\\b "c"\r\n d,e'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def files(nodes: str, edges: str = "source,target\n") -> Path:
        for name, text in (("nodes.csv", nodes), ("edges.csv", edges)):
            (tmp_path / name).write_bytes(text.encode())
        return tmp_path

    return files


def check_round_trip(folder: Path) -> None:
    rows = [
        {"id": "007", "text": ODD, "label": "Baby Products", "split": "train"},
        {"id": "7", "text": 'He said "hi", then\nleft.', "label": "null", "split": "test"},
        {"id": "NA", "text": "", "label": "", "split": ""},
    ]
    graph = make_graph(rows, [("007", "7", ""), ("NA", "7", "")])
    write_graph(graph, folder, {"nodes": 3})
    again = read_graph(folder)
    assert again.key == graph.key, again.texts


def test_written_graphs_read_back(tmp_path: Path) -> None:
    check_round_trip(tmp_path)


def test_planted_lost_carriage_return(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tables._write_rows

    def lossy(binary: Any, columns: Any, rows: Any) -> None:
        real(binary, columns, rows)
        path = Path(binary.name)
        path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))

    monkeypatch.setattr(tables, "_write_rows", lossy)
    with pytest.raises(AssertionError):
        check_round_trip(tmp_path)


def test_ids_and_labels_that_look_missing(write: Write) -> None:
    graph = read_graph(write("id,text,label\nNA,sodium,None\nnan,bread,null\n007,x,\n7,y,\n"))
    assert graph.ids == ("007", "7", "NA", "nan") and graph.labels == ("", "", "None", "null")


def test_quotes_commas_and_newlines(write: Write) -> None:
    graph = read_graph(write('id,text\n1,"He said ""hi"", then\nleft."\n2,b\n'))
    assert len(graph) == 2 and graph.texts[0] == 'He said "hi", then\nleft.'
    assert len(graph.texts[0]) == 24


def test_headers(write: Write) -> None:
    nodes = "id,text\na,x\nb,y\nc,z\n"
    alike = read_graph(write(nodes, "src,dst\na,b\nb,c\n"))
    assert len(alike.edges) == 2
    with pytest.raises(
        InputError, match=r"edges.csv \(line 1\) must have a column source.*no-head"
    ):
        read_graph(write(nodes, "a,b\nb,c\n"))
    bare = read_graph(write("a,x\nb,y\nc,z\n", "a,b\nb,c\n"), header=False)
    assert len(bare) == 3 and len(bare.edges) == 2


def test_lines_of_faults(write: Write) -> None:
    with pytest.raises(InputError, match=r"1 edge names unknown node baz \(line 3\)"):
        read_graph(write("id,text\nfoo,a\nbar,b\n", "source,target\nfoo,bar\nfoo,baz\n"))
    with pytest.raises(InputError, match=r"nodes\.csv:2 must have at least 2 cells"):
        read_graph(write("id,text\nfoo\n"))
    with pytest.raises(InputError, match="must be CSV in UTF-8"):
        read_graph(write('id,text\nfoo,"open\n'))
    with pytest.raises(InputError, match=r"given twice \(line 2 and line 5\)"):
        read_graph(write('id,text\na,"1\n2"\nb,x\na,y\n'))


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ("id;text;label\na;x;y\n", r"must separate cells by commas.*Replace ';'"),
        ("id\ttext\na\tx\n", r"must separate cells by commas"),
        ("id,text,id\na,x,b\n", r"must name the column id once"),
        ("id,text,label\na,hello, world,y\n", r"nodes.csv:2 must have at most 3 cells.*quotes"),
        ("id,text\na,x\0y\n", r"nodes.csv:2 must be CSV in UTF-8, got 'a zero byte'"),
        ("id,text\na,x\ud83d\n", r"nodes.csv:1 must be CSV in UTF-8"),
    ],
)
def test_tables_that_would_be_read_wrong(nodes: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_bytes(nodes.encode("utf-8", "surrogatepass"))
    (tmp_path / "edges.csv").write_text("source,target\n")
    with pytest.raises(InputError, match=says):
        read_graph(tmp_path)


def test_halves_of_two_graphs_are_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_graph([{"id": n, "text": n} for n in "ab"], [("a", "b", "")], features=np.eye(2))
    write_graph(old, tmp_path, {})
    new = make_graph([{"id": n, "text": n} for n in "abc"], [("a", "c", "")])
    exact = tables._write_rows

    def dying(binary: Any, columns: Any, rows: Any) -> None:
        if columns[0] == "source":
            raise KeyboardInterrupt
        exact(binary, columns, rows)

    with monkeypatch.context() as patch:
        patch.setattr(tables, "_write_rows", dying)
        with pytest.raises(KeyboardInterrupt):
            write_graph(new, tmp_path, {})
    assert open_graph(tmp_path).key == old.key and not list(tmp_path.glob(".*"))
    write_graph(new, tmp_path, {})
    assert open_graph(tmp_path).key == new.key  # without the old features


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"nodes of the graph must be there"):
        read_graph(tmp_path)
    with pytest.raises(MissingFileError, match="must be a folder"):
        read_graph(tmp_path / "none")


def test_jsonl_and_parquet(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "x", "label": "u"}, {"id": 7, "text": "y", "label": None}]
    (tmp_path / "nodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.table({"u": ["a"], "v": ["7"]}), tmp_path / "edges.parquet")
    graph = read_graph(tmp_path)
    assert graph.ids == ("7", "a") and graph.labels == ("", "u") and len(graph.edges) == 1


def test_features_beside_the_nodes(tmp_path: Path) -> None:
    rows = [{"id": n, "text": n} for n in "ab"]
    graph = make_graph(rows, [], features=np.eye(2))
    write_graph(graph, tmp_path, {})
    found: TextGraph = open_graph(tmp_path)
    assert found.features is not None and found.features.tolist() == np.eye(2).tolist()


def test_matrices_that_are_none(write: Write) -> None:
    folder = write("id,text\na,x\nb,y\n")
    path = folder / "features.npy"
    wrong = [np.eye(2), np.ones(2), np.array([["a"], ["b"]]), np.full((2, 2), np.nan)]
    wrong[0][1, 0] = np.inf
    says = ["must be finite; 1 cells", "must be a matrix of n", "must be a matrix of n", "4 cells"]
    for rows, words in zip(wrong, says, strict=True):
        np.save(path, rows)
        with pytest.raises(InputError, match=words):
            open_graph(folder)
    np.save(path, np.eye(2))
    whole = path.read_bytes()
    for body in (b"", whole[:-9], b"no matrix at all"):
        path.write_bytes(body)
        with pytest.raises(InputError, match="must be a matrix that"):
            open_graph(folder)
