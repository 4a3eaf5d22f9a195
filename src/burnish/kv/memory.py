"""The memory that serves a policy."""

from burnish.contracts.kv_policy import KVMemory, KVPolicy, KVShape
from burnish.kv.bounded import BoundedMemory
from burnish.kv.whole import FullMemory


def open_memory(policy: KVPolicy, shape: KVShape) -> KVMemory:
    """An empty memory for one sequence.

    Source: ours. Oracle: tests/kv/test_policies.py::test_full_equals_transformers
    """
    view = policy.view
    return FullMemory(shape) if view is None else BoundedMemory(shape, view)
