"""Blocks, resuming and ranking."""

import numpy as np
import pytest
from fixtures.curating import BRACKETS, DEEPEST, GCD, ODD, ordinary, row

from burnish.base.records import write_records
from burnish.curate import passes
from burnish.curate.passes import first_pass, score_rows
from burnish.curate.scan import Shares
from burnish.curate.tli import TestLeakage
from burnish.curate.views import static_views
from burnish.distrib import launchers

ITEMS = [GCD, ODD, BRACKETS]


@pytest.fixture
def pool(tmp_path):
    rows = ordinary(260)
    rows.insert(100, row("leak", "Measure how deeply brackets nest in a string.", DEEPEST))
    write_records(tmp_path / "pool.jsonl", rows)
    return tmp_path / "pool.jsonl"


def scan(pool, folder=None, launcher="serial"):
    views = static_views(ITEMS)
    tli = TestLeakage([item.prompt for item in ITEMS])
    first = first_pass(pool, views, tli, launcher=launchers.parse(launcher), folder=folder)
    shares = [Shares(v, h, first.num_rows) for v, h in zip(views, first.hits, strict=True)]
    return first, score_rows(shares, len(ITEMS), first.num_rows, 0.01), tli


def test_blocks_change_nothing(pool, monkeypatch):
    first, scored, tli = scan(pool)
    monkeypatch.setattr(passes, "BLOCK_ROWS", 37)
    monkeypatch.setattr(passes, "WINDOW", 2)
    again, other, same = scan(pool)
    assert again.ids == first.ids and same.value == tli.value
    assert np.allclose(other.scores, scored.scores) and (other.items == scored.items).all()
    assert other.threshold == pytest.approx(scored.threshold)


def test_interrupted_scans_resume(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(passes, "BLOCK_ROWS", 50)
    monkeypatch.setattr(passes, "WINDOW", 1)
    _, straight, _ = scan(pool)
    original, calls = passes.match_block, []

    def failing(views, texts):
        calls.append(len(texts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(views, texts)

    folder = tmp_path / "stage"
    folder.mkdir()
    monkeypatch.setattr(passes, "match_block", failing)
    with pytest.raises(KeyboardInterrupt):
        scan(pool, folder)
    assert len(list(folder.glob("hits-*.npz"))) == 2
    _, resumed, _ = scan(pool, folder)
    assert len(calls) == 7  # six blocks, one of them twice
    assert (resumed.scores == straight.scores).all()


def check_rank(pool):
    first, scored, _ = scan(pool)
    best = scored.scores[:, 0]
    leak = first.ids.index("leak")
    assert best.argmax() == leak and scored.items[leak, 0] == ITEMS.index(BRACKETS)
    assert best[leak] > scored.threshold and scored.q[leak] < 0.01


def test_planted_leaks_rank_first(pool):
    check_rank(pool)


def test_planted_references_of_other_items(pool, monkeypatch):
    original = passes._excess
    monkeypatch.setattr(passes, "_excess", lambda *given: original(*given)[:, ::-1])
    with pytest.raises(AssertionError):
        check_rank(pool)


def test_small_pools_are_not_calibrated(tmp_path):
    write_records(tmp_path / "pool.jsonl", ordinary(20))
    _, scored, _ = scan(tmp_path / "pool.jsonl")
    assert (scored.threshold, scored.q) == (None, None)
