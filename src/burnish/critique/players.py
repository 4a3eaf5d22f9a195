"""Players, which write answers or critiques: a local model, a server, or a program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from burnish.base.meter import Meter
from burnish.contracts.generation import Sampling
from burnish.data.chat import render_messages, render_prompt, to_messages
from burnish.engine.answers import Answering, Prompt, answer_all
from burnish.models.handle import ModelHandle


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A request for one text: the prompt, how to sample, and how the text begins."""

    id: str
    prompt: str
    sampling: Sampling
    begin: str = ""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A text, `begin` included; `tokens` were generated, `prompt_tokens` read before them."""

    id: str
    text: str
    tokens: int
    prompt_tokens: int
    finish: str = "eos"


class Player(Protocol):
    """Writes texts; the same wish gives the same text."""

    @property
    def key(self) -> str:
        """A key of everything that its texts depend on."""
        ...

    def write(self, name: str, wishes: Sequence[Wish]) -> list[Written]:
        """The texts, in the order of the wishes; `name` is unique for each call of a job."""
        ...


@dataclass(frozen=True, kw_only=True)
class ModelPlayer:
    """A local model, batched, or a server; what is written is on disk at once.

    Requests with the same prompt share its prefill. Source: ours.
    Oracle: tests/critique/test_players.py::test_resumed_equals_straight
    """

    handle: ModelHandle
    folder: Path | None
    meter: Meter
    batch_size: int = 32

    @property
    def key(self) -> str:
        """Key of the model."""
        return self.handle.short_key

    def write(self, name: str, wishes: Sequence[Wish]) -> list[Written]:
        """The texts. Raises: what `answer_all` raises; ModelError for `begin` on a server."""
        prompts = [Prompt(id=w.id, content=self._content(w), sampling=w.sampling) for w in wishes]
        done = answer_all(
            self.handle,
            prompts,
            log=None if self.folder is None else self.folder / f"{name}.jsonl",
            meter=self.meter,
            how=Answering(batch_size=self.batch_size, label=name),
        )
        return [
            Written(
                id=one.id,
                text=wish.begin + one.text,
                tokens=len(one.tokens),
                prompt_tokens=self._length(wish),
                finish=one.finish,
            )
            for wish, one in zip(wishes, done, strict=True)
        ]

    def _content(self, wish: Wish) -> tuple[int, ...] | tuple[dict[str, str], ...]:
        if not wish.begin:
            return tuple(dict(message) for message in to_messages(wish.prompt))
        tokenizer = self.handle.tokenizer
        begin = tokenizer(wish.begin, add_special_tokens=False)["input_ids"]
        return (*render_prompt(tokenizer, wish.prompt), *begin)

    def _length(self, wish: Wish) -> int:
        if self.handle.is_server:  # its tokenizer is its own: words, as an estimate
            return len((wish.prompt + wish.begin).split())
        content = self._content(wish)
        if content and isinstance(content[0], int):
            return len(content)
        return len(render_messages(self.handle.tokenizer, to_messages(wish.prompt)))


@dataclass(frozen=True, kw_only=True)
class ProgramPlayer:
    """A program as a player: an annotator that verifies steps, or a simulated model in a test.

    Its tokens are words.
    """

    function: Callable[[Wish], str]
    name: str = "program"

    @property
    def key(self) -> str:
        """Its name."""
        return self.name

    def write(self, name: str, wishes: Sequence[Wish]) -> list[Written]:
        """The texts that the function gives."""
        texts = [self.function(wish) for wish in wishes]
        return [
            Written(
                id=wish.id,
                text=text,
                tokens=len(text.split()),
                prompt_tokens=len(wish.prompt.split()),
            )
            for wish, text in zip(wishes, texts, strict=True)
        ]
