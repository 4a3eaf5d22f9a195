"""One round of the loop, against rejection sampling and planted refiners."""

from dataclasses import replace

import pytest
from fixtures.critics import actor, chains, critic

from burnish.base.rng import derive_seed
from burnish.critique.critics import scripted_critic
from burnish.critique.filters import gives_away, tells
from burnish.critique.wording import Wording
from burnish.data.chains import chain_of, verify
from burnish.recipes import gathering
from burnish.recipes.answering import sampled_asks
from burnish.recipes.critic_settings import CriticLoopSettings
from burnish.recipes.gathering import gather
from burnish.recipes.selecting import select_right
from burnish.recipes.settings import SelectSettings

PLAN = CriticLoopSettings(num_samples=3, num_refinements=2, wording=Wording(form="compact"))


def check_rejection_sampling():
    tasks = chains(30)
    done = gather(tasks, actor(), None, PLAN, seed=5)
    assert done.selected == select_right(done.answers, SelectSettings(max_per_task=4))
    assert done.refined == [] and done.pairs == [] and done.refresh == []
    asks = sampled_asks(tasks, range(3), seed=5)
    assert [record.id for record in done.answers] == [ask.name for ask in asks]
    assert asks[0].sampling.seed == derive_seed(5, tasks[0].id, 0)
    again = gather(tasks, actor(), critic(passes=1.0, flags=0.0), PLAN, seed=5)
    assert again.selected == done.selected  # a critic that flags nothing


def test_no_critic_is_rejection_sampling_exactly():
    check_rejection_sampling()


def test_planted_answers_that_are_drawn_anew(monkeypatch):
    real = gathering._sample_wishes
    monkeypatch.setattr(gathering, "_sample_wishes", lambda t, s, seed: real(t, s, seed + 1)[::-1])
    with pytest.raises(AssertionError):
        check_rejection_sampling()


def test_refinements_are_right_few_and_traceable():
    tasks = chains(40)
    done = gather(tasks, actor(fixes=0.8), critic(flags=1.0), PLAN, seed=5)
    by_id = {task.id: task for task in tasks}
    assert len(done.pairs) == len(done.refined) > 20
    assert len({pair["id"].split("/refined")[0] for pair in done.pairs}) == len(done.pairs)
    for pair in done.pairs:
        chain = chain_of(by_id[pair["task_id"]])
        assert verify(chain, pair["refined"]).right and not verify(chain, pair["y"]).right
    assert len(done.refresh) == len(done.pairs)
    assert all(record.prompt == by_id[record.task_id].prompt for record in done.selected)
    assert done.counts["num_solved_by_refinement_only"] > 0
    assert done.counts["tokens"]["critic"] > 0 and done.counts["tokens"]["prefilled"] > 0
    assert done.counts["num_leaking"] == 0
    assert sum(done.counts["verdicts"].values()) == done.counts["num_answers"] == 120


def test_budget_feedback_and_mask():
    plan = CriticLoopSettings(**{**vars(PLAN), "budget": "explicit", "num_extra": 11,
                                 "feedback": True, "mask": True, "max_kept": 5})  # fmt: skip
    done = gather(chains(20), actor(fixes=0.9), critic(flags=1.0), plan, seed=5)
    assert 0 < sum(done.counts["refinements"].values()) <= 11
    extra = [record for record in done.selected if record.id.endswith("/feedback")]
    assert extra and all(record.prompt.endswith("again") for record in extra)


def test_only_critiques_that_give_the_reference_away_are_masked():
    tasks = chains(60)
    by_id, judge = {task.id: task for task in tasks}, scripted_critic(tasks, PLAN.wording)
    open_pairs, masked_pairs = (
        {p["y"]: p for p in gather(tasks, actor(fixes=1.0), judge, plan, seed=5).pairs}
        for plan in (PLAN, replace(PLAN, mask=True))
    )
    given_away = 0
    for answer, pair in open_pairs.items():
        task, hidden = by_id[pair["task_id"]], masked_pairs[answer]["c"]
        if gives_away(pair["c"], task, answer):
            given_away += 1
            assert "?" in hidden and not gives_away(hidden, task, answer)
        else:
            assert hidden == pair["c"]
    assert 0 < given_away < len(open_pairs)
    assert any(tells(p["c"], by_id[p["task_id"]].answer) for p in masked_pairs.values())


def test_a_shuffled_critic_gives_other_tasks_critiques():
    done = gather(chains(20), actor(fixes=0.9), critic(flags=1.0), PLAN, seed=5, shuffles=True)
    for pair in done.pairs:
        assert pair["c"].split("\n")[0] != pair["y"].split("\n")[0] + " ok"
