"""Margins of pairs, their dependence on length, and accuracy where length cannot help."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from burnish.base.meter import Meter
from burnish.base.progress import track
from burnish.base.rng import stream
from burnish.base.stats import Estimate, wilson
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.prefer.association import estimate, slope, spearman
from burnish.prefer.forward import answer_logprobs
from burnish.prefer.losses import Batch, Loss
from burnish.prefer.pairs import Pair, all_lengths
from burnish.prefer.reference import Reference, passes
from burnish.prefer.weights import answer_sums, public_weights

ALIKE_FRAC = 0.2  # lengths that differ by less, of the longer, count as alike (ours)
STRATA = ("rejected longer", "alike", "chosen longer")


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Four numbers per pair, which give its margin at every alpha, and its drift.

    `public` and `tail` are log-likelihood ratios [nats], policy over reference, of the tokens up
    to and past the public length; columns are chosen and rejected. Without a reference they are
    plain log-likelihoods. `own` is the margin of the loss that was trained, if one was given.
    """

    lengths: np.ndarray
    public: np.ndarray
    tail: np.ndarray
    own: np.ndarray | None = None

    def margins(self, alpha: float = 1.0) -> np.ndarray:
        """LD-DPO's margin over beta; 1 is DPO's."""
        answers = self.public + alpha * self.tail
        return answers[:, 0] - answers[:, 1]

    @property
    def excess(self) -> np.ndarray:
        """Chosen minus rejected length [tokens]."""
        return (self.lengths[:, 0] - self.lengths[:, 1]).astype(float)


@torch.no_grad()
def score_pairs(
    network: Decoder | Adapter,
    pairs: Sequence[Pair],
    *,
    reference: Reference | None = None,
    loss: Loss | None = None,
    pass_tokens: int = 2048,
    meter: Meter | None = None,
) -> Scores:
    """Score every pair once, in passes of at most `pass_tokens` rows.

    Source: ours; linear in alpha. Oracle: tests/prefer/test_measure.py::test_scores_by_hand
    """
    meter = meter or Meter()
    parts: list[dict[str, np.ndarray]] = []
    with track(len(pairs), "score pairs", unit="pair") as bar:
        for some in passes(pairs, pass_tokens):
            policy = answer_logprobs(network, some)
            known = None if reference is None else reference(network, some).to(policy.dtype)
            keys = tuple(pair.key for pair in some)
            batch = Batch(policy=policy, reference=known, lengths=all_lengths(some), keys=keys)
            parts.append(_scored(batch, loss))
            meter.add("scored", len(policy))
            meter.add("passes", 1)
            bar.advance(len(some))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Scores(**joined)


def _scored(batch: Batch, loss: Loss | None) -> dict[str, np.ndarray]:
    ratios = batch.policy if batch.reference is None else batch.policy - batch.reference
    ratios = ratios.double()
    heads = public_weights(batch.lengths, alpha=0.0).to(ratios)
    columns = {
        "lengths": torch.tensor(batch.lengths),
        "public": answer_sums(ratios * heads, batch.lengths),
        "tail": answer_sums(ratios * (1 - heads), batch.lengths),
    }
    if loss is not None:
        columns["own"] = loss(batch).margins
    return {name: column.cpu().numpy() for name, column in columns.items()}


@dataclass(frozen=True, kw_only=True)
class PairMeasure:
    """Margins on a set of pairs, by DPO's measure (whole log-likelihoods), whatever was trained.

    Ties count as wrong. `balanced_accuracy` is the mean of the accuracies where the chosen answer
    is longer and where the rejected one is: length alone scores 50%. `strata` are pairs whose
    lengths are alike, or not. `own_accuracy` is by the trained loss's margin.
    """

    num_pairs: int
    accuracy: Estimate
    strata: dict[str, Estimate | None]
    balanced_accuracy: Estimate | None
    spearman: Estimate | None
    slope: Estimate | None
    margin_nats: Estimate
    chosen_drift_nats: Estimate
    own_accuracy: Estimate | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def measure_margins(scores: Scores, *, seed: int = 0) -> PairMeasure:
    """Accuracy, overall and by strata, and how margins depend on length.

    What cannot be had (no pair in a stratum, lengths that never differ) is None.
    Source: ours. Oracle: tests/prefer/test_measure.py::test_measures_by_hand
    """
    margins, excess = scores.margins(), scores.excess
    num = len(margins)

    def measured(name: str, statistic: Any) -> Estimate:
        return estimate(statistic, num, stream(seed, "margins", name))

    varied = np.ptp(excess) > 0
    both = (excess > 0).any() and (excess < 0).any()
    right = (margins > 0).astype(float)
    own = scores.own
    return PairMeasure(
        num_pairs=num,
        accuracy=wilson(int(right.sum()), num),
        strata={n: _share(margins[at] > 0) for n, at in _strata(scores.lengths).items()},
        balanced_accuracy=measured("balanced", lambda d: _balanced(right[d], excess[d]))
        if both
        else None,
        spearman=measured("spearman", lambda d: spearman(excess[d], margins[d]))
        if varied
        else None,
        slope=measured("slope", lambda d: slope(excess[d], margins[d])) if varied else None,
        margin_nats=measured("margin", lambda d: float(margins[d].mean())),
        chosen_drift_nats=measured(
            "drift", lambda d: float((scores.public + scores.tail)[d, 0].mean())
        ),
        own_accuracy=None if own is None else _share(own > 0),
    )


def _strata(lengths: np.ndarray) -> dict[str, np.ndarray]:
    away = (lengths[:, 0] - lengths[:, 1]) / lengths.max(axis=1)
    masks = (away < -ALIKE_FRAC, np.abs(away) <= ALIKE_FRAC, away > ALIKE_FRAC)
    return dict(zip(STRATA, masks, strict=True))


def _share(right: np.ndarray) -> Estimate | None:
    return wilson(int(right.sum()), len(right)) if len(right) else None


def _balanced(right: np.ndarray, excess: np.ndarray) -> float:
    """Mean of both sides; a resample that lost one side counts the other."""
    sides = [right[excess > 0], right[excess < 0]]
    means = [side.mean() for side in sides if len(side)]
    return float(np.mean(means)) if means else 0.0
