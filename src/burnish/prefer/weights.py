"""Token weights, which are all that most of the losses differ in."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from burnish.base.errors import SettingError
from burnish.base.rng import stream

LdEnd = Literal["tail", "public"]
Lengths = Sequence[tuple[int, int]]  # tokens of chosen and rejected answer, pair by pair


def public_weights(lengths: Lengths, *, alpha: float, end: LdEnd = "tail") -> Float[Tensor, " R"]:
    """1 up to the public length of a pair, the shorter answer's; `alpha` past it.

    The public length is a count of answer tokens, relative to the answer and known from the pair
    only: prompt, padding, packing and order cannot move it. Only the longer answer changes. With
    `end` "public" its last token counts 1, as the shorter one's does.
    Source: LD-DPO, arXiv 2409.06411, eqs. 9-12 (reconstruction: read in abstract and quotations).
    Departure: `end="public"` is ours.
    Oracle: tests/prefer/test_weights.py::test_public_weights_by_hand
    """
    if not 0 <= alpha <= 1:
        raise SettingError("alpha", alpha, "must lie in [0, 1]", remedy="1 is plain DPO")
    if end not in get_args(LdEnd):
        raise SettingError("ld_end", end, "must be tail or public", remedy="tail is the paper's")
    rows = []
    for pair in lengths:
        public = min(pair)
        rows += [[1.0] * public + [alpha] * (length - public) for length in pair]
        if end == "public":
            rows[-2][-1] = rows[-1][-1] = 1.0
    return _flat(rows)


def mean_weights(lengths: Lengths) -> Float[Tensor, " R"]:
    """One over the answer's length: sums become means. Source: SimPO, arXiv 2405.14734, eq. 4."""
    return _flat([[1.0 / length] * length for pair in lengths for length in pair])


def sampled_weights(lengths: Lengths, keys: Sequence[str], *, seed: int) -> Float[Tensor, " R"]:
    """1 for as many random tokens of each answer as the shorter one has, 0 for the others.

    Source: SamPO, arXiv 2406.10957.
    Departure: the draw depends on `seed` and the pair's key only, and is the same for policy and
    reference; the authors' code draws for each apart, so its ratios compare different tokens.
    Oracle: tests/prefer/test_weights.py::test_sampled_weights_count
    """
    rows = []
    for pair, key in zip(lengths, keys, strict=True):
        rng = stream(seed, "sampo", key)
        for length in pair:
            row = [0.0] * length
            for place in rng.permutation(length)[: min(pair)]:
                row[place] = 1.0
            rows.append(row)
    return _flat(rows)


def answer_sums(values: Float[Tensor, " R"], lengths: Lengths) -> Float[Tensor, "B 2"]:
    """Sums over the tokens of each answer, in the columns chosen and rejected."""
    parts = values.split([length for pair in lengths for length in pair])
    return torch.stack([part.sum() for part in parts]).view(-1, 2)


def _flat(rows: list[list[float]]) -> Float[Tensor, " R"]:
    return torch.tensor([value for row in rows for value in row], dtype=torch.float64)
