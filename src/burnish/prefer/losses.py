"""Losses of pairs, as plain functions of log-probabilities. All settings are keywords."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from burnish.base.errors import SettingError
from burnish.prefer.weights import (
    LdEnd,
    Lengths,
    answer_sums,
    mean_weights,
    public_weights,
    sampled_weights,
)

LdReference = Literal["both", "policy_only"]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Log-probabilities [nats] of the answers' tokens, pair by pair, chosen before rejected."""

    policy: Float[Tensor, " R"]
    reference: Float[Tensor, " R"] | None
    lengths: Lengths
    keys: tuple[str, ...] = ()  # of the pairs; only SamPO asks for them


@dataclass(frozen=True, kw_only=True)
class PairLosses:
    """The loss of each pair, and its margin: the argument of the sigmoid (or square)."""

    losses: Float[Tensor, " B"]
    margins: Float[Tensor, " B"]


Loss = Callable[..., PairLosses]


def dpo(batch: Batch, *, beta: float = 0.1) -> PairLosses:
    """Direct preference optimisation.

    Source: arXiv 2305.18290, eq. 7. Oracle: tests/prefer/test_losses.py::test_closed_forms
    """
    return _logistic(_positive("beta", beta) * _difference(_log_ratios(batch)))


def ld_dpo(
    batch: Batch,
    *,
    beta: float = 0.1,
    alpha: float = 0.5,
    ld_reference: LdReference = "both",
    ld_end: LdEnd = "tail",
) -> PairLosses:
    """DPO in which tokens past the pair's public length count `alpha` times.

    The reference is weighted like the policy (`both`: margin 0 at the start) or not at all
    (`policy_only`, as LLaMA-Factory and ms-swift do: an R-DPO-like margin from the start). The
    longer answer's last token is one of its tail, or counts fully (`ld_end="public"`): then the
    shorter one's end is not pushed down alone.
    Source: LD-DPO, arXiv 2409.06411, eqs. 9-12 (reconstruction); the paper's treatment of the
    reference is unknown to us; `both` is TRL's since 0.29. Departure: `ld_end="public"` is ours.
    Oracle: tests/prefer/test_losses.py::test_alpha_one_is_dpo_bit_for_bit, ::test_closed_forms
    """
    if ld_reference not in ("both", "policy_only"):
        rule = "must be both or policy_only"
        raise SettingError("ld_reference", ld_reference, rule, remedy="both starts at margin 0")
    weights = public_weights(batch.lengths, alpha=alpha, end=ld_end).to(batch.policy)
    if ld_reference == "both":
        return _logistic(_positive("beta", beta) * _difference(_log_ratios(batch, weights)))
    policy = answer_sums(batch.policy * weights, batch.lengths)
    return _logistic(_positive("beta", beta) * _difference(policy - _reference_sums(batch)))


def simpo(batch: Batch, *, beta: float = 2.0, gamma: float = 1.0) -> PairLosses:
    """Mean log-probabilities without a reference, and a margin `gamma` to reach.

    Source: arXiv 2405.14734, eq. 6. Oracle: tests/prefer/test_losses.py::test_closed_forms
    """
    weights = mean_weights(batch.lengths).to(batch.policy)
    means = answer_sums(batch.policy * weights, batch.lengths)
    return _logistic(_positive("beta", beta) * _difference(means) - _not_negative("gamma", gamma))


def r_dpo(batch: Batch, *, beta: float = 0.1, length_penalty: float = 0.01) -> PairLosses:
    """DPO whose reward loses `length_penalty` [nats] per token.

    Source: arXiv 2403.19159, eq. 9 (reconstruction; they call the penalty alpha).
    Oracle: tests/prefer/test_losses.py::test_closed_forms
    """
    excess = torch.tensor([chosen - rejected for chosen, rejected in batch.lengths])
    offset = _not_negative("length_penalty", length_penalty) * excess.to(batch.policy)
    return _logistic(_positive("beta", beta) * _difference(_log_ratios(batch)) + offset)


