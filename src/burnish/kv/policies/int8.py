"""`int8`: every key and value is kept, in 8 bits."""

from dataclasses import dataclass

from burnish.contracts.kv_policy import KVShape
from burnish.kv.narrow import NarrowMemory
from burnish.kv.policies import kv_policies


@kv_policies.register("int8")
@dataclass(frozen=True, kw_only=True)
class Int8Policy:
    """Keys and values as whole numbers from -127 to 127, one scale for each token and head.

    Nothing is left out, but what is read is rounded.
    Source: ours (symmetric absmax quantisation, as in LLM.int8(), arXiv 2208.07339).
    Oracle: tests/kv/test_narrow.py::test_rounding_is_at_most_half_a_step
    """

    @property
    def budget_tokens(self) -> int | None:
        """No limit."""
        return None

    @property
    def view(self) -> None:
        """All tokens see all before them."""
        return None

    @property
    def most_distance_tokens(self) -> int | None:
        """That of the text."""
        return None

    def open(self, shape: KVShape) -> NarrowMemory:
        """An empty memory."""
        return NarrowMemory(shape)
