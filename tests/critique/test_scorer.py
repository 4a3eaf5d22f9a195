"""Scores of steps and answers, against transformers' own logits."""

import math
from functools import partial

import pytest
import torch
from transformers import AutoTokenizer

from burnish.base.errors import ModelError
from burnish.base.meter import Meter
from burnish.critique import scorer
from burnish.critique.scorer import CriticScorer, RewardModel, score_answers
from burnish.critique.wording import Wording
from burnish.data.chat import render_prompt

PAIRS = [("1+1+2=", "1+1=2\n2+2=4\n#### 4"), ("5-3=", "5-3=2\n#### 2")]


def logprob(reference, prompt, completion):
    with torch.no_grad():
        logits = reference(torch.tensor([[*prompt, *completion]])).logits[0].log_softmax(-1)
    return sum(float(logits[len(prompt) - 1 + i, t]) for i, t in enumerate(completion))


def logprob_of(tokenizer, reference, start, head, word):
    head, word = (tokenizer(t, add_special_tokens=False)["input_ids"] for t in (head, word))
    return logprob(reference, [*start, *head], word)


def check_full_logits(model, reference, form):
    wording = Wording(form=form)
    found = score_answers(model, PAIRS, wording)
    for (problem, answer), one in zip(PAIRS, found, strict=True):
        start = render_prompt(model.tokenizer, wording.critique_prompt(problem, answer))
        first = answer.split("\n")[0]
        tell = partial(logprob_of, model.tokenizer, reference, start)
        if form == "compact":
            assert math.log(one.steps[0]) == pytest.approx(tell(first, f" > {first} ok"), abs=1e-3)
            lines = [f"{step} > {step} ok\n" for step in answer.split("\n")[:-1]]
            head, words, found_chance = "".join(lines) + "answer", (" ok", " no"), one.answer
        else:
            head = f"Step sentence: {first}\nCorrectness of the step:"
            words, found_chance = (" Correct", " Wrong"), one.steps[0]
        good, bad = (tell(head, word) for word in words)
        assert found_chance == pytest.approx(1 / (1 + math.exp(bad - good)), abs=1e-4)
        assert len(one.steps) == answer.count("\n") and one.lowest <= one.answer


@pytest.mark.parametrize("form", ["compact", "full"])
def test_probabilities_equal_full_logits(tiny_model, tiny_reference, form):
    check_full_logits(tiny_model("llama"), tiny_reference("llama"), form)


def test_planted_verdicts_exchanged(tiny_model, tiny_reference, monkeypatch):
    monkeypatch.setattr(scorer, "SHORT", {True: "no", False: "ok"})
    with pytest.raises(AssertionError):
        check_full_logits(tiny_model("llama"), tiny_reference("llama"), "compact")


def test_scores_combine_and_count_tokens(tiny_model):
    """What critiques of one answer begin with alike is read once."""
    model, wording = tiny_model("llama"), Wording(form="compact")
    (one, other), meter = score_answers(model, PAIRS, wording), Meter("s")
    chances = (*one.steps, one.answer)
    for combine, wanted in (("product", math.prod(chances)), ("lowest", min(chances)),
                            ("answer", one.answer)):  # fmt: skip
        scorer_of = CriticScorer(model=model, wording=wording, combine=combine)
        found = scorer_of.score(PAIRS, meter)
        assert found == pytest.approx([wanted, getattr(other, combine)])
    texts = "1+1=2 > 1+1=2 ok\n2+2=4 > 2+2=4 ok\nanswer", "5-3=2 > 5-3=2 ok\nanswer"
    whole = [
        len(render_prompt(model.tokenizer, wording.critique_prompt(problem, answer)))
        + len(model.tokenizer(text, add_special_tokens=False)["input_ids"])
        for (problem, answer), text in zip(PAIRS, texts, strict=True)
    ]
    assert meter.totals()["prefilled"] / 3 <= sum(whole) + 4


def test_a_reward_model_is_transformers_own(tmp_path, tiny_folder):
    from transformers import LlamaConfig, LlamaForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(tiny_folder("llama"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=269, hidden_size=28, intermediate_size=37, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=6, num_labels=1, pad_token_id=0,
    )  # fmt: skip
    own = LlamaForSequenceClassification(config).eval()
    own.save_pretrained(tmp_path / "reward")
    tokenizer.save_pretrained(tmp_path / "reward")
    talk = [{"role": "user", "content": "1+1="}, {"role": "assistant", "content": "2"}]
    text = tokenizer.apply_chat_template(talk, tokenize=False).rstrip("\n")
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        wanted = float(own(torch.tensor([tokens])).logits[0, 0])
    reward, meter = RewardModel(tmp_path / "reward"), Meter("s")
    assert reward.logits([("1+1=", "2")], meter) == [pytest.approx(wanted, abs=1e-5)]
    assert meter.totals()["prefilled"] == len(tokens)
    assert reward.score([("1+1=", "2")], meter) == [
        pytest.approx(1 / (1 + math.exp(-wanted)), abs=1e-5)
    ]


def test_what_is_no_reward_model_is_refused(tmp_path, tiny_folder):
    """A language model has no head of scores, and a classifier of three labels no one score."""
    from transformers import LlamaForSequenceClassification

    with pytest.raises(ModelError, match="cannot be loaded"):
        RewardModel(tmp_path / "nothing")
    with pytest.raises(ModelError, match=r"lacks score\.weight"):
        RewardModel(tiny_folder("llama"))
    three = LlamaForSequenceClassification.from_pretrained(tiny_folder("llama"), num_labels=3)
    three.save_pretrained(tmp_path / "three")
    AutoTokenizer.from_pretrained(tiny_folder("llama")).save_pretrained(tmp_path / "three")
    with pytest.raises(ModelError, match="must have one output, got 3"):
        RewardModel(tmp_path / "three")
