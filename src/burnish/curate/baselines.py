"""Simple measures of complexity beside the trained one: length, perplexity, IFD."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from burnish.base.meter import Meter
from burnish.contracts.generation import ScoreRequest
from burnish.curate.samples import Sample

if TYPE_CHECKING:
    from burnish.models.handle import ModelHandle

LENGTH, PERPLEXITY, IFD = "length", "perplexity", "ifd"
NAMES = (LENGTH, PERPLEXITY, IFD)
MAX_SIDE = 256  # tokens of a question and of an answer that are read


def instruction_lengths(samples: Sequence[Sample]) -> Float[np.ndarray, " R"]:
    """Number of characters in the users' turns."""
    return np.array([float(len(sample.question)) for sample in samples])


def answer_losses(
    handle: "ModelHandle", samples: Sequence[Sample], meter: Meter, *, name: str
) -> Float[np.ndarray, " R"]:
    """Perplexity of each answer after its question, or IFD; NaN where a side has no token.

    IFD is the perplexity of the answer after its question over that of the answer alone.
    Source: perplexity as XCoder's Table 5; IFD: Li et al., arXiv 2308.12032.
    Oracle: tests/curate/test_baselines.py::test_losses_equal_the_engine
    """
    from burnish.engine.score import score

    found = np.full(len(samples), np.nan)
    start = handle.tokenizer.bos_token_id
    start = handle.tokenizer.eos_token_id if start is None else start
    requests, owners = list[ScoreRequest](), list[int]()
    for row, sample in enumerate(samples):
        question = handle.tokenizer(sample.question, add_special_tokens=False)["input_ids"]
        answer = handle.tokenizer(sample.answer, add_special_tokens=False)["input_ids"]
        question, answer = question[:MAX_SIDE], answer[:MAX_SIDE]
        if not question or not answer:
            continue
        owners.append(row)
        requests.append(_request(f"{row}-after", [start, *question], answer))
        if name == IFD:
            requests.append(_request(f"{row}-alone", [start], answer))
    losses = [-float(np.mean(s.logprobs)) for s in score(handle.model, requests, meter=meter)]
    if name == IFD:
        found[owners] = np.exp(np.array(losses[::2]) - np.array(losses[1::2]))
    else:
        found[owners] = np.exp(np.array(losses))
    return found


def _request(id: str, prompt: Sequence[int], completion: Sequence[int]) -> ScoreRequest:
    return ScoreRequest(id=id, prompt=tuple(prompt), completion=tuple(completion))
