"""Findings of a planted graph."""

import pytest

from burnish.graph import checks
from burnish.graph.checks import holds_word, summarise, unanswerable
from burnish.graph.tag import make_graph

ROWS = [
    ("a", "This paper is about cs.LG and", "cs.LG", "train"),
    ("b", "Blue whale", "animal", "train"),
    ("c", "blue  Whale", "animal", "test"),
    ("d", "other", "cs.CV", "test"),  # no training node has it
    ("e", "cs.LGX is no leak", "cs.LG", "train"),
    ("f", "", "", ""),
]


def planted():
    rows = [dict(zip(("id", "text", "label", "split"), row, strict=True)) for row in ROWS]
    return make_graph(rows, [("a", "e", ""), ("a", "b", ""), ("a", "f", "")])


def check_findings():
    found = summarise(planted())
    assert found["findings"] == {
        "label_leaks": 1, "isolated_nodes": 2, "isolated_queries": 2,
        "same_text_pairs_across_splits": 1, "unanswerable_queries": 1, "empty_texts": 1,
    }  # fmt: skip
    assert (found["nodes"], found["edges"], found["classes"]) == (6, 3, 3)
    assert found["homophily"] == 0.5 and len(found["notes"]) == 5


def test_findings_of_a_planted_graph():
    check_findings()


def test_planted_leak_inside_a_word(monkeypatch):
    monkeypatch.setattr(checks, "holds_word", lambda text, word: word in text)
    with pytest.raises(AssertionError):
        check_findings()


def test_words():
    assert holds_word("About Baby Products.", "baby") and not holds_word("babysitter", "baby")


def test_no_split_no_verdict_on_answers():
    assert unanswerable(make_graph([{"id": "a", "text": "x", "label": "u"}], [])) == []
