"""What pretraining minimises: the next token of every row of a window."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from burnish.arch.attend import WindowAttend
from burnish.data.windows import Window
from burnish.kv.rope import Rope
from burnish.models.decoder import Decoder, first_order
from burnish.models.head import token_logprobs

WHOLE_LOGITS = 1 << 26  # above so many numbers, logits exist in blocks only
IGNORED = -100


class NextToken:
    """Sum of the cross-entropies [nats] of the windows' targets.

    `first_order` times the same of a solver's first evaluations alone is added.
    Source: ours. Oracle: tests/arch/test_pretrain_job.py::test_loss_equals_a_plain_loop
    """

    def __init__(
        self, network: Decoder, *, first: int, across: bool, first_order: float = 0.0
    ) -> None:
        self._rope, self._first, self._across = Rope(network.config), first, across
        self._first_order = first_order

    def __call__(
        self, network: Decoder, items: Sequence[Window], /, *, weight: float = 1.0
    ) -> Float[Tensor, ""]:
        """The sum over all windows, with its graph."""
        device = next(network.parameters()).device
        tokens = torch.stack([torch.from_numpy(one.tokens) for one in items]).to(device)
        inputs, targets = tokens[:, :-1], tokens[:, 1:].clone()
        for row, one in zip(targets, items, strict=True):
            row[one.num_terms :] = IGNORED
        attend = WindowAttend(
            self._rope,
            network.shape.windows,
            begins=inputs == self._first,
            across=self._across,
        )
        wanted = targets.flatten()
        loss = self._loss(network, network.hidden(inputs.flatten(), attend), wanted)
        if self._first_order:
            with first_order(network):
                hidden = network.hidden(inputs.flatten(), attend)
            loss = loss + self._first_order * self._loss(network, hidden, wanted)
        return weight * loss

    def _loss(
        self, network: Decoder, hidden: Float[Tensor, "N d"], wanted: Int[Tensor, " N"]
    ) -> Float[Tensor, ""]:
        if len(hidden) * network.shape.vocab_size <= WHOLE_LOGITS:
            logits = network.head(hidden).float()
            return F.cross_entropy(logits, wanted, reduction="sum", ignore_index=IGNORED)
        kept = wanted != IGNORED
        return -token_logprobs(hidden[kept], network.lm_head.weight, wanted[kept]).sum()
