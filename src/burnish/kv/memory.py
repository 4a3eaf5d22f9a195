"""The memory that serves a policy."""

from burnish.contracts.kv_policy import KVMemory, KVPolicy, KVShape, MemoryPolicy
from burnish.kv.bounded import BoundedMemory
from burnish.kv.whole import FullMemory


def open_memory(policy: KVPolicy, shape: KVShape) -> KVMemory:
    """An empty memory for one sequence.

    Source: ours. Oracle: tests/kv/test_policies.py::test_full_equals_transformers
    """
    if isinstance(policy, MemoryPolicy):
        return policy.open(shape)
    view = policy.view
    return FullMemory(shape) if view is None else BoundedMemory(shape, view)


def keeps_all(policy: KVPolicy) -> bool:
    """Whether a policy is `full`: no limit, and no memory of its own."""
    return policy.view is None and not isinstance(policy, MemoryPolicy)
