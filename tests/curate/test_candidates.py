"""Candidates out of pools in blocks: what is kept of rows, and what the second reading adds."""

import numpy as np
import pytest
from fixtures.curating import row

from burnish.base.errors import InputError
from burnish.base.meter import Meter
from burnish.base.records import write_records
from burnish.curate import candidates
from burnish.curate.candidates import candidates_of, given_vectors, read_rows
from burnish.curate.pool import PoolReport
from burnish.curate.settings import PickSettings


class Tokens:
    """A tokenizer of words."""

    def tokenizer(self, texts):
        return {"input_ids": [text.split() for text in texts]}


def read(tmp_path, rows, **given):
    write_records(tmp_path / "pool.jsonl", rows)
    settings = PickSettings(pool=str(tmp_path / "pool.jsonl"), **{"budget": 9, **given})
    found = read_rows(settings.pool, settings, PoolReport())
    folder = tmp_path / "stage"
    folder.mkdir(exist_ok=True)
    return found, candidates_of(found, settings, Tokens(), Meter(), folder)


def rows_with_vectors(num=23):
    rng = np.random.default_rng(1)
    return [{"id": i, "complexity": i / 7, "quality": None if i % 3 else i / num,
             "embedding": rng.normal(size=5).tolist()} for i in range(num)]  # fmt: skip


def check_blocks(tmp_path, monkeypatch):
    rows = rows_with_vectors()
    for size in (1, 4, 23, 100):
        monkeypatch.setattr(candidates, "BLOCK_ROWS", size)
        held, found = read(tmp_path, rows)
        assert held.ids == list(range(23))
        assert found.complexity.tolist() == [row["complexity"] for row in rows]
        assert np.isnan(found.quality).tolist() == [bool(i % 3) for i in range(23)]
        wanted = np.array([row["embedding"] for row in rows])
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
        assert isinstance(found.vectors, np.memmap)
        assert np.allclose(found.vectors, wanted, atol=1e-6)


def test_blocks_change_nothing(tmp_path, monkeypatch):
    check_blocks(tmp_path, monkeypatch)


def test_planted_vectors_of_other_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "_units", lambda vectors: vectors[::-1])
    with pytest.raises(AssertionError):
        check_blocks(tmp_path, monkeypatch)


def test_tokens_are_counted_where_rows_do_not_say(tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "BLOCK_ROWS", 2)
    rows = [row(i, "a b", "c " * i) | {"score": 1.0} for i in range(1, 6)]
    given = {"budget": 0, "tokens": 50, "threshold": 1.0}
    _, found = read(tmp_path, rows, **given)
    assert found.tokens.tolist() == [3, 4, 5, 6, 7] and found.vectors is None
    _, found = read(tmp_path, [one | {"tokens": 9} for one in rows], **given)
    assert found.tokens.tolist() == [9] * 5


def test_bad_vectors():
    found = given_vectors([[1.0, 2.0], None, "x", [1.0], [0.0, 0.0], [True, 1.0]], 2)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, True, True, True, True]


def test_pools_without_scores_or_embeddings(tmp_path):
    with pytest.raises(InputError, match="curate score"):
        read(tmp_path, [row(1, "a", "b"), row(2, "", "")])
    with pytest.raises(InputError, match="must be lists of numbers"):
        read(tmp_path, [row(1, "a", "b") | {"score": 1.0, "embedding": "x"}])


def test_rows_without_texts_bring_embeddings_only_if_one_does(tmp_path):
    write_records(tmp_path / "pool.jsonl", [{"id": 1, "complexity": 1.0}, {"id": 2, "score": 2.0}])
    settings = PickSettings(pool=str(tmp_path / "pool.jsonl"), budget=1)
    found = read_rows(settings.pool, settings, PoolReport())
    assert found.num_own == 2 and not found.brings_vectors
