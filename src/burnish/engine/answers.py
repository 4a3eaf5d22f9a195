"""Answers prompts with a local model or a server; resumable, metered, with progress."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from burnish.base.errors import ModelError, RemoteError, SettingError
from burnish.base.items import ItemLog, Keep, Row, do_all, finish_items
from burnish.base.meter import Meter
from burnish.contracts.generation import Completion, Request, Sampling
from burnish.data.chat import Message, render_messages
from burnish.engine.generate import generate
from burnish.engine.loop import OnDone
from burnish.models.handle import ModelHandle
from burnish.models.load import Model


@runtime_checkable
class Generate(Protocol):
    """Continues requests: `engine.generate`, or a decoding method of a higher layer."""

    def __call__(
        self,
        model: Model,
        requests: Sequence[Request],
        *,
        batch_size: int,
        meter: Meter | None,
        on_done: OnDone | None,
    ) -> list[Completion]:
        """Completions in the order of the requests; `on_done` is called with each as it ends."""
        ...


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt: token ids, a text to continue, or the messages of a chat.

    `id` is unique among the prompts of a call.
    """

    id: str
    content: tuple[int, ...] | str | tuple[Message, ...]
    sampling: Sampling


@dataclass(frozen=True, kw_only=True)
class Answering:
    """How prompts are answered; the answers of a local model do not depend on it.

    `batch_size` and `generate` are for local models, `num_concurrent` is the largest number of
    requests to a server at a time. An empty `label` shows no progress.
    """

    batch_size: int = 16
    num_concurrent: int = 8
    generate: Generate = generate
    label: str = "answers"
    unit: str = "answer"

    def __post_init__(self) -> None:
        if self.num_concurrent < 1:
            value, remedy = self.num_concurrent, "8 is usual"
            raise SettingError("num_concurrent", value, "must be at least 1", remedy=remedy)


def answer_all(
    model: ModelHandle | Model,
    prompts: Sequence[Prompt],
    *,
    log: Path | None = None,
    meter: Meter | None = None,
    how: Answering | None = None,
) -> list[Completion]:
    """Answer every prompt that `log` does not hold; completions in the order of the prompts.

    Every finished answer is logged immediately, so an interrupted call resumes when it is
    repeated. Noise depends only on each prompt's seed, so the answers are the same.
    Raises what `answer_rows` raises.
    Source: ours. Oracle: tests/engine/test_answers.py::test_resumed_equals_straight
    """
    rows = answer_rows(model, prompts, asdict, log=ItemLog(log), meter=meter, how=how)
    return [Completion(**{**row, "tokens": tuple(row["tokens"])}) for row in rows]


def answer_rows(
    model: ModelHandle | Model,
    prompts: Sequence[Prompt],
    to_row: Callable[[Completion], Mapping[str, Any]],
    *,
    log: ItemLog,
    meter: Meter | None = None,
    how: Answering | None = None,
) -> list[Row]:
    """Like `answer_all`, with rows in the caller's format: `to_row` converts a completion.

    The row's key is the prompt's id. If no answer is missing, no model is loaded.
    Raises: InputError for an id that is given twice; SettingError for a prompt that is empty or
    has no room; ModelError for token ids for a server; RemoteError; what `load_model` and `to_row`
    raise.
    Source: ours. Oracle: tests/engine/test_answers.py::test_any_batch_or_concurrency_is_alike
    """
    how, by_id = how or Answering(), {prompt.id: prompt for prompt in prompts}

    def work(missing: list[str], keep: Keep) -> None:
        wanted = [by_id[name] for name in missing]
        if isinstance(model, ModelHandle) and model.is_server:
            _ask_server(model, wanted, lambda done: keep(to_row(done)), meter, how)
            return
        local = model.model if isinstance(model, ModelHandle) else model
        how.generate(
            local,
            [_to_request(local, prompt) for prompt in wanted],
            batch_size=how.batch_size,
            meter=meter,
            on_done=lambda done: keep(to_row(done)),
        )

    names = [prompt.id for prompt in prompts]
    return finish_items(log, names, work, label=how.label, unit=how.unit)


def _to_request(model: Model, prompt: Prompt) -> Request:
    content: Any = prompt.content
    if isinstance(content, str):
        tokens = model.tokenizer(content)["input_ids"]
    elif content and isinstance(content[0], Mapping):
        tokens = render_messages(model.tokenizer, content)
    else:
        tokens = content
    return Request(id=prompt.id, prompt=tuple(tokens), sampling=prompt.sampling)


def _ask_server(
    handle: ModelHandle,
    prompts: Sequence[Prompt],
    on_done: OnDone,
    meter: Meter | None,
    how: Answering,
) -> None:
    """Several requests at a time; the server batches them as it likes."""
    remote = handle.remote

    def ask(prompt: Prompt) -> Completion:
        content: Any = prompt.content
        if isinstance(content, str):
            return remote.complete(content, prompt.sampling)
        if content and isinstance(content[0], Mapping):
            return remote.chat(content, prompt.sampling)
        remedy = "Give the server text or messages: it has a tokenizer of its own"
        raise ModelError("prompt", prompt.id, "must not be token ids for a server", remedy=remedy)

    def keep(prompt: Prompt, found: Completion) -> None:
        if meter is not None and found.text and not found.tokens:
            rule = "must report how many tokens it wrote (usage.completion_tokens)"
            remedy = "Use a server that does, such as vLLM, SGLang or llama.cpp"
            raise RemoteError("server", handle.spec, rule, remedy=remedy)
        if meter is not None:
            meter.add("generated", len(found.tokens))
        on_done(Completion(**{**vars(found), "id": prompt.id}))

    do_all(prompts, ask, keep, num_workers=how.num_concurrent)
