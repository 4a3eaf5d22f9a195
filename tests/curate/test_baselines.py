"""Simple measures against the engine's own scores."""

import numpy as np
import pytest

from burnish.base.meter import Meter
from burnish.contracts.generation import ScoreRequest
from burnish.curate import baselines
from burnish.curate.baselines import answer_losses, answer_sizes, instruction_lengths
from burnish.curate.samples import read_sample
from burnish.engine.score import score
from burnish.models.handle import ModelHandle

ROWS = [{"prompt": "river hat", "completion": "town sum town"}, {"prompt": "hat", "completion": ""}]
SAMPLES = [read_sample(row, i) for i, row in enumerate(ROWS)]


def check_losses(handle):
    tokens = handle.tokenizer
    question, answer = (
        tokens(text, add_special_tokens=False)["input_ids"] for text in ROWS[0].values()
    )
    start = tokens.bos_token_id if tokens.bos_token_id is not None else tokens.eos_token_id
    means = []
    for prompt in ([start, *question], [start]):
        request = ScoreRequest(id="x", prompt=tuple(prompt), completion=tuple(answer))
        means.append(-np.mean(score(handle.model, [request])[0].logprobs))
    perplexity = answer_losses(handle, SAMPLES, Meter(), name="perplexity")
    ifd = answer_losses(handle, SAMPLES, Meter(), name="ifd")
    assert perplexity[0] == pytest.approx(np.exp(means[0]), rel=1e-4)
    assert ifd[0] == pytest.approx(np.exp(means[0] - means[1]), rel=1e-4)
    assert np.isnan(perplexity[1]) and np.isnan(ifd[1])


def test_losses_equal_the_engine(tiny_folder):
    check_losses(ModelHandle(str(tiny_folder()), precision="fp32"))


def test_planted_losses_without_the_question(tiny_folder, monkeypatch):
    original = baselines._request
    monkeypatch.setattr(baselines, "_request", lambda id, p, c: original(id, p[:1], c))
    with pytest.raises(AssertionError):
        check_losses(ModelHandle(str(tiny_folder()), precision="fp32"))


def test_lengths():
    assert instruction_lengths(SAMPLES).tolist() == [9.0, 3.0]


def test_sizes_of_answers():
    """Code counts, and prose where there is no code; nothing is no size."""
    answers = ["Here:\n```python\nx = f(1)\n```\nIt calls f.", "x = f(1)", "", "``` \n```"]
    rows = [read_sample({"prompt": "q", "completion": text}, i) for i, text in enumerate(answers)]
    fenced, bare, empty, hollow = answer_sizes(rows)
    assert fenced == bare == 6
    assert np.isnan(empty) and np.isnan(hollow)
