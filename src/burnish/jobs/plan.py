"""What all steps are expected to take, before anything runs."""

from collections.abc import Mapping, Sequence

from burnish.contracts.step import Cost
from burnish.jobs.step import Composite, Part


def total_cost(parts: Sequence[Part], num_items: Mapping[str, int]) -> Cost:
    """The sum over all steps, composites as if none stopped early; memory is the largest.

    `num_items` is what is known from the start; each step adds what it expects to write.
    Source: ours. Oracle: tests/jobs/test_plan.py::test_costs_add_up_and_memory_is_a_peak
    """
    known, costs = dict(num_items), list[Cost]()
    for part in parts:
        for step in part.planned() if isinstance(part, Composite) else (part,):
            costs.append(step.cost(known))
            known |= costs[-1].num_items
    sums = ("generated_tokens", "prefilled_tokens", "trained_tokens", "disk_bytes")
    return Cost(
        **{name: sum(getattr(cost, name) for cost in costs) for name in sums},
        memory_bytes=max((cost.memory_bytes for cost in costs), default=0),
        num_items=known,
    )
