"""The planner's choice, against times and acceptances that are planted."""

import dataclasses
from typing import Any

import pytest
import torch

from burnish.base.errors import InputError
from burnish.draft import plan as plan_module
from burnish.draft.cost import time_steps
from burnish.draft.firp import Firp
from burnish.draft.maps import save_maps
from burnish.draft.plan import alarms, example, plan_drafts, predicted
from burnish.draft.ranks import MISSED, Ranks
from burnish.draft.tree import chain


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

    def make(ranks: Ranks | None, cost: float, probed: float = 1.5) -> Any:
        model = tiny_model("llama")
        path = tmp_path / "maps.safetensors"
        save_maps(path, make_maps(model, entries=(1, 1), ranks=ranks))

        def times(steps: Any, *, repeats: int) -> dict[str, float]:
            for step in steps.values():
                step()
            return {name: 1.0 if name == "plain" else cost for name in steps}

        monkeypatch.setattr(plan_module, "time_steps", times)
        monkeypatch.setattr(plan_module, "probe", lambda model, spec: probed)
        return plan_drafts(model, weights=str(path), context_tokens=20)

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
    assert found.sentence().startswith("do not draft")


def test_planted_planner_that_never_refuses(planned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "LEAST_GAIN", 0.0)
    with pytest.raises(AssertionError):
        test_plain_is_chosen_where_it_is_faster(planned)


def test_an_acceptance_that_vanished_is_told(planned: Any) -> None:
    assert planned(ranks_of(0.6), cost=1.2).alarms == []
    (alarm,) = planned(ranks_of(0.6), cost=1.2, probed=1.02).alarms
    assert "1.02 tokens a pass" in alarm
    for cause in ("chat template", "layer", "number format"):
        assert cause in alarm


def test_no_alarm_where_little_was_expected(make_maps: Any, tiny_model: Any) -> None:
    assert alarms(1.0, 1.05, make_maps(tiny_model("llama"))) == []


def test_a_chain_counts_where_one_is_found(planned: Any) -> None:
    """Found in half of the places and right there, at a cost of its own."""
    ranks = ranks_of(0.0)
    lookup = torch.where(torch.arange(800) % 2 == 0, 4, MISSED).to(torch.uint8)
    ranks = dataclasses.replace(ranks, lookup=lookup)
    ranks.values[0] = 0  # one right guess, or no tree is grown
    found = {option.ngram: option for option in planned(ranks, cost=1.2).options}
    assert found[4].tokens_per_pass > 1.5 * found[0].tokens_per_pass
    assert ranks.share_looked_up() == 0.5
    assert found[4].speedup == pytest.approx(found[4].tokens_per_pass / 1.2)


def test_interval_covers_replay() -> None:
    found = predicted(ranks_of(0.5), Firp(), chain(1), 2.0)
    assert found.value == pytest.approx(2 * ranks_of(0.5).tokens_per_pass(chain(1)))
    single = Ranks(values=ranks_of(0.5).values[:40], lengths=[40])
    alone = predicted(single, Firp(), chain(1), 2.0)
    assert alone.low == alone.value == alone.high


def test_maps_without_statistics_are_refused(planned: Any) -> None:
    with pytest.raises(InputError, match="must hold acceptance statistics"):
        planned(None, cost=1.0)


def test_steps_take_turns() -> None:
    seen: list[str] = []
    steps = {name: lambda name=name: seen.append(name) for name in ("a", "b")}
    found = time_steps(steps, repeats=3)
    assert "".join(seen) == "ab" * 4
    assert set(found) == {"a", "b"}


def test_real_steps_leave_the_cache_as_it_was(tiny_model: Any, make_maps: Any) -> None:
    from burnish.draft.cost import open_workbench
    from burnish.draft.plan import _ready, candidates

    model = tiny_model("llama")
    maps = dataclasses.replace(make_maps(model, entries=(1, 1)), ranks=ranks_of(0.5))
    bench = open_workbench(model, context_tokens=30, batch_size=2)
    for settings, tree in candidates(maps, "").values():
        step = bench.drafted(_ready(model, maps, settings, tree), example(tree, 3))
        step()
        assert bench.session.cache.lengths == [30, 30]
    bench.plain()
    assert bench.session.cache.lengths == [30, 30]
