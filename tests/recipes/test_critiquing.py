"""The stage `critique` of `improve`, with simulated players on chains of sums."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from fixtures.critics import actor, chains, critic
from fixtures.improving import SETTINGS

from burnish.base.meter import Meter
from burnish.base.stages import StageResult
from burnish.critique.wording import Wording
from burnish.data.chains import chain_of, verify
from burnish.recipes import gathering
from burnish.recipes.answering import DECODING
from burnish.recipes.critic_settings import CriticLoopSettings
from burnish.recipes.gathering import attempt_again, gather
from burnish.recipes.settings import CritiqueStageSettings, SampleSettings
from burnish.recipes.steps import critique as module
from burnish.recipes.steps.critique import CRITIC, CritiqueStep
from burnish.recipes.steps.rounds import Roles

STAGE = CritiqueStageSettings(critic="scripted", form="compact")


def made(tmp_path, monkeypatch):
    tasks = chains(20)
    plan = CriticLoopSettings(num_samples=2, wording=Wording(form="compact"))
    answers = gather(tasks, actor(), None, plan, seed=0).answers
    monkeypatch.setattr(module, "model_player", lambda *args: actor(fixes=0.8))
    roles = Roles(number=1, sampled=("sample-1",), pool=("sample-1",))
    (step,) = CritiqueStep.in_round(replace(SETTINGS, critique=STAGE), roles)
    assert roles.pool == ("sample-1", "critique-1") and roles.sampled == ("sample-1",)
    given = {"base": None, CRITIC: None, "train": tasks, "sample-1": answers,
             DECODING: SimpleNamespace(batch_size=4)}  # fmt: skip
    output = step.make(SimpleNamespace(path=tmp_path), given, Meter())
    done = SimpleNamespace(path=tmp_path, output=output)
    return step, tasks, answers, done


def check_revisions(tmp_path, monkeypatch):
    step, tasks, answers, done = made(tmp_path, monkeypatch)
    revised = step.open(step.name, done, None)
    wrong = {r.id for r in answers if r.verdict == "wrong"}
    by_id = {task.id: task for task in tasks}
    assert revised and len(revised) <= len(wrong)
    for record in revised:
        assert record.provenance["answer"] in wrong
        assert record.prompt == by_id[record.task_id].prompt
        assert verify(chain_of(by_id[record.task_id]), record.answer).right
    (told,) = step.tell(done, None)
    assert told.numbers["critique"][0]["num_refined_kept"] == len(revised)
    assert told.numbers["critique"][0]["tokens"]["critic"] > 0


def test_revisions_join_the_pool(tmp_path, monkeypatch):
    check_revisions(tmp_path, monkeypatch)


def test_planted_revisions_of_right_answers(tmp_path, monkeypatch):
    real = gathering._refine

    def swapped(done, wrong, *rest):
        task, _ = wrong[0]
        right = next(r for r in done.answers if r.verdict == "right")
        return real(done, [(task, right)] * len(wrong), *rest)

    monkeypatch.setattr(gathering, "_refine", swapped)
    with pytest.raises((AssertionError, KeyError)):
        check_revisions(tmp_path, monkeypatch)


def test_no_critic_no_stage():
    roles = Roles(number=1, pool=("sample-1",))
    assert CritiqueStep.in_round(SETTINGS, roles) == () and roles.pool == ("sample-1",)


def test_nothing_wrong_is_no_error():
    plan = CriticLoopSettings(wording=Wording(form="compact"))
    found = attempt_again([], [], (actor(), critic()), plan, seed=0)
    assert found.refined == [] and found.counts["num_refined_kept"] == 0


def test_what_second_attempts_added_is_told(tmp_path):
    """The scripted critic writes no tokens: 0 are shown."""
    step = CritiqueStep(
        name="critique-1", actor="base", sampled=("sample-1",), critique=CritiqueStageSettings(),
        sample=SampleSettings(), seed=0,
    )  # fmt: skip
    counts = {"num_wrong": 7, "num_refined_kept": 3, "num_solved_by_refinement_only": 2}
    for tokens, shown in (({}, [0, 0, 0]), ({"actor": 5, "critic": 6, "prefilled": 9}, [5, 6, 9])):
        output = {"counts": {**counts, "tokens": tokens}}
        done = StageResult(name="critique-1", key="k", path=tmp_path, output=output, artefacts=(),
                           seconds=1.0, reused=False)  # fmt: skip
        (told,) = step.tell(done, {})
        assert told.blocks[0].rows == [["critique-1", 7, 3, 2, *shown]]
        assert told.numbers == {"critique": [{"stage": "critique-1", **output["counts"]}]}
