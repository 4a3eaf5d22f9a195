"""Simple measures of complexity beside the trained one: length, answer, perplexity, IFD."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from burnish.base.meter import Meter
from burnish.contracts.generation import ScoreRequest
from burnish.curate.programs import FENCE
from burnish.curate.samples import Sample
from burnish.curate.tokens import CODE

if TYPE_CHECKING:
    from burnish.models.handle import ModelHandle

LENGTH, ANSWER, PERPLEXITY, IFD = "length", "answer", "perplexity", "ifd"
NAMES = (LENGTH, ANSWER, PERPLEXITY, IFD)
MAX_SIDE = 256  # tokens of a question and of an answer that are read


def instruction_lengths(samples: Sequence[Sample]) -> Float[np.ndarray, " R"]:
    """Number of characters in the users' turns."""
    return np.array([float(len(sample.question)) for sample in samples])


def answer_sizes(samples: Sequence[Sample]) -> Float[np.ndarray, " R"]:
    """Number of code tokens in the answers; NaN without one.

    Of an answer with fenced code, the code alone counts. No model and no label is needed, and any
    language will do.
    Source: ours. Oracle: tests/curate/test_baselines.py::test_sizes_of_answers
    """
    found = np.full(len(samples), np.nan)
    for row, sample in enumerate(samples):
        fenced = [match[2] for match in FENCE.finditer(sample.answer)]
        found[row] = len(CODE.findall("\n".join(fenced or [sample.answer]))) or np.nan
    return found


def answer_losses(
    handle: "ModelHandle", samples: Sequence[Sample], meter: Meter, *, name: str
) -> Float[np.ndarray, " R"]:
    """Perplexity of each answer after its question, or IFD; NaN where a side has no token.

    IFD is the perplexity of the answer after its question over that of the answer alone.
    Source: perplexity as XCoder's Table 5; IFD: Li et al., arXiv 2308.12032.
    Oracle: tests/curate/test_baselines.py::test_losses_equal_the_engine
    """
    after, alone = perplexities(handle, samples, meter, alone=name == IFD)
    return after / alone if name == IFD else after


def perplexities(
    handle: "ModelHandle", samples: Sequence[Sample], meter: Meter, *, alone: bool = True
) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]:
    """Perplexity of each answer after its question and, if asked for, alone; else NaN.

    Source: as `answer_losses`. Oracle: tests/curate/test_baselines.py::test_losses_equal_the_engine
    """
    from burnish.engine.score import score

    start = handle.tokenizer.bos_token_id
    start = handle.tokenizer.eos_token_id if start is None else start
    requests = list[ScoreRequest]()
    for row, sample in enumerate(samples):
        question = handle.tokenizer(sample.question, add_special_tokens=False)["input_ids"]
        answer = handle.tokenizer(sample.answer, add_special_tokens=False)["input_ids"]
        question, answer = question[:MAX_SIDE], answer[:MAX_SIDE]
        if not question or not answer:
            continue
        requests.append(_request(f"after {row}", [start, *question], answer))
        if alone:
            requests.append(_request(f"alone {row}", [start], answer))
    found = {"after": np.full(len(samples), np.nan), "alone": np.full(len(samples), np.nan)}
    for one in score(handle.model, requests, meter=meter):
        side, row = one.id.split()
        found[side][int(row)] = np.exp(-np.mean(one.logprobs))
    return found["after"], found["alone"]


def _request(id: str, prompt: Sequence[int], completion: Sequence[int]) -> ScoreRequest:
    return ScoreRequest(id=id, prompt=tuple(prompt), completion=tuple(completion))
