"""Shares by brute force, and which references an item has."""

import numpy as np
import pytest
from fixtures.curating import BRACKETS, DEEPEST_JS, GCD, ODD, PUZZLE

from burnish.curate import scan
from burnish.curate.scan import Hits, Shares, by_item, collect, combined
from burnish.curate.tokens import characters
from burnish.curate.views import View, static_views, whole_solution
from burnish.data.benchmarks import BenchmarkItem, load_benchmark

ITEMS = [BRACKETS, GCD, ODD]
TEXTS = [DEEPEST_JS, PUZZLE, "", BRACKETS.prompt * 3, ODD.prompt.upper() + GCD.solution, "x"]


def sets_of(view, text):
    tokens, n = view.tokenize(text).tolist(), view.length
    grams = {tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)}
    return {gram for gram in grams if 0 not in gram}


def check_shares():
    views = static_views(ITEMS)
    hits, num_rows = collect(views, iter([TEXTS[:4], TEXTS[4:]]))
    assert num_rows == len(TEXTS)
    prompts = {view.name: [i.prompt for i in ITEMS] for view in views}
    for view, found in zip(views, hits, strict=True):
        shares = Shares(view, found, num_rows)
        plain = np.concatenate([shares.plain(b) for b in range(2)])
        weighted = np.concatenate([shares.weighted(b) for b in range(2)])
        rows = [sets_of(view, text) for text in TEXTS]
        for column, (item, kind) in enumerate(zip(view.owners, view.kinds, strict=True)):
            if kind not in ("prompt", "python"):
                continue
            text = prompts[view.name][item] if kind == "prompt" else ITEMS[item].solution
            own = sets_of(view, text)
            worth = {g: np.log((len(TEXTS) + 21) / (sum(g in r for r in rows) + 1)) for g in own}
            for row, some in enumerate(rows):
                assert plain[row, column] == pytest.approx(len(own & some) / len(own))
                share = sum(worth[g] for g in own & some) / sum(worth.values())
                assert weighted[row, column] == pytest.approx(share, rel=1e-5, abs=1e-6)


def test_shares_equal_brute_force():
    check_shares()


def test_planted_shares_of_the_row(monkeypatch):
    def of_row(self, block):
        found = (self.hits.blocks[block] @ self._plain).toarray()
        return found / np.maximum(np.asarray(self.hits.blocks[block].sum(axis=1)), 1)

    monkeypatch.setattr(scan.Shares, "plain", of_row)
    with pytest.raises(AssertionError):
        check_shares()


def test_references():
    names = {view.name: view.kinds for view in static_views([BRACKETS])}
    assert names["code"] == ("python", "javascript", "c")
    assert names["characters"] == ("prompt",)
    humaneval = load_benchmark("humaneval")[0]
    assert whole_solution(humaneval) == humaneval.prompt + humaneval.solution
    assert whole_solution(BRACKETS) == BRACKETS.solution
    assert whole_solution(BenchmarkItem(id=1, prompt="What is 3 + 4?", solution="7")) == ""


def test_a_short_reference_says_nothing():
    view = View.of("characters", 5, characters, [(0, "prompt", "return"), (1, "prompt", "x" * 99)])
    assert len(view.owners) == 0


def test_values_by_item():
    owners = np.array([0, 0, 2])
    found = by_item(np.array([[0.1, 0.5, 0.3]]), owners, 4)
    assert found.tolist() == [[0.5, -np.inf, 0.3, -np.inf]]
    both = combined([found, np.array([[1.0, 2.0, -np.inf, -np.inf]])])
    assert both.tolist() == [[1.5, 4.0, 0.6, -np.inf]]


def test_hits_are_counted_over_blocks():
    hits = Hits()
    hits.add(np.array([0, 1]), np.array([2, 2]), 2, 3)
    hits.add(np.array([0]), np.array([0]), 1, 3)
    assert hits.counts.tolist() == [1, 0, 2]
