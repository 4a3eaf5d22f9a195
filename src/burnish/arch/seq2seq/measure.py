"""Held-out pairs: nats per token, and BLEU of what beam search writes."""

from collections.abc import Mapping, Sequence
from typing import Any

from burnish.arch.measure import ratio
from burnish.arch.seq2seq.bleu import corpus_bleu
from burnish.arch.seq2seq.pairs import TextPair
from burnish.arch.seq2seq.saved import Translator
from burnish.arch.seq2seq.settings import BeamSettings
from burnish.arch.seq2seq.training import measure_pairs


def score_pairs(
    translator: Translator,
    pairs: Sequence[TextPair],
    search: BeamSettings,
    *,
    num_translated: int,
) -> list[dict[str, Any]]:
    """A row for each pair: its nats, and the translation of the first `num_translated`.

    Source: ours. Oracle: tests/arch/seq2seq/test_measure.py::test_rows_by_hand
    """
    tokens = translator.encode_pairs(pairs)
    nats = measure_pairs(translator.network, tokens, end=translator.end)
    written = translator.translate([p.source for p in pairs[:num_translated]], search)
    rows: list[dict[str, Any]] = [
        {"source": p.source, "target": p.target, "nats": value, "num_tokens": one.num_terms}
        for p, one, value in zip(pairs, tokens, nats, strict=True)
    ]
    for row, (text, found) in zip(rows, written, strict=False):
        row |= {"translation": text, "score": found.score, "ended": found.ended}
    return rows


def scores(rows: Sequence[Mapping[str, Any]], *, seed: int) -> dict[str, Any]:
    """Nats per token over all rows, and BLEU over those with a translation, with intervals.

    Source: ours. Oracle: tests/arch/seq2seq/test_measure.py::test_rows_by_hand
    """
    nats, tokens = ([row[name] for row in rows] for name in ("nats", "num_tokens"))
    found: dict[str, Any] = {"validation": ratio(nats, tokens, seed=seed).to_dict(), "bleu": None}
    told = [row for row in rows if "translation" in row]
    if told:
        hypotheses, references = ([row[name] for row in told] for name in ("translation", "target"))
        found["bleu"] = corpus_bleu(hypotheses, references, seed=seed)
    return found
