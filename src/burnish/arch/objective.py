"""What pretraining minimises: the next token of every row of a window."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from burnish.arch.attend import WindowAttend
from burnish.data.windows import Window
from burnish.kv.rope import Rope
from burnish.models.decoder import Decoder
from burnish.models.head import token_logprobs

WHOLE_LOGITS = 1 << 26  # above so many numbers, logits exist in blocks only
IGNORED = -100


class NextToken:
    """Sum of the cross-entropies [nats] of the windows' targets.

    Source: ours. Oracle: tests/arch/test_pretrain.py::test_loss_equals_a_plain_loop
    """

    def __init__(self, network: Decoder, *, first: int, across: bool) -> None:
        self._rope, self._first, self._across = Rope(network.config), first, across

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
        hidden, wanted = network.hidden(inputs.flatten(), attend), targets.flatten()
        if len(hidden) * network.shape.vocab_size <= WHOLE_LOGITS:
            logits = network.head(hidden).float()
            return weight * F.cross_entropy(logits, wanted, reduction="sum", ignore_index=IGNORED)
        kept = wanted != IGNORED
        return -weight * token_logprobs(hidden[kept], network.lm_head.weight, wanted[kept]).sum()
