"""What completions and chats share: texts collected whole, or as server-sent events."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from burnish.contracts.generation import Completion, TokenLogprobs
from burnish.server.deltas import Deltas
from burnish.server.errors import ApiError, error_body
from burnish.server.served import ServedModel
from burnish.server.tokens import special_names
from burnish.server.worker import Tokens
from burnish.server.writing import Writing

REASONS = {"eos": "stop", "stop": "stop", "length": "length"}
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


@dataclass(kw_only=True)
class Choice:
    """One text so far; `done` once it has ended."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    num_guessed: int = 0
    done: Completion | None = None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """New text of a choice; `drafted`: a draft had all its tokens right. `finish` at its end."""

    index: int
    text: str
    tokens: Sequence[int] = ()
    logprobs: Sequence[TokenLogprobs] = ()
    drafted: bool = False
    finish: str | None = None


async def collect(writing: Writing, num_choices: int) -> list[Choice]:
    """All texts, whole."""
    choices = [Choice() for _ in range(num_choices)]
    async with writing:
        async for index, event in writing.events():
            keep(choices[index], event)
    return choices


def keep(choice: Choice, event: Tokens | Completion) -> None:
    """Add what an event says to a choice."""
    if isinstance(event, Completion):
        choice.done = event
        return
    choice.tokens += event.tokens
    choice.logprobs += event.logprobs
    choice.num_guessed += sum(event.guessed)


def cut_tokens(served: ServedModel, choice: Choice) -> int:
    """How many tokens are in the text: a stop string's own are left out."""
    assert choice.done is not None
    if choice.done.finish != "stop":
        return len(choice.tokens)
    decode, wanted = served.model.tokenizer.decode, len(choice.done.text)
    for num in range(len(choice.tokens), 0, -1):
        if len(decode(choice.tokens[: num - 1], skip_special_tokens=True)) < wanted:
            return num
    return 0


def usage(num_prompt: int, choices: Sequence[Choice], num_cached: int = 0) -> dict[str, Any]:
    """Counts of tokens; drafted ones as OpenAI counts predicted outputs.

    `num_cached`: tokens of the prompt that had been read before the request, as OpenAI counts them.
    """
    written = sum(len(choice.tokens) for choice in choices)
    guessed = sum(choice.num_guessed for choice in choices)
    return {
        "prompt_tokens": num_prompt,
        "completion_tokens": written,
        "total_tokens": num_prompt + written,
        "prompt_tokens_details": {"cached_tokens": num_cached},
        "completion_tokens_details": {"accepted_prediction_tokens": guessed},
    }


class Streamed:
    """The pieces of texts as they grow. `choices` are whole when `pieces` has ended."""

    def __init__(self, served: ServedModel, writing: Writing, stops: Sequence[Sequence[str]]):
        self._served, self._writing = served, writing
        self.choices = [Choice() for _ in stops]
        tokenizer = served.model.tokenizer

        def decode(tokens: list[int]) -> str:
            return tokenizer.decode(tokens, skip_special_tokens=True)

        specials = special_names(tokenizer)
        self._deltas = [Deltas(decode, stop, specials) for stop in stops]
        self._unsent = [0] * len(stops)  # tokens that are in sent pieces

    async def pieces(self) -> AsyncIterator[Piece]:
        """New text, choice by choice, and the end of each."""
        async with self._writing:
            async for index, event in self._writing.events():
                for piece in self._pieces(index, event):
                    yield piece

    def _pieces(self, index: int, event: Tokens | Completion) -> list[Piece]:
        choice = self.choices[index]
        if isinstance(event, Completion):
            keep(choice, event)
            rest = self._deltas[index].finish(event.text)
            end = cut_tokens(self._served, choice)
            return [self._piece(index, rest, end=end, finish=REASONS[event.finish])]
        found = []
        for begin, end in _runs(event.guessed):
            part = Tokens(
                tokens=event.tokens[begin:end],
                guessed=event.guessed[begin:end],
                logprobs=event.logprobs[begin:end],
            )
            keep(choice, part)
            if text := self._deltas[index].add(part.tokens):
                found.append(self._piece(index, text, drafted=part.guessed[0]))
        return found

    def _piece(self, index: int, text: str, *, end: int | None = None, **more: Any) -> Piece:
        choice, begin = self.choices[index], self._unsent[index]
        self._unsent[index] = len(choice.tokens)
        tokens, logprobs = choice.tokens[begin:end], choice.logprobs[begin:end]
        return Piece(index=index, text=text, tokens=tokens, logprobs=logprobs, **more)


def _runs(guessed: Sequence[bool]) -> list[tuple[int, int]]:
    """Stretches of tokens that a draft had right, and of those that the model added."""
    cuts = [i for i in range(1, len(guessed)) if guessed[i] != guessed[i - 1]]
    ends = [*cuts, len(guessed)]
    return list(zip([0, *cuts], ends, strict=True))


async def as_events(chunks: AsyncIterator[dict[str, Any]], path: str) -> AsyncIterator[bytes]:
    """Chunks as server-sent events; an error on the way is the last event."""
    try:
        async for chunk in chunks:
            yield _event(chunk)
    except ApiError as error:
        yield _event(error_body(path, error.status, str(error), param=error.param, code=error.code))
        return
    yield b"data: [DONE]\n\n"


def _event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"
