"""The cost of a job is folded from its steps."""

from fixtures.toy_job import Count, Double, Doublings

from burnish.jobs.plan import total_cost


def test_costs_add_up_and_memory_is_a_peak() -> None:
    cost = total_cost([Count(), Double(), Doublings(most=3)], {"known": 1})
    assert cost.generated_tokens == 7
    assert cost.trained_tokens == 4 * 15  # double, and three doublings: none is taken to end early
    assert (cost.memory_bytes, cost.disk_bytes, cost.prefilled_tokens) == (50, 44, 0)
    assert cost.num_items == {"known": 1, "counted": 5}
    assert total_cost([], {}).memory_bytes == 0
