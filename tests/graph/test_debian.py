"""A planted package list."""

import pytest

from burnish.base.errors import MissingFileError
from burnish.graph.sources import debian, load_source
from burnish.graph.sources.debian import names

LISTS = """\
Package: foo
Source: foosrc (1.0)
Section: utils
Depends: libfoo (>= 1.0) | bar, mta:any
Description: a tool
 more of it

Package: libfoo
Source: foosrc
Section: libs
Description: a library

Package: bar
Section: games
Provides: mta
Recommends: foo
Description: a game

Package: doc
Section: doc
Description: pages
"""


def check_graph(tmp_path):
    file = tmp_path / "Packages"
    file.write_text(LISTS)
    graph = load_source(f"debian:file={file}")
    assert graph.ids == ("bar", "doc", "foosrc")
    assert graph.labels == ("games", "", "utils")
    assert graph.edges.tolist() == [[0, 2]]  # foo to bar, by name and as mta; back again
    assert graph.texts[2] == "foosrc: a tool; a library"


def test_binaries_become_sources(tmp_path):
    check_graph(tmp_path)
    assert names("a (>= 1) | b, c:any, d [amd64]") == ["a", "b", "c", "d"]


def test_planted_binaries(tmp_path, monkeypatch):
    monkeypatch.setattr(debian, "source_name", lambda package: package["Package"])
    with pytest.raises(AssertionError):
        check_graph(tmp_path)


def test_a_list_that_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(MissingFileError):
        load_source(f"debian:file={tmp_path / 'no'}")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingFileError, match="were not found"):
        load_source("debian")
