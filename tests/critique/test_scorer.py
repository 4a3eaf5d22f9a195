"""Scores of steps and answers, against transformers' own logits."""

import pytest
import torch

from burnish.base.errors import ModelError
from burnish.critique import scorer
from burnish.critique.scorer import RewardModel, score_answers
from burnish.critique.voting import best_of, vote
from burnish.critique.wording import Wording
from burnish.data.chat import render_prompt

PAIRS = [("1+1+2=", "1+1=2\n2+2=4\n#### 4"), ("5-3=", "5-3=2\n#### 2")]


def logprob(reference, prompt, completion):
    with torch.no_grad():
        logits = reference(torch.tensor([[*prompt, *completion]])).logits[0].log_softmax(-1)
    return sum(float(logits[len(prompt) - 1 + i, t]) for i, t in enumerate(completion))


def check_full_logits(model, reference, form):
    wording = Wording(form=form)
    found = score_answers(model, PAIRS, wording)
    for (problem, answer), one in zip(PAIRS, found, strict=True):
        start = render_prompt(model.tokenizer, wording.critique_prompt(problem, answer))
        encode = lambda text: model.tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
        first = answer.split("\n")[0]
        head = first if form == "compact" else f"Step sentence: {first}\nCorrectness of the step:"
        words = (" ok", " no") if form == "compact" else (" Correct", " Wrong")
        good, bad = (logprob(reference, [*start, *encode(head)], encode(w)) for w in words)
        assert one.steps[0] == pytest.approx(
            1 / (1 + torch.tensor(bad - good).exp().item()), abs=1e-4
        )
        assert len(one.steps) == answer.count("\n") and one.lowest <= one.answer


@pytest.mark.parametrize("form", ["compact", "full"])
def test_probabilities_equal_full_logits(tiny_model, tiny_reference, form):
    check_full_logits(tiny_model("llama"), tiny_reference("llama"), form)


def test_planted_verdicts_exchanged(tiny_model, tiny_reference, monkeypatch):
    real = scorer._word
    monkeypatch.setattr(scorer, "_word", lambda right, wording: real(not right, wording))
    with pytest.raises(AssertionError):
        check_full_logits(tiny_model("llama"), tiny_reference("llama"), "compact")


def test_scores_choose_and_weigh(tiny_model):
    found = score_answers(tiny_model("llama"), PAIRS, Wording(form="compact"))
    values = [one.answer for one in found]
    assert best_of(["a", "b"], values) == ("a" if values[0] >= values[1] else "b")
    assert vote(["a", "b", "b"], [*values, 1.0]) == "b"


def test_a_reward_model_is_transformers_own(tmp_path, tiny_folder):
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(tiny_folder("llama"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=269, hidden_size=28, intermediate_size=37, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=6, num_labels=1, pad_token_id=0,
    )  # fmt: skip
    own = LlamaForSequenceClassification(config).eval()
    own.save_pretrained(tmp_path / "reward")
    tokenizer.save_pretrained(tmp_path / "reward")
    tokens = render_prompt(tokenizer, "1+1=")
    tokens += tokenizer("2", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        wanted = float(own(torch.tensor([tokens])).logits[0, 0])
    assert RewardModel(tmp_path / "reward").score([("1+1=", "2")]) == [
        pytest.approx(wanted, abs=1e-5)
    ]
    with pytest.raises(ModelError, match="reward model"):
        RewardModel(tmp_path / "nothing")
