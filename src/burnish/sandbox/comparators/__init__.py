"""Comparators: programs that say whether an output is right. One file each, found by name."""

import functools

from burnish.base.registry import Registry
from burnish.sandbox.comparators.comparator import Comparator

comparators: Registry[Comparator] = Registry("comparator", "burnish.sandbox.comparators")


@functools.cache
def parse_comparator(spec: str) -> Comparator:
    """The comparator that a spec describes, such as `float:absolute=1e-6`."""
    return comparators.parse(spec)
