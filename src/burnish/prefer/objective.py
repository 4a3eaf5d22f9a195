"""The training loop's objective for pairs, and what it noted of the step."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.distrib.rank import world_size
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.prefer.forward import answer_logprobs
from burnish.prefer.losses import Batch, Loss
from burnish.prefer.pairs import Pair, all_lengths
from burnish.prefer.reference import Reference
from burnish.prefer.weights import answer_sums

NOTED = ("margin", "accuracy", "weight", "chosen_tokens", "rejected_tokens", "excess_tokens")
DRIFT = ("chosen_drift_nats", "rejected_drift_nats")


class PreferenceObjective:
    """Sum of the pairs' losses; no pair is split between passes or processes.

    Source: ours. Oracle: tests/prefer/test_objective.py::test_step_is_the_mean_over_pairs
    """

    def __init__(
        self, loss: Loss, reference: Reference | None, *, device: torch.device | str = "cpu"
    ) -> None:
        self._loss, self._reference, self._device = loss, reference, device
        self._names = NOTED if reference is None else NOTED + DRIFT
        self._total = self._nothing()

    def __call__(
        self, network: Decoder | Adapter, pairs: Sequence[Pair], /, *, weight: float = 1.0
    ) -> Float[Tensor, ""]:
        """Sum of the losses [nats]; the loop divides by the step's pairs."""
        reference = None if self._reference is None else self._reference(network, pairs)
        policy = answer_logprobs(network, pairs)
        lengths = all_lengths(pairs)
        reference = None if reference is None else reference.to(policy.dtype)
        keys = tuple(pair.key for pair in pairs)
        batch = Batch(policy=policy, reference=reference, lengths=lengths, keys=keys)
        found = self._loss(batch)
        self._total += weight * _noted(batch, found.margins.detach())
        return weight * found.losses.sum()

    def drain(self) -> dict[str, float]:
        """Means over the pairs since the last call, of all processes.

        `margin` is what the sigmoid is taken of, `weight` how much it lets through,
        `accuracy` the share of positive margins; drifts are log-likelihoods [nats] an answer
        minus the reference's, present where there is one.
        """
        total, self._total = self._total, self._nothing()
        if world_size() > 1:  # a process may have had no pass of this step
            torch.distributed.all_reduce(total)
        return dict(zip(self._names, (total[1:] / total[0]).tolist(), strict=True))

    def _nothing(self) -> Tensor:
        return torch.zeros(1 + len(self._names), dtype=torch.float64, device=self._device)


def _noted(batch: Batch, margins: Tensor) -> Tensor:
    """Number of pairs, then sums over them of everything that `drain` gives as means."""
    lengths = torch.tensor(batch.lengths).to(margins)
    columns = [
        torch.ones_like(margins),
        margins,
        (margins > 0).to(margins),
        torch.sigmoid(-margins),
        lengths[:, 0],
        lengths[:, 1],
        lengths[:, 0] - lengths[:, 1],
    ]
    if batch.reference is not None:
        drift = answer_sums(batch.policy.detach() - batch.reference, batch.lengths)
        columns += [drift[:, 0], drift[:, 1]]
    return torch.stack([column.double().sum() for column in columns])
