"""Scores of answers: the critic's probability that each step is right, and reward models."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from burnish.base.errors import ModelError
from burnish.base.files import read_json
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
    compact_line,
    steps_of,
)
from burnish.critique.wording import Wording
from burnish.data.chat import render_example, render_prompt
from burnish.engine.score import score
from burnish.models.load import Model

Combine = Literal["product", "lowest", "answer"]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The critic's probabilities of one answer: `steps` in order, then `answer` as a whole.

    Each is that of the word for right against the word for wrong, after all steps before it were
    called right. In the compact form a step's is that the critic writes the same step beside it,
    and calls the two right.
    """

    steps: tuple[float, ...]
    answer: float

    @property
    def lowest(self) -> float:
        """The lowest of them: an answer is as good as its worst step."""
        return min((*self.steps, self.answer))

    @property
    def product(self) -> float:
        """All of them together: the chance that the critic passes every step and the answer."""
        return math.prod((*self.steps, self.answer))


class Scorer(Protocol):
    """Gives each (problem, answer) pair a weight in [0, 1], and counts the tokens of it."""

    def score(self, pairs: Sequence[tuple[str, str]], meter: Meter) -> list[float]:
        """The weights, in the order of the pairs."""
        ...


@dataclass(frozen=True, kw_only=True)
class CriticScorer:
    """A local critic as a scorer. Source: ours.

    Oracle: tests/critique/test_scorer.py::test_probabilities_equal_full_logits
    """

    model: Model
    wording: Wording
    combine: Combine = "product"

    def score(self, pairs: Sequence[tuple[str, str]], meter: Meter) -> list[float]:
        """P(correct) of every answer, its steps combined."""
        found = score_answers(self.model, pairs, self.wording, meter=meter)
        return [float(getattr(one, self.combine)) for one in found]


def score_answers(
    model: Model,
    pairs: Sequence[tuple[str, str]],
    wording: Wording,
    *,
    meter: Meter | None = None,
) -> list[Scores]:
    """Scores of (problem, answer) pairs; what critiques begin with alike is computed once.

    Best-of-N takes the answer with the highest score, a weighted vote adds scores (`selection`).
    Raises: what `score` raises.
    Source: ours; the reading of verdict tokens follows generative verifiers, arXiv 2408.15240.
    Oracle: tests/critique/test_scorer.py::test_probabilities_equal_full_logits
    """
    requests: list[ScoreRequest] = []
    for number, (problem, answer) in enumerate(pairs):
        start = render_prompt(model.tokenizer, wording.critique_prompt(problem, answer))
        for place, (text, endings) in enumerate(_verdicts(steps_of(answer), wording)):
            prompt = (*start, *_encode(model, text))
            for end, ending in enumerate(endings):
                requests.append(
                    ScoreRequest(
                        id=f"{number}/{place}/{end}",
                        prompt=prompt,
                        completion=tuple(_encode(model, ending)),
                    )
                )
    sums = {one.id: sum(one.logprobs) for one in score(model, requests, meter=meter, share=True)}
    found = list[Scores]()
    for number, (_, answer) in enumerate(pairs):
        chances = [
            _chance(sums[f"{number}/{place}/0"], sums.get(f"{number}/{place}/1"))
            for place in range(len(steps_of(answer)) + 1)
        ]
        found.append(Scores(steps=tuple(chances[:-1]), answer=chances[-1]))
    return found


def _verdicts(steps: Sequence[str], wording: Wording) -> list[tuple[str, tuple[str, ...]]]:
    """What precedes each verdict when all steps before are called right, and its endings.

    The first ending calls it right. Where it is alone, its probability is that of the verdict.
    """
    if wording.form == "compact":
        ends = [compact_line(step, True) for step in steps]
        heads = ["".join(f"{end}\n" for end in ends[:i]) for i in range(len(steps) + 1)]
        found = [(head + step, (end.removeprefix(step),))
                 for head, step, end in zip(heads[:-1], steps, ends, strict=True)]  # fmt: skip
        both = f" {SHORT[True]}", f" {SHORT[False]}"
        return [*found, (heads[-1] + COMPACT_FINAL, both)]
    done = [f"{STEP}{step}\n{STEP_VERDICT}{WORDS[True]}\n{WHY}\n" for step in steps]
    last = [f"{STEP}{step}\n{STEP_VERDICT}".rstrip() for step in steps] + [FINAL_VERDICT.rstrip()]
    both = f" {WORDS[True]}", f" {WORDS[False]}"
    return [("".join(done[:i]) + head, both) for i, head in enumerate(last)]


def _encode(model: Model, text: str) -> list[int]:
    return model.tokenizer(text, add_special_tokens=False)["input_ids"]


def _chance(good: float, bad: float | None) -> float:
    if bad is None:
        return math.exp(good)
    return float(1 / (1 + np.exp(np.clip(bad - good, -700, 700))))


def check_reward_model(folder: Path) -> None:
    """Raise ModelError, without loading it, for a folder of another kind of model."""
    config = folder / "config.json"
    known = read_json(config) if config.is_file() else {}
    names = known.get("architectures") or ["nothing"]
    if not any("SequenceClassification" in str(name) for name in names):
        rule, remedy = "must hold a sequence classifier", "Name a folder of a reward model"
        raise ModelError("reward model", f"{folder} with {names[0]}", rule, remedy=remedy)


class RewardModel:
    """Any sequence classifier of transformers as a scorer: one number for each (problem, answer).

    Raises: ModelError, for a folder that holds no such model, or one without a trained head.
    Source: transformers, `AutoModelForSequenceClassification`.
    Oracle: tests/critique/test_scorer.py::test_a_reward_model_is_transformers_own
    """

    def __init__(self, folder: Path | str) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        remedy = "Name a folder of a sequence classifier"
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            found: Any = AutoModelForSequenceClassification.from_pretrained(
                folder, output_loading_info=True
            )
        except Exception as error:  # transformers has no error of its own for what is no model
            rule = f"cannot be loaded ({type(error).__name__})"
            raise ModelError("reward model", str(folder), rule, remedy=remedy) from error
        self._model, info = found[0].eval(), found[1]
        if info["missing_keys"]:
            rule = f"lacks {', '.join(sorted(info['missing_keys'])[:3])}"
            raise ModelError("reward model", str(folder), rule, remedy=remedy)
        if self._model.config.num_labels != 1:
            value, rule = self._model.config.num_labels, "must have one output"
            raise ModelError("reward model's labels", value, rule, remedy=remedy)

    def logits(self, pairs: Sequence[tuple[str, str]], meter: Meter) -> list[float]:
        """The logit of each conversation, one at a time: no padding changes a score."""
        import torch

        found: list[float] = []
        for problem, answer in pairs:
            given, said = render_example(self._tokenizer, problem, answer)
            with torch.inference_mode():
                found.append(float(self._model(torch.tensor([given + said])).logits[0, 0]))
            meter.add("prefilled", len(given) + len(said))
            meter.add("passes", 1)
        return found

    def score(self, pairs: Sequence[tuple[str, str]], meter: Meter) -> list[float]:
        """Logits as probabilities: of Bradley and Terry, against an answer of reward zero."""
        return [_chance(logit, 0.0) for logit in self.logits(pairs, meter)]
