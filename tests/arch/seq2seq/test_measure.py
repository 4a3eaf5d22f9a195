"""Rows of held-out pairs, and the numbers that follow from them."""

from pathlib import Path
from typing import Any

import pytest
from fixtures.translating import tiny_network, write_pairs

from burnish.arch.seq2seq import measure as module
from burnish.arch.seq2seq.forward import nats_of
from burnish.arch.seq2seq.measure import score_pairs, scores
from burnish.arch.seq2seq.pairs import read_pairs
from burnish.arch.seq2seq.saved import Translator
from burnish.arch.seq2seq.settings import BeamSettings
from burnish.arch.tokenizer import learn_tokenizer, marks_of
from burnish.models.load import read_tokenizer


@pytest.fixture
def translator(tmp_path: Path) -> Translator:
    texts = [p.source for p in read_pairs(write_pairs(tmp_path))]
    learn_tokenizer(texts, tmp_path / "tokenizer", vocab=281, exact=False)
    tokenizer = read_tokenizer(tmp_path / "tokenizer")
    network = tiny_network(vocab=len(tokenizer))
    return Translator(network=network, tokenizer=tokenizer, end=marks_of(tokenizer).end)


def check_rows(translator: Translator, folder: Path) -> None:
    from sacrebleu.metrics.bleu import BLEU

    pairs = read_pairs(folder / "pairs.tsv")[:8]
    search = BeamSettings(beam=2, max_new_tokens=6)
    rows = score_pairs(translator, pairs, search, num_translated=5)
    assert [row["source"] for row in rows] == [pair.source for pair in pairs]
    assert ["translation" in row for row in rows] == [True] * 5 + [False] * 3
    for pair, row in zip(pairs, rows, strict=True):
        (tokens,) = translator.encode_pairs([pair])
        assert translator.tokenizer.decode(tokens.target) == pair.target
        assert row["num_tokens"] == len(tokens.target) + 1
        assert row["nats"] == pytest.approx(
            nats_of(translator.network, [tokens], end=translator.end)[0], rel=1e-5
        )
    for row in rows[:5]:
        assert row["translation"] == translator.translate([row["source"]], search)[0][0]
        row["translation"] = row["target"].replace("1", "2", 1)
    found = scores(rows, seed=3)
    total = sum(row["nats"] for row in rows) / sum(row["num_tokens"] for row in rows)
    assert found["validation"]["value"] == pytest.approx(total) and found["validation"]["n"] == 8
    told = [[row[name] for row in rows[:5]] for name in ("translation", "target")]
    assert found["bleu"]["value"] == pytest.approx(BLEU().corpus_score(told[0], [told[1]]).score)
    assert found["bleu"]["n"] == 5


def test_rows_by_hand(translator: Translator, tmp_path: Path) -> None:
    check_rows(translator, tmp_path)


def test_planted_pairs_that_lose_their_place(
    translator: Translator, tmp_path: Path, monkeypatch: Any
) -> None:
    exact = module.measure_pairs
    monkeypatch.setattr(module, "measure_pairs", lambda *a, **k: sorted(exact(*a, **k)))
    with pytest.raises(AssertionError):
        check_rows(translator, tmp_path)


def test_likelihood_alone_needs_no_package(
    translator: Translator, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("burnish.arch.seq2seq.bleu.find_spec", lambda name: None)
    pairs = read_pairs(tmp_path / "pairs.tsv")[:4]
    rows = score_pairs(translator, pairs, BeamSettings(), num_translated=0)
    assert scores(rows, seed=3)["bleu"] is None
