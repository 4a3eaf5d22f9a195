"""Other tools' diversity rules, implemented to be compared with the exact walk."""

import numpy as np
from jaxtyping import Float, Int

from burnish.curate.greedy import cosines, unit_rows


def deita_rule(
    vectors: Float[np.ndarray, "R d"], *, threshold: float, batch_rows: int
) -> Int[np.ndarray, " k"]:
    """DEITA's batched filter: a row also falls to earlier rows of its batch that fell themselves.

    So what it chooses depends on `batch_rows`; with 1 it is the exact walk.
    Source: the behaviour of DEITA's `Combined_Filter`, in our own words.
    Oracle: tests/curate/test_rivals.py::test_batches_of_one_are_exact
    """
    unit = unit_rows(vectors)
    chosen: list[int] = []
    for start in range(0, len(unit), batch_rows):
        block = unit[start : start + batch_rows]
        near = np.tril(cosines(block, block) > threshold, -1).any(axis=1)
        if chosen:
            near |= (cosines(block, unit[chosen]) > threshold).any(axis=1)
        chosen += (start + np.flatnonzero(~near)).tolist()
    return np.array(chosen, dtype=np.int64)


def distilabel_rule(
    vectors: Float[np.ndarray, "R d"], *, threshold: float, block_rows: int = 1024
) -> Int[np.ndarray, " k"]:
    """Distilabel's filter: a row falls where any other row of the pool is near, chosen or not.

    Both members of a pair of duplicates vanish.
    Source: the behaviour of distilabel's `DeitaFiltering`, in our own words.
    Oracle: tests/curate/test_rivals.py::test_both_of_a_pair_vanish
    """
    unit = unit_rows(vectors)
    kept: list[int] = []
    for start in range(0, len(unit), block_rows):
        products = cosines(unit[start : start + block_rows], unit)
        rows = np.arange(len(products))
        products[rows, start + rows] = -np.inf
        kept += (start + np.flatnonzero(products.max(axis=1) <= threshold)).tolist()
    return np.array(kept, dtype=np.int64)
