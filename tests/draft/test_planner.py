"""The planner's choice, against times and acceptances that are planted."""

import dataclasses
from typing import Any

import pytest
import torch

from burnish.base.errors import InputError
from burnish.draft import cost as cost_module
from burnish.draft import planner as plan_module
from burnish.draft.acceptance import Use
from burnish.draft.cost import RowCosts, time_steps
from burnish.draft.firp import Firp
from burnish.draft.maps import save_maps
from burnish.draft.ngram import Ngram
from burnish.draft.planner import alarms, plan_drafts, predicted
from burnish.draft.ranks import MISSED, Ranks
from burnish.draft.tree import Tree, chain
from burnish.draft.variants import Variant, all_variants

FIRP = Variant(settings=Firp(), tree=chain(1))


def ranks_of(share: float, num_texts: int = 20, length: int = 40) -> Ranks:
    """Offset 1 right by rank 0 in a share of places, never anything else."""
    source = torch.Generator().manual_seed(0)
    right = torch.rand(num_texts * length, generator=source) < share
    first = torch.where(right, 0, MISSED)
    values = torch.stack((first, torch.full_like(first, MISSED)), 1)
    return Ranks(values=values.to(torch.uint8), lengths=[length] * num_texts)


@pytest.fixture
def planned(tiny_model: Any, make_maps: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A plan with planted times: plain 1 s, a drafted step `cost(nodes)`."""

    def make(ranks: Ranks | None, cost: float, probed: float = 1.5, **given: Any) -> Any:
        model = tiny_model("llama")
        path = tmp_path / "maps.safetensors"
        save_maps(path, make_maps(model, entries=(1, 1), ranks=ranks))

        def times(steps: Any, *, repeats: int) -> dict[str, float]:
            for step in steps.values():
                step()
            return {name: 1.0 if name == "plain" else cost for name in steps}

        for module in (plan_module, cost_module):
            monkeypatch.setattr(module, "time_steps", times)
        monkeypatch.setattr(plan_module, "probe", lambda model, spec: probed)
        return plan_drafts(model, weights=str(path), context_tokens=20, **given)

    return make


def test_choice_follows_cost_and_acceptance(planned: Any) -> None:
    found = planned(ranks_of(0.6), cost=1.25)
    tokens = ranks_of(0.6).tokens_per_pass(chain(1))
    assert found.speedup.value == pytest.approx(tokens / 1.25)
    assert found.speedup.low < tokens / 1.25 < found.speedup.high
    assert found.choice.startswith("firp:")
    assert "nodes=2" in found.choice
    assert found.to_dict()["options"][0]["tokens_per_pass"] == pytest.approx(tokens)
    assert "draft with firp" in found.sentence()


def test_plain_is_chosen_where_it_is_faster(planned: Any) -> None:
    found = planned(ranks_of(0.6), cost=1.7)
    assert found.choice == "plain"
    assert found.speedup.value < 1
    assert found.sentence().startswith("plain decoding is faster with one text")


def test_planted_planner_that_never_refuses(planned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "LEAST_GAIN", 0.0)
    with pytest.raises(AssertionError):
        test_plain_is_chosen_where_it_is_faster(planned)


def test_an_acceptance_that_vanished_is_told(planned: Any) -> None:
    assert planned(ranks_of(0.6), cost=1.2).alarms == []
    (alarm,) = planned(ranks_of(0.6), cost=1.2, probed=1.02).alarms
    assert "1.02 tokens per pass" in alarm
    for cause in ("chat template", "layer", "number format"):
        assert cause in alarm


def test_no_alarm_where_little_was_expected(make_maps: Any, tiny_model: Any) -> None:
    assert alarms(1.0, 1.05, make_maps(tiny_model("llama"))) == []


def test_a_chain_counts_where_one_is_found(planned: Any) -> None:
    """Found in half of the places and right there, at a cost of its own."""
    ranks = ranks_of(0.4)
    lookup = torch.where(torch.arange(800) % 2 == 0, 4, MISSED).to(torch.uint8)
    ranks = dataclasses.replace(ranks, lookup=lookup)
    options = planned(ranks, cost=1.2).options
    found = {one.ngram: one for one in options if one.passes == "one"}
    assert found[4].tokens_per_pass > 1.5 * found[0].tokens_per_pass
    assert found[4].speedup == pytest.approx(found[4].tokens_per_pass / 1.2)
    # four right of five, a pass in each even place, or a step to the next odd one
    assert ranks.share_looked_up(Tree(), 4) == pytest.approx(0.5, abs=0.05)


def test_interval_covers_replay() -> None:
    found = predicted(ranks_of(0.5), FIRP, 2.0)
    assert found.value == pytest.approx(2 * ranks_of(0.5).tokens_per_pass(chain(1)))
    single = Ranks(values=ranks_of(0.5).values[:40], lengths=[40])
    alone = predicted(single, FIRP, 2.0)
    assert alone.low == alone.value == alone.high


def test_maps_without_statistics_are_refused(planned: Any) -> None:
    with pytest.raises(InputError, match="must contain acceptance statistics"):
        planned(None, cost=1.0)


def test_steps_take_turns() -> None:
    seen: list[str] = []
    steps = {name: lambda name=name: seen.append(name) for name in ("a", "b")}
    found = time_steps(steps, repeats=3)
    assert "".join(seen) == "ab" * 4
    assert set(found) == {"a", "b"}


def test_real_steps_leave_the_cache_as_it_was(tiny_model: Any, make_maps: Any) -> None:
    from burnish.draft.cost import open_workbench

    model = tiny_model("llama")
    maps = dataclasses.replace(make_maps(model, entries=(1, 1)), ranks=ranks_of(0.5))
    bench = open_workbench(model, context_tokens=30, batch_size=2)
    variants = all_variants(maps, "", looked_up=True)
    assert {variant.spec.partition(":")[0] for variant in variants} == {"firp", "ngram"}
    for variant in variants:
        step = bench.drafted(variant.ready(model, maps), variant.example(chained=True))
        step()
        assert bench.session.cache.lengths == [30, 30]
        assert len(variant.example(chained=True).tokens) == variant.num_nodes
    for step in (bench.plain, bench.bare(1), bench.bare(3)):
        step()
        assert bench.session.cache.lengths == [30, 30]


def test_ways_that_cannot_pay_are_not_timed(planned: Any) -> None:
    """Nodes alone cost more than the acceptance gives: a bound is told, and nothing else timed."""
    found = planned(ranks_of(0.2), cost=1.3)
    assert (found.choice, found.options) == ("plain", ())
    tokens = ranks_of(0.2).tokens_per_pass(chain(1))
    assert found.speedup.value == pytest.approx(tokens / 1.3)
    assert "at most" in found.sentence()


def test_rough_costs_follow_the_rows() -> None:
    """T(n) = 1 + n / 10, pseudo states from two thirds up: written out by hand."""
    counts = (1, 2, 4, 8, 16)
    costs = RowCosts(plain_s=1.1, num_nodes=counts, seconds=tuple(1 + n / 10 for n in counts))
    given = {"chained": False, "entry_frac": 2 / 3}
    one = Variant(settings=Firp(ngram=2), tree=chain(2))  # three nodes, two offsets: 3 and 9 rows
    assert costs.variant(one, **given) == pytest.approx(2 / 3 * 1.3 + 1 / 3 * 1.9)
    assert costs.variant(one, **given | {"chained": True}) == pytest.approx(
        2 / 3 * 1.5 + 1 / 3 * 2.5
    )
    two = Variant(settings=Firp(passes="two"), tree=chain(2))
    assert costs.variant(two, **given) == pytest.approx(1.3 + 1 / 3 * 1.2)
    assert costs.variant(Variant(settings=Ngram()), **given) == pytest.approx(1.1)


def test_plan_is_for_a_batch(planned: Any) -> None:
    found = planned(ranks_of(0.6), cost=1.25, batch_size=3)
    assert found.batch_size == 3
    assert "3 texts at once" in found.sentence()


def test_prompts_decide_where_they_are_given(planned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Acceptance is that of the prompts, not that of training."""
    asked, use = list[Use](), Use(prompts=["a", "b"], temperature=0.7)

    def measured(model: Any, maps: Any, use: Use) -> Ranks:
        asked.append(use)
        return ranks_of(0.0)

    monkeypatch.setattr(plan_module, "measure_acceptance", measured)
    found = planned(ranks_of(0.9), cost=1.0, use=use)
    assert asked == [use]
    assert (found.choice, found.speedup.value) == ("plain", 1.0)  # nothing is ever right
    monkeypatch.setattr(plan_module, "measure_acceptance", lambda *_: ranks_of(0.5))
    assert planned(ranks_of(0.0), cost=1.1, use=use).choice.startswith("firp")
