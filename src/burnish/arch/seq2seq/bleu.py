"""BLEU by sacreBLEU, with an interval over sentences."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from burnish.base.errors import MissingExtraError
from burnish.base.rng import stream
from burnish.base.stats import bootstrap

NUM_RESAMPLES = 2000
PACKAGE = "sacrebleu"


def check_extra() -> None:
    """Raise MissingExtraError where the extra `translate` is not installed."""
    if find_spec(PACKAGE) is None:
        remedy = 'Run pip install "burnish[translate]", or measure likelihood: --set bleu=false'
        raise MissingExtraError("BLEU", PACKAGE, "needs one more package", remedy=remedy)


def corpus_bleu(
    hypotheses: Sequence[str], references: Sequence[str], *, seed: int
) -> dict[str, Any]:
    """Corpus BLEU in points with a 95% interval over sentences, and sacreBLEU's signature.

    Sentences are drawn again with their n-gram counts, of which the corpus BLEU is made.
    Raises MissingExtraError.
    Source: Post 2018, arXiv 1804.08771; resampling: Koehn 2004.
    Oracle: tests/arch/seq2seq/test_bleu.py::test_equals_sacrebleu
    """
    check_extra()
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU()
    whole = metric.corpus_score(list(hypotheses), [list(references)])
    counts = np.array([_counts(h, r) for h, r in zip(hypotheses, references, strict=True)])

    def of(picked: np.ndarray) -> float:
        return bleu_of(counts[picked.astype(int)].sum(0))

    places = np.arange(len(counts))
    rng = stream(seed, "bleu")
    found = bootstrap(places, statistic=of, rng=rng, num_resamples=NUM_RESAMPLES)
    return found.to_dict() | {"value": whole.score, "signature": str(metric.get_signature())}


def bleu_of(counts: Sequence[float] | np.ndarray) -> float:
    """BLEU in points of summed counts: right and all n-grams of orders 1 to 4, two lengths."""
    from sacrebleu.metrics.bleu import BLEU

    right, total, lengths = counts[:4], counts[4:8], counts[8:]
    return BLEU.compute_bleu(
        correct=[int(one) for one in right],
        total=[int(one) for one in total],
        sys_len=int(lengths[0]),
        ref_len=int(lengths[1]),
        smooth_method=BLEU().smooth_method,
    ).score


def _counts(hypothesis: str, reference: str) -> list[int]:
    from sacrebleu.metrics.bleu import BLEU

    found = BLEU(effective_order=True).sentence_score(hypothesis, [reference])
    return [*found.counts, *found.totals, found.sys_len, found.ref_len]
