"""Scores of answers: the critic's probability that each step is right, and reward models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import ModelError
from burnish.base.meter import Meter
from burnish.contracts.generation import ScoreRequest
from burnish.critique.grammar import (
    COMPACT_FINAL,
    FINAL_VERDICT,
    SHORT,
    STEP,
    STEP_VERDICT,
    WHY,
    WORDS,
    steps_of,
)
from burnish.critique.wording import Wording
from burnish.data.chat import render_prompt
from burnish.engine.score import score
from burnish.models.load import Model


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The critic's probabilities of one answer: `steps` in order, then `answer` as a whole.

    Each is that of the word for right against the word for wrong, after all steps before it were
    called right.
    """

    steps: tuple[float, ...]
    answer: float

    @property
    def lowest(self) -> float:
        """The lowest of them: an answer is as good as its worst step."""
        return min((*self.steps, self.answer))


def score_answers(
    model: Model,
    pairs: Sequence[tuple[str, str]],
    wording: Wording,
    *,
    meter: Meter | None = None,
) -> list[Scores]:
    """Scores of (problem, answer) pairs; the rows of each prompt are computed once.

    Best-of-N takes the answer with the highest score, a weighted vote adds scores (`voting`).
    Raises: what `score` raises.
    Source: ours; the reading of verdict tokens follows generative verifiers, arXiv 2408.15240.
    Oracle: tests/critique/test_scorer.py::test_probabilities_equal_full_logits
    """
    requests: list[ScoreRequest] = []
    for number, (problem, answer) in enumerate(pairs):
        start = render_prompt(model.tokenizer, wording.critique_prompt(problem, answer))
        for place, text in enumerate(_prefixes(steps_of(answer), wording)):
            prompt = (*start, *_encode(model, text))
            for right in (True, False):
                requests.append(
                    ScoreRequest(
                        id=f"{number}/{place}/{right}",
                        prompt=prompt,
                        completion=tuple(_encode(model, _word(right, wording))),
                    )
                )
    found = score(model, requests, meter=meter)
    sums = [sum(one.logprobs) for one in found]
    chances = [_chance(good, bad) for good, bad in zip(sums[::2], sums[1::2], strict=True)]
    return _grouped(pairs, chances)


def _grouped(pairs: Sequence[tuple[str, str]], chances: list[float]) -> list[Scores]:
    found, at = [], 0
    for _, answer in pairs:
        num = len(steps_of(answer))
        found.append(Scores(steps=tuple(chances[at : at + num]), answer=chances[at + num]))
        at += num + 1
    return found


def _prefixes(steps: Sequence[str], wording: Wording) -> list[str]:
    """What precedes each verdict, when all steps before are called right."""
    if wording.form == "compact":
        lines = [*steps, COMPACT_FINAL]
        done = [f"{step} {SHORT[True]}\n" for step in steps]
        return ["".join(done[:i]) + line for i, line in enumerate(lines)]
    done = [f"{STEP}{step}\n{STEP_VERDICT}{WORDS[True]}\n{WHY}\n" for step in steps]
    heads = [f"{STEP}{step}\n{STEP_VERDICT}".rstrip() for step in steps]
    return ["".join(done[:i]) + head for i, head in enumerate([*heads, FINAL_VERDICT.rstrip()])]


def _word(right: bool, wording: Wording) -> str:
    return f" {SHORT[right] if wording.form == 'compact' else WORDS[right]}"


def _encode(model: Model, text: str) -> list[int]:
    return model.tokenizer(text, add_special_tokens=False)["input_ids"]


def _chance(good: float, bad: float) -> float:
    return float(1 / (1 + np.exp(np.clip(bad - good, -700, 700))))


class RewardModel:
    """Any sequence classifier of transformers as a scorer: one number for each (problem, answer).

    Raises: ModelError, for a folder that holds no such model.
    Source: transformers, `AutoModelForSequenceClassification`.
    Oracle: tests/critique/test_scorer.py::test_a_reward_model_is_transformers_own
    """

    def __init__(self, folder: Path | str) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            self._model: Any = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        except (OSError, ValueError) as error:
            remedy = "Name a folder of a sequence classifier"
            raise ModelError(
                "reward model", str(folder), "cannot be loaded", remedy=remedy
            ) from error

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The first logit of each conversation, one at a time: no padding changes a score."""
        import torch

        found: list[float] = []
        for problem, answer in pairs:
            tokens = [*render_prompt(self._tokenizer, problem)]
            tokens += self._tokenizer(answer, add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                found.append(float(self._model(torch.tensor([tokens])).logits[0, 0]))
        return found