def sampo(batch: Batch, *, beta: float = 0.1, sampling_seed: int = 0) -> PairLosses:
    """DPO over equally many random tokens of both answers.

    Source: arXiv 2406.10957; departures in `sampled_weights`.
    Oracle: tests/prefer/test_losses.py::test_closed_forms
    """
    weights = sampled_weights(batch.lengths, batch.keys, seed=sampling_seed).to(batch.policy)
    return _logistic(_positive("beta", beta) * _difference(_log_ratios(batch, weights)))


def ipo(batch: Batch, *, tau: float = 0.1) -> PairLosses:
    """Squared distance of the log-ratios' difference from 1 / (2 tau).

    Source: arXiv 2310.12036, eq. 17. Departure from TRL, which takes means over tokens here.
    Oracle: tests/prefer/test_losses.py::test_closed_forms
    """
    margins = _difference(_log_ratios(batch))
    return PairLosses(losses=(margins - 1 / (2 * _positive("tau", tau))) ** 2, margins=margins)


def norm_dpo(batch: Batch, *, beta: float = 5.0) -> PairLosses:
    """DPO over mean instead of summed log-ratios.

    Source: Tulu 3, arXiv 2411.15124, eq. 6 (reconstruction).
    Oracle: tests/prefer/test_losses.py::test_closed_forms
    """
    weights = mean_weights(batch.lengths).to(batch.policy)
    return _logistic(_positive("beta", beta) * _difference(_log_ratios(batch, weights)))


def dpop(batch: Batch, *, beta: float = 0.3, drop_penalty: float = 50.0) -> PairLosses:
    """DPO with a penalty where the chosen answer becomes less likely than under the reference.

    Source: Smaug, arXiv 2402.13228, eq. 3 (reconstruction; they call the penalty lambda).
    Oracle: tests/prefer/test_losses.py::test_closed_forms
    """
    ratios = _log_ratios(batch)
    drop = _not_negative("drop_penalty", drop_penalty) * (-ratios[:, 0]).clamp(min=0)
    return _logistic(_positive("beta", beta) * (_difference(ratios) - drop))


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "dpo": dpo,
        "ld-dpo": ld_dpo,
        "simpo": simpo,
        "r-dpo": r_dpo,
        "sampo": sampo,
        "ipo": ipo,
        "norm-dpo": norm_dpo,
        "dpop": dpop,
    }
)
REFERENCE_FREE = frozenset({"simpo"})


def _log_ratios(batch: Batch, weights: Tensor | None = None) -> Float[Tensor, "B 2"]:
    """Weighted log-likelihoods of the answers under the policy, less those of the reference."""
    policy = batch.policy if weights is None else batch.policy * weights
    return answer_sums(policy, batch.lengths) - _reference_sums(batch, weights)


def _reference_sums(batch: Batch, weights: Tensor | None = None) -> Float[Tensor, "B 2"]:
    if batch.reference is None:
        remedy = "Give the reference's log-probabilities, or use simpo"
        raise SettingError("reference", None, "is required by this loss", remedy=remedy)
    reference = batch.reference if weights is None else batch.reference * weights
    return answer_sums(reference, batch.lengths)


def _difference(answers: Float[Tensor, "B 2"]) -> Float[Tensor, " B"]:
    return answers[:, 0] - answers[:, 1]


def _logistic(margins: Float[Tensor, " B"]) -> PairLosses:
    return PairLosses(losses=-F.logsigmoid(margins), margins=margins)


def _positive(name: str, value: float) -> float:
    if not 0 < value < float("inf"):
        raise SettingError(name, value, "must be positive", remedy="Raise it")
    return value


def _not_negative(name: str, value: float) -> float:
    if not 0 <= value < float("inf"):
        raise SettingError(name, value, "must not be negative", remedy="0 turns it off")
    return value
