"""WordNet's noun file, in a planted excerpt."""

import pytest

from burnish.base.errors import InputError, MissingFileError
from burnish.graph.sources import load_source, wordnet
from burnish.graph.sources.wordnet import WordNetSource, find_wordnet

LINES = """\
  1 This software is licensed.
00000001 05 n 02 dog 0 a_dog 0 003 @ 00000002 n 0000 %m 00000003 n 0000 + 09 v 0101 | a "pet"
00000002 05 n 01 animal 0 001 ~ 00000001 n 0000 | a living being
00000003 14 n 01 pack 0 001 #m 00000001 n 0000 | a group of dogs
"""


def check_edges(tmp_path):
    (tmp_path / "data.noun").write_text(LINES)
    graph = WordNetSource(folder=str(tmp_path)).load()
    assert graph.ids == ("00000001", "00000003") and len(graph.edges) == 1
    assert graph.labels == ("animal", "group")
    assert graph.texts[0] == 'dog, a dog: a "pet"'


def test_relations_but_the_hierarchy(tmp_path):
    check_edges(tmp_path)
    assert len(load_source(f"wordnet:folder={tmp_path}")) == 2


def test_planted_hypernyms(tmp_path, monkeypatch):
    monkeypatch.setattr(wordnet, "HIERARCHY", {"~"})
    with pytest.raises(AssertionError):
        check_edges(tmp_path)


def test_files_that_are_not_wordnet(tmp_path, monkeypatch):
    (tmp_path / "data.noun").write_text("0001 dog\n")
    with pytest.raises(InputError, match=r"data\.noun:1 must be a line"):
        WordNetSource(folder=str(tmp_path)).load()
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path))
    assert find_wordnet() == tmp_path


def test_no_client_to_fetch_it(tmp_path, monkeypatch):
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    monkeypatch.setattr(wordnet.Path, "is_file", lambda path: False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingFileError, match="is not on this machine"):
        find_wordnet()
