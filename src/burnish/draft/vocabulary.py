"""Drafting over the most frequent tokens: a smaller head, and decoding stays lossless."""

from collections import Counter
from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from burnish.models.decoder import Decoder

EYE_ROWS = 64  # at once: whole logits of all rows would take a hundred megabytes


def ranked_vocabulary(texts: Iterable[Iterable[int]], size: int, vocab_size: int) -> list[int]:
    """The `size` most frequent tokens; unseen ones follow by id, lowest first.

    Byte-pair encoders number tokens in the order in which they were merged, which is the order of
    frequency.
    Source: FR-Spec, arXiv 2502.14856; the order of the unseen is ours.
    Oracle: tests/draft/test_vocabulary.py::test_ranking
    """
    counts = Counter(token for text in texts for token in text)
    order = sorted(range(vocab_size), key=lambda token: (-counts[token], token))
    return order[: min(size, vocab_size)]


@torch.no_grad()
def head_rows(
    decoder: Decoder, tokens: Int[Tensor, " V"], dtype: torch.dtype
) -> Float[Tensor, "V d"]:
    """The head's weight rows of these tokens, whatever format the head keeps them in.

    The head's image of the identity is its transposed weight; `dtype` is that of the rows that
    the head takes.
    Source: ours. Oracle: tests/draft/test_vocabulary.py::test_head_rows_give_the_heads_logits
    """
    eye = torch.eye(decoder.shape.d_model, dtype=dtype, device=tokens.device)
    columns = [decoder.head(part)[:, tokens] for part in eye.split(EYE_ROWS)]
    return torch.cat(columns).T.contiguous()
