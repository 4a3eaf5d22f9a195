"""Seeds that depend on names only: not on order of use, process, machine or library version."""

import hashlib
import json
import operator

import numpy as np


def derive_seed(seed: int, *names: str | int) -> int:
    """Return the seed [0, 2**63) of a named purpose, such as `derive_seed(7, "sample", 12)`.

    Different names give unrelated seeds; `("ab", "c")`, `("a", "bc")`, `1` and `"1"` all differ.
    Source: ours (sha256 of the JSON of all parts).
    Oracle: tests/base/test_rng.py::test_seeds_are_the_pinned_ones
    """
    parts = [operator.index(seed)]
    labels = [name if isinstance(name, str) else operator.index(name) for name in names]
    digest = hashlib.sha256(json.dumps([*parts, *labels]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return a random generator of its own for a named purpose."""
    return np.random.default_rng(derive_seed(seed, *names))
