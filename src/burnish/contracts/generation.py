"""Requests, sampling settings and completions: the engine's input and output."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from burnish.base.errors import SettingError

Finish = Literal["eos", "stop", "length", "grammar"]


@runtime_checkable
class Matcher(Protocol):
    """What may come next in one text that follows a grammar."""

    def allowed(self) -> np.ndarray:
        """Whether each token of the vocabulary may come next; end tokens where it may end."""
        ...

    def take(self, token: int) -> bool:
        """Go on with a token; False where the grammar can be followed no further."""
        ...


@runtime_checkable
class Grammar(Protocol):
    """A form that texts must have, such as a JSON schema."""

    def open(self) -> Matcher:
        """A matcher at the beginning of a text."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is chosen. `temperature=0` is greedy.

    Filters apply in the order penalties, temperature, top-k, top-p, min-p, as in transformers.
    `stop` strings end the text and are not part of it. The noise of a request depends on `seed`
    and the position only, never on the batch. The frequency penalty is subtracted once for each
    time that the new text holds a token, the presence penalty once if it holds it [nats].
    `logit_bias` pairs token ids with what is added to their logits [nats], as penalties are.
    """

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_k: int = 0  # 0: off
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        checks = [
            ("max_new_tokens", self.max_new_tokens >= 1, "must be at least 1", "Raise it"),
            ("temperature", self.temperature >= 0, "must not be negative", "0 is greedy"),
            ("top_k", self.top_k >= 0, "must not be negative", "0 turns it off"),
            ("top_p", 0 < self.top_p <= 1, "must lie in (0, 1]", "1 turns it off"),
            ("min_p", 0 <= self.min_p < 1, "must lie in [0, 1)", "0 turns it off"),
            *(
                (name, abs(getattr(self, name)) < float("inf"), "must be finite", "0 turns it off")
                for name in ("frequency_penalty", "presence_penalty")
            ),
            ("repetition_penalty", self.repetition_penalty > 0, "must be positive", "1 is off"),
            (
                "logit_bias",
                all(token >= 0 and isfinite(bias) for token, bias in self.logit_bias),
                "must be finite numbers for token ids",
                "-100 rules a token out",
            ),
            ("stop", all(self.stop), "must not hold an empty string", "It would end every text"),
        ]
        for name, good, rule, remedy in checks:
            if not good:
                raise SettingError(name, getattr(self, name), rule, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One text to continue. Requests with equal `prompt` tokens share its prefill.

    `num_logprobs`: the log-probability of each token is kept, and those of this many likeliest
    alternatives; None keeps nothing. `grammar`: a form that the text must have; a text whose
    grammar cannot be followed any further ends with `finish` "grammar".
    """

    id: str
    prompt: tuple[int, ...]
    sampling: Sampling
    num_logprobs: int | None = None
    grammar: Grammar | None = None


@dataclass(frozen=True, kw_only=True)
class TokenLogprobs:
    """Log-probability [nats] of a token, and of the likeliest ones, most likely first.

    They are the model's own: before penalties, temperature and filters.
    """

    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What the model wrote: `tokens` without the end token, `text` without the stop string.

    `end` is the end token, where one was drawn and log-probabilities were asked for.
    """

    id: str
    tokens: Sequence[int]
    text: str
    finish: Finish
    num_passes: int
    end: tuple[int, "TokenLogprobs"] | None = None


@dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """A completion to score after its prompt. Requests with equal `prompt` share its rows."""

    id: str
    prompt: tuple[int, ...]
    completion: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """`logprobs[i]` [nats] is the log-probability of completion token i after all before it."""

    id: str
    logprobs: list[float]
