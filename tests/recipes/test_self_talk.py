"""Self-talk: what is learned, against a masked loss by hand; and actors that are measured."""

from pathlib import Path

import pytest
import torch
from fixtures.critics import chains

from burnish.contracts.task import Task
from burnish.critique.build_job import build_critiques
from burnish.critique.planted import planted_solutions
from burnish.critique.players import ProgramPlayer
from burnish.critique.selftalk import parse_talk
from burnish.critique.settings import CritiqueBuildSettings
from burnish.critique.triples import Triple
from burnish.critique.wording import Wording
from burnish.data.chains import chain_of, verify, worked
from burnish.jobs.job import Place
from burnish.recipes import self_talk
from burnish.recipes.critic_settings import CriticTrainSettings
from burnish.recipes.critic_training import train_critic
from burnish.recipes.self_talk import LEVELS, learned_spans, measure_actor, talks_of
from burnish.train.settings import TrainSettings


def triples(num=8):
    solutions = planted_solutions(chains(num), right_frac=0.3, seed=0)
    return [Triple(id=str(i), solution=one, critique="") for i, one in enumerate(solutions)]


@pytest.mark.parametrize("level", LEVELS)
def test_answers_of_levels(level):
    found = talks_of(triples(30), level)
    assert len(found) > 25
    for one, talk in zip(triples(30), found, strict=True):
        chain = chain_of(one.solution.task)
        assert talk.text.endswith(f"\n#### {one.solution.task.answer}")
        wrong = [span.text for span in talk.spans if not span.learned]
        assert len(wrong) == (level != "step" and not one.solution.right)
        assert all(step not in chain.steps() for step in wrong)
        body = talk.text.rpartition("\n####")[0]
        if level == "self-talk":
            assert [t.revised or t.step for t in parse_talk(body)] == list(chain.steps())
        if level == "step":
            assert verify(chain, talk.text).right


def summed(reference, prompt, answer):
    with torch.no_grad():
        logits = reference(torch.tensor([[*prompt, *answer]])).logits[0].double().log_softmax(-1)
    return [-float(logits[len(prompt) - 1 + i, t]) for i, t in enumerate(answer)]


def check_masked_loss(model, reference):
    """The sum over examples is the sum over the whole answer, with the wrong steps' tokens at 0."""
    (one,) = [t for t in talks_of(triples(), "self-talk") if any(not s.learned for s in t.spans)][
        :1
    ]
    examples = learned_spans(model, [one])
    assert len(examples) == 2
    parts = [(s, model.tokenizer(s.text, add_special_tokens=False)["input_ids"]) for s in one.spans]
    flat = [token for _, tokens in parts for token in tokens]
    mask = [span.learned for span, tokens in parts for _ in tokens]
    start = examples[0].prompt
    whole = summed(reference, start, [*flat, examples[-1].answer[-1]])
    wanted = sum(loss for loss, learned in zip(whole, [*mask, True], strict=True) if learned)
    found = sum(sum(summed(reference, one.prompt, one.answer)) for one in examples)
    assert found == pytest.approx(wanted, rel=1e-5)
    assert sum(len(one.answer) for one in examples) == sum(mask) + 1
    last = examples[-1]
    assert [*last.prompt, *last.answer][len(start) :] == [*flat, last.answer[-1]]


def test_the_loss_equals_a_masked_one(tiny_model, tiny_reference):
    check_masked_loss(tiny_model("llama"), tiny_reference("llama"))


def test_planted_wrong_steps_that_are_learned(tiny_model, tiny_reference, monkeypatch):
    real = self_talk.spans_at
    monkeypatch.setattr(
        self_talk,
        "spans_at",
        lambda thoughts, level: [type(s)(text=s.text, learned=not s.learned and bool(s.text))
                                 for s in real(thoughts, level)],
    )  # fmt: skip
    with pytest.raises((AssertionError, ValueError)):
        check_masked_loss(tiny_model("llama"), tiny_reference("llama"))


def test_planted_answers_are_measured():
    tasks = chains(6)
    right = {t.prompt: worked(chain_of(t).steps()) for t in tasks[:4]}
    player = ProgramPlayer(function=lambda wish: right.get(wish.prompt, "hm"))
    found = measure_actor(tasks, player, max_new_tokens=9)
    assert found["accuracy"]["value"] == 4 / 6 and found["num"] == 6
    assert found["verdicts"] == {"right": 4, "unparsable": 2}
    talk = talks_of(triples(), "self-talk")
    task = Task(id="1", prompt=talk[0].prompt, answer="1", group="g", checker="number")
    player = ProgramPlayer(function=lambda wish: talk[0].text)
    assert measure_actor([task], player, max_new_tokens=9)["talks"]["value"] == 1.0


def test_an_actor_is_measured_twice(tiny_folder, tmp_path):
    plan = CritiqueBuildSettings(
        tasks=("chain:sums?size=8&steps=2",), wording=Wording(form="compact")
    )
    built = build_critiques(plan, Place(runs=tmp_path))
    settings = CriticTrainSettings(
        model=str(tiny_folder("llama")), triples=built["run"], role="self-talk",
        train=TrainSettings(method="full", num_steps=2), num_measured=2, max_new_tokens=3,
    )  # fmt: skip
    result = train_critic(settings, Place(runs=tmp_path))
    assert result["before"]["num"] == result["after"]["num"] == 2
    assert Path(result["model"]).is_dir() and len(result["losses"]) == 2
