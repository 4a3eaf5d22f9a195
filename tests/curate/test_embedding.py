"""The embedding view: whitened cosines by hand; leaks whose words are others are found."""

import numpy as np
import pytest
from fixtures.curating import BRACKETS, GCD, ODD, ordinary, row

from burnish.base.errors import SettingError
from burnish.base.records import read_records, write_records
from burnish.base.rng import stream
from burnish.curate import embedding, passes
from burnish.curate.embedding import Cosines, EmbeddingView, embed_pool, whitening
from burnish.curate.leakage_job import find_leakage
from burnish.curate.leaks import find_leaks, scan_pool
from burnish.curate.settings import LeakageSettings
from burnish.curate.views import static_views
from burnish.distrib import launchers
from burnish.jobs.job import Place

ITEMS = [GCD, ODD, BRACKETS]
WIDTH = 127
REPHRASED = row("rephrased", "How far do parentheses go in?", "Nobody knows.")


class Meaning:
    """Vectors by planted meaning: those of brackets are near to one another, others are noise."""

    def __init__(self):
        self.num_texts = 0

    def __call__(self, texts):
        self.num_texts += len(texts)
        return np.stack([self._one(text) for text in texts]).astype(np.float32)

    def _one(self, text):
        about = "bracket" in text or "parenthes" in text or "deepest" in text
        noise = stream(3, text).normal(size=WIDTH)
        return 5 + (np.eye(WIDTH)[2] * 9 + 0.1 * noise if about else noise)


def view_of(vectors):
    kinds = ("prompt",) * len(vectors)
    return EmbeddingView(owners=np.arange(len(vectors)), kinds=kinds, vectors=vectors)


def check_cosines():
    """By the definition: the covariance of the whitened pool is the identity."""
    rng = stream(1, "vectors")
    rows = rng.normal(size=(50, 7)) @ rng.normal(size=(7, 7)) + 3
    references = rng.normal(size=(3, 7)) + 3
    found = Cosines(view_of(references), [rows[:20], rows[20:]])
    values, vectors = np.linalg.eig(np.cov(rows.T, bias=True))
    whiten = (vectors / np.sqrt(values)).T
    left, right = ((x - rows.mean(axis=0)) @ whiten.T for x in (rows, references))
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
            block, at = divmod(i, 20) if i < 20 else (1, i - 20)
            assert found.plain(block)[at, j] == pytest.approx(cosine, abs=1e-5)


def test_cosines_by_hand():
    check_cosines()


def test_planted_cosines_without_the_mean(monkeypatch):
    original = embedding.whitening
    monkeypatch.setattr(embedding, "whitening", lambda blocks: (0.0, original(blocks)[1]))
    with pytest.raises(AssertionError):
        check_cosines()


def test_only_the_largest_directions_are_kept():
    rows = stream(2, "rows").normal(size=(40, 5)) * [9, 1, 7, 1, 1]
    _, mapped = whitening([rows], num_directions=2)
    assert mapped.shape == (5, 2)
    assert set(np.abs(mapped).argmax(axis=0).tolist()) == {0, 2}


def scan(tmp_path, rows, embedder, **given):
    write_records(tmp_path / "pool.jsonl", rows)
    settings = LeakageSettings(pool=str(tmp_path / "pool.jsonl"), run=False)
    done = scan_pool(
        ITEMS, settings, launcher=launchers.parse("serial"), embedder=embedder, **given
    )
    return done, find_leaks(done, settings, None)


def check_rephrased(tmp_path, embedder):
    rows = [*ordinary(260), REPHRASED]
    _, found = scan(tmp_path, rows, embedder)
    flagged = {r["id"]: r for r in found["flagged"]}
    assert flagged["rephrased"]["benchmark_id"] == "brackets"
    ledger = flagged["rephrased"]["embedding"]
    assert ledger["reference"] in ("prompt", "python", "javascript", "c")
    assert ledger["cosine"] > 0.9 > ledger["ordinary"]
    assert flagged["rephrased"]["shares"]["embedding"] == pytest.approx(ledger["cosine"], abs=1e-3)


def test_a_leak_in_other_words_is_found_by_its_meaning(tmp_path):
    check_rephrased(tmp_path, Meaning())


def test_planted_scan_without_the_view(tmp_path):
    with pytest.raises(KeyError):
        check_rephrased(tmp_path, None)


def test_references_are_those_of_the_other_views():
    views = static_views(ITEMS)
    view = EmbeddingView.of(ITEMS, views, Meaning())
    known = {(int(i), kind) for v in views for i, kind in zip(v.owners, v.kinds, strict=True)}
    assert set(zip(view.owners.tolist(), view.kinds, strict=True)) == known
    assert view.owners.tolist() == sorted(view.owners.tolist())  # as `by_item` needs them


def test_interrupted_embeddings_resume(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "BLOCK_ROWS", 40)
    write_records(tmp_path / "pool.jsonl", ordinary(100))
    folder = tmp_path / "stage"
    folder.mkdir()
    first = Meaning()
    straight = embed_pool(tmp_path / "pool.jsonl", first, folder)
    (folder / "vectors-000001.npy").unlink()
    again = Meaning()
    resumed = embed_pool(tmp_path / "pool.jsonl", again, folder)
    assert (first.num_texts, again.num_texts) == (100, 40)
    assert all((a == b).all() for a, b in zip(straight, resumed, strict=True))
    assert [len(block) for block in resumed] == [40, 40, 20]


def test_blocks_are_those_of_the_scan():
    assert embedding.BLOCK_ROWS == passes.BLOCK_ROWS


def test_small_pools_have_no_embedding_view(tmp_path, capsys):
    done, _ = scan(tmp_path, ordinary(20), Meaning())
    assert done.cosines is None and "needs 200 rows" in capsys.readouterr().err


def test_a_run_with_a_model(tmp_path, tiny_folder):
    """The ledger and the page of a real run; layers of a tiny model."""
    rows = [*ordinary(203), row("leak", BRACKETS.prompt, "Sure."), row("empty", "x", "")]
    write_records(tmp_path / "pool.jsonl", rows)
    write_records(
        tmp_path / "items.jsonl",
        [{"id": i.id, "prompt": i.prompt, "solution": i.solution} for i in ITEMS],
    )
    settings = LeakageSettings(
        pool=str(tmp_path / "pool.jsonl"), benchmarks=(str(tmp_path / "items.jsonl"),), run=False,
        embed=True, model=str(tiny_folder()), max_tokens=17,
    )  # fmt: skip
    found = find_leakage(settings, None, Place(folder=tmp_path / "run"))
    stage = tmp_path / "run" / "stages" / "leakage"
    ledger = {r["id"]: r for r in read_records(stage / "flagged.jsonl")}
    assert set(ledger["leak"]["embedding"]) == {"reference", "cosine", "ordinary"}
    assert not list(stage.glob("vectors-*"))
    table = next(b for b in found["page"]["blocks"] if b["title"] == "Rows with a verdict")
    assert table["columns"][-1] == "nearest by states" and "ordinary" in table["rows"][0][-1]


def test_wrong_settings():
    with pytest.raises(SettingError, match="max_tokens"):
        LeakageSettings(embed=True, max_tokens=0)
