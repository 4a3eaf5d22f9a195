"""What all steps are expected to take, before anything runs."""

from collections.abc import Mapping, Sequence

from burnish.contracts.step import Cost
from burnish.jobs.step import Composite, Part, Step


def total_cost(parts: Sequence[Part], num_items: Mapping[str, int]) -> Cost:
    """The sum over all steps, composites as if none stopped early; memory is the largest.

    `num_items` is what is known from the start; each step adds what it expects to write.
    Source: ours. Oracle: tests/jobs/test_plan.py::test_costs_add_up_and_memory_is_a_peak
    """
    return summed([cost for _, costs in costs_of(parts, num_items) for _, cost in costs], num_items)


def costs_of(
    parts: Sequence[Part], num_items: Mapping[str, int]
) -> list[tuple[Part, list[tuple[Step, Cost]]]]:
    """Each part with its steps and what each is expected to take; no step where it is off."""
    known, found = dict(num_items), list[tuple[Part, list[tuple[Step, Cost]]]]()
    for part in parts:
        steps = part.planned() if isinstance(part, Composite) else (part,)
        costs = list[tuple[Step, Cost]]()
        for step in steps:
            costs.append((step, step.cost(known)))
            known |= costs[-1][1].num_items
        found.append((part, costs))
    return found


def summed(costs: Sequence[Cost], num_items: Mapping[str, int] | None = None) -> Cost:
    """Tokens and disk added up, memory at its peak, and the items of all."""
    sums = ("generated_tokens", "prefilled_tokens", "trained_tokens", "disk_bytes")
    known = dict(num_items or {})
    for cost in costs:
        known |= cost.num_items
    return Cost(
        **{name: sum(getattr(cost, name) for cost in costs) for name in sums},
        memory_bytes=max((cost.memory_bytes for cost in costs), default=0),
        num_items=known,
    )
