"""How many vectors a span gets, and which."""

import numpy as np
import torch

from burnish.kv.retrieval.index import SpanIndex, boxes_of, quantised, vector_counts, vectors_of
from burnish.kv.retrieval.plan import RetrievalPlan
from burnish.kv.retrieval.segment import Pieces


def plan_of(**given: object) -> RetrievalPlan:
    return RetrievalPlan(
        far_tokens=4, local_tokens=4, num_sinks=0, segmenter=Pieces(size=4), **given
    )


def test_confident_spans_have_fewer_vectors() -> None:
    assert vector_counts(np.array([9.0, 1.0, 0.0]), 4, static=False) == [1, 4, 4]
    assert vector_counts(np.array([5.0, 5.0]), 4, static=False) == [2, 2]
    assert vector_counts(np.array([5.0, -1.0]), 4, static=False) == [1, 4]
    assert vector_counts(np.array([9.0, 1.0]), 3, static=True) == [3, 3]


def test_vectors_are_the_most_attended_keys() -> None:
    keys = torch.randn((2, 6, 5), generator=torch.Generator().manual_seed(0))
    band = np.zeros((6, 3))
    band[2, 1] = band[5, 2] = 5.0  # tokens 1 and 3 receive much
    bounds = [(0, 3), (3, 6)]
    apart, at = vectors_of(plan_of(static=True, most_vectors=1), keys, bounds, band, 0.0)
    assert torch.equal(torch.cat(apart, 1), keys[:, [1, 3]]) and at.tolist() == [1, 3]
    (mean, _), at = vectors_of(
        plan_of(static=True, most_vectors=3, vectors="averaged"), keys, bounds, band, 0.0
    )
    torch.testing.assert_close(mean[:, 0], keys[:, :3].mean(1))
    assert at.tolist() == [0, 3]


def test_a_threshold_counts_for_each_cell_of_a_triangle() -> None:
    """Equal mass on 3 and on 10 cells: the short span is the more confident one."""
    keys, band, bounds = torch.zeros((1, 6, 5)), np.zeros((6, 3)), [(0, 2), (2, 6)]
    band[1, 1] = band[5, 2] = 5.0
    for theta, wanted in ((0.0, [2, 2]), (0.4, [1, 4])):
        found, _ = vectors_of(plan_of(most_vectors=4), keys, bounds, band, theta)
        assert [own.shape[1] for own in found] == wanted


def test_boxes_hold_their_keys() -> None:
    source = torch.Generator().manual_seed(0)
    keys, turned = (torch.randn((2, 6, 5), generator=source) for _ in range(2))
    (boxes, _), at = boxes_of(keys, turned, [(0, 3), (3, 6)])
    sides = [keys[:, :3].amin(1), keys[:, :3].amax(1)]
    sides += [turned[:, :3].amin(1), turned[:, :3].amax(1)]
    assert torch.equal(boxes, torch.stack(sides, 1)) and at.tolist() == [0] * 4 + [3] * 4


def test_eight_bits_are_close() -> None:
    rows = torch.randn((2, 7, 5), generator=torch.Generator().manual_seed(0))
    cells, scales = quantised(rows)
    assert cells.dtype == torch.int8 and bool((cells.abs().amax(-1) == 127).all())
    error = (cells * scales[..., None] - rows).abs()
    assert bool((error <= 0.51 * scales[..., None]).all())
    assert not quantised(torch.zeros((1, 1, 5)))[0].any()


def test_an_index_grows_and_comes_back() -> None:
    keys = torch.randn((2, 9, 5), generator=torch.Generator().manual_seed(0))
    index, small = (SpanIndex.empty(2, 5, keys[:0], int8=int8) for int8 in (False, True))
    for bounds, begin in (([(0, 2), (2, 5)], 0), ([(0, 4)], 5)):
        vectors = [keys[:, begin + a : begin + b] for a, b in bounds]
        tokens = np.arange(bounds[-1][1])
        index, small = (
            index.extended(bounds, vectors, tokens),
            small.extended(bounds, vectors, tokens),
        )
    assert index.starts.tolist() == [0, 2, 5] and index.lengths.tolist() == [2, 3, 4]
    assert index.owner.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert torch.equal(index.vectors, keys) and index.token.tolist() == list(range(9))
    assert torch.equal(index.keys(keys.dtype), keys)
    torch.testing.assert_close(small.keys(keys.dtype), keys, atol=0.02, rtol=0)
    assert torch.equal(
        SpanIndex.from_dict(small.to_dict()).keys(keys.dtype), small.keys(keys.dtype)
    )
    again = SpanIndex.from_dict(index.to_dict())
    query = torch.randn((3, 4, 5), generator=torch.Generator().manual_seed(2))
    assert torch.equal(again.scores(plan_of(), query), index.scores(plan_of(), query))
    numbers = 8 * (2 * 9 + 2 * 3) + 4 * 2 * 3  # owners, tokens; starts, lengths; what was kept
    assert index.num_bytes == 9 * 2 * 5 * 4 + numbers
    assert small.num_bytes == 9 * 2 * (5 + 4) + numbers
