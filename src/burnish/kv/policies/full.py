"""`full`: every key and value is kept."""

from dataclasses import dataclass

from burnish.kv.policies import kv_policies


@kv_policies.register("full")
@dataclass(frozen=True, kw_only=True)
class FullPolicy:
    """No limit: what every other policy is compared with.

    Source: ours. Oracle: tests/kv/test_policies.py::test_full_equals_transformers
    """

    @property
    def budget_tokens(self) -> int | None:
        """No limit."""
        return None

    @property
    def view(self) -> None:
        """All tokens see all before them."""
        return None
