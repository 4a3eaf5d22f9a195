"""A model that is served: its worker, its queue, and what a request to it may ask."""

import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from burnish.base.errors import SettingError
from burnish.contracts.generation import Grammar, Request, Sampling
from burnish.data.chat import render_chat
from burnish.engine.grammar import JsonForms
from burnish.models.load import Model
from burnish.server.errors import ApiError
from burnish.server.gate import Gate
from burnish.server.metrics import Metrics
from burnish.server.schema import ChatBody, CompletionBody, Message, Sampled
from burnish.server.worker import Worker
from burnish.stream.asking import Index

DEFAULT_COMPLETION_TOKENS = 16  # OpenAI's
MOST_TEXTS = 2048  # OpenAI's, of embeddings; here of completions too


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """One model, decoded by one worker.

    `context_tokens`: most tokens of a prompt and its answer; `is_bounded`: a KV policy reads
    texts of any length, and `context_tokens` bounds only what is written. `indexes` are documents
    by the names under which clients ask about them; the worker has a loop for each.
    """

    name: str
    model: Model
    worker: Worker
    gate: Gate
    metrics: Metrics
    forms: JsonForms
    context_tokens: int
    created: int
    is_bounded: bool = False
    draft: str = "plain"
    kv: str = "full"
    indexes: Mapping[str, Index] = field(default_factory=dict)

    def check_name(self, name: str) -> None:
        """Raise ApiError where a request names something else than the model itself."""
        if name in (self.name, self.model.spec):
            return
        if name in self.indexes:
            message = f"{name!r} is a document; ask about it with /v1/chat/completions"
            raise ApiError(message, param="model")
        known = ", ".join(map(repr, (self.name, *self.indexes)))
        message = f"the model {name!r} does not exist; served: {known}"
        raise ApiError(message, status=404, param="model", code="model_not_found")

    def prompts(self, given: str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]],
                param: str) -> list[tuple[int, ...]]:  # fmt: skip
        """Token ids of one or several texts."""
        alone = isinstance(given, str) or (len(given) > 0 and isinstance(given[0], int))
        items: list[Any] = [given] if alone else list(given)
        if not items:
            raise ApiError(f"{param} must not be empty", param=param)
        _check_number(len(items), param)
        found = [
            tuple(self.model.tokenizer(item)["input_ids"] if isinstance(item, str) else item)
            for item in items
        ]
        size = self.model.config.get_text_config().vocab_size
        for tokens in found:
            if not tokens:
                raise ApiError(f"{param} must not be empty", param=param)
            if max(tokens) >= size:
                message = f"token ids must be below {size}, got {max(tokens)}"
                raise ApiError(message, param=param)
        return found

    def conversation(self, body: ChatBody) -> tuple[int, ...]:
        """Token ids of a conversation in the chat template, with the tools that it offers."""
        messages = [_as_dict(message) for message in body.messages]
        tools = None
        if body.tools and body.tool_choice != "none":
            tools = [tool.model_dump(exclude_none=True) for tool in body.tools]
        tokens = render_chat(self.model.tokenizer, messages, tools=tools)
        if tools and tokens == render_chat(self.model.tokenizer, messages):
            message = "the model's chat template has no place for tools"
            raise ApiError(message, param="tools", code="unsupported_parameter")
        if not tokens:
            raise ApiError("messages must not be empty", param="messages")
        return tuple(tokens)

    def requests(
        self,
        body: Sampled,
        prompts: Sequence[tuple[int, ...]],
        *,
        num_logprobs: int | None,
        grammar: Grammar | None = None,
    ) -> list[Request]:
        """`n` requests for each prompt; choice i draws with the seed plus i."""
        seed = secrets.randbits(31) if body.seed is None else body.seed
        self._check_bias(body)
        _check_number(len(prompts) * (body.n or 1), "n")
        kept = {"num_logprobs": num_logprobs, "grammar": grammar}
        found, name = [], secrets.token_hex(8)
        for prompt in prompts:
            most = self._most_tokens(body, len(prompt))
            for choice in range(body.n or 1):
                sampling = _sampling(body, most, seed + choice)
                one = {"prompt": prompt, "sampling": sampling, **kept}
                found.append(Request(id=f"{name}-{len(found)}", **one))
        return found

    def _check_bias(self, body: Sampled) -> None:
        size = self.model.config.get_text_config().vocab_size
        if body.logit_bias and max(body.logit_bias) >= size:
            message = f"token ids must be below {size}, got {max(body.logit_bias)}"
            raise ApiError(message, param="logit_bias")

    def _most_tokens(self, body: Sampled, num_prompt: int) -> int:
        asked = body.max_tokens
        if isinstance(body, ChatBody) and body.max_completion_tokens is not None:
            asked = body.max_completion_tokens
        room = self.context_tokens - (0 if self.is_bounded else num_prompt)
        if asked is None:
            asked = DEFAULT_COMPLETION_TOKENS if isinstance(body, CompletionBody) else max(room, 1)
        asked = max(asked, 1)
        if asked > room:
            message = (
                f"this server reads and writes at most {self.context_tokens} tokens, but the "
                f"request has {num_prompt} tokens and asks for {asked} more"
            )
            param = "prompt" if isinstance(body, CompletionBody) else "messages"
            raise ApiError(message, param=param, code="context_length_exceeded")
        return asked


def _check_number(num_texts: int, param: str) -> None:
    if num_texts > MOST_TEXTS:
        message = f"a request has at most {MOST_TEXTS} texts, got {num_texts}"
        raise ApiError(message, param=param)


def _sampling(body: Sampled, most: int, seed: int) -> Sampling:
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    given = {
        "top_p": body.top_p,
        "top_k": None if body.top_k == -1 else body.top_k,
        "min_p": body.min_p,
        "repetition_penalty": body.repetition_penalty,
        "frequency_penalty": body.frequency_penalty,
        "presence_penalty": body.presence_penalty,
    }
    temperature = 1.0 if body.temperature is None else body.temperature
    try:
        return Sampling(
            max_new_tokens=most, temperature=temperature, stop=stop, seed=seed,
            logit_bias=tuple((body.logit_bias or {}).items()),
            **{name: value for name, value in given.items() if value is not None},
        )  # fmt: skip
    except SettingError as error:
        raise ApiError(str(error), param=error.name) from error


def _as_dict(message: Message) -> dict[str, Any]:
    """As chat templates read a turn: its content is one text."""
    found = message.model_dump(exclude_none=True)
    found["content"] = message.text()
    if message.role == "developer":
        found["role"] = "system"
    for call in found.get("tool_calls", ()):
        with suppress(ValueError):  # templates write arguments out; what is no JSON stays a text
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return found
