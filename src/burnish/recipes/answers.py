"""Text from any model, local or remote: `burnish.load`, and what `generate` and `chat` use."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from burnish.base.errors import SettingError
from burnish.base.progress import say
from burnish.base.settings import load_settings
from burnish.base.text import checked_text
from burnish.contracts.generation import Completion, Request, Sampling
from burnish.data.chat import render_chat
from burnish.models.remote import PREFIX, Remote

PLAIN = "plain"  # decoding without drafts
FULL = "full"  # no key or value is ever left out


SAMPLING = Sampling(max_new_tokens=128, temperature=0.7)  # where nothing else is asked for


class Writer(ABC):
    """Writes text: a local model or a server. `burnish.load` gives one."""

    def generate(
        self,
        prompt: str,
        *,
        max_new_tokens: int | None = None,
        greedy: bool = False,
        temperature: float | None = None,
        chat: bool = False,
        **settings: Any,
    ) -> Completion:
        """Continue `prompt`, or answer it as a turn of a conversation (`chat`).

        The options and settings of `burnish generate`: at most 128 new tokens at temperature 0.7,
        where nothing else is given; `top_p`, `top_k`, `seed`, `stop` and the like by their names.
        Raises SettingError for an empty prompt and for a setting that is unknown or ill-typed.
        """
        text = checked_prompt(prompt)
        named = {"max_new_tokens": max_new_tokens, "temperature": 0.0 if greedy else temperature}
        sampling = load_settings(Sampling, base=SAMPLING, named=settings | named)
        return self.write(text, sampling, chat=chat)

    def write(self, text: str, sampling: Sampling, *, chat: bool = False) -> Completion:
        """Continue a text, or answer it as the first turn of a conversation."""
        if chat:
            return self.chat([{"role": "user", "content": text}], sampling)
        return self.complete(text, sampling)

    @abstractmethod
    def complete(self, prompt: str, sampling: Sampling) -> Completion:
        """Continue a raw text."""

    @abstractmethod
    def chat(self, messages: Sequence[Mapping[str, str]], sampling: Sampling) -> Completion:
        """Answer a conversation."""

    @abstractmethod
    def check_chat(self) -> None:
        """Raise ModelError where the model has no chat template."""


def checked_prompt(given: str | bytes) -> str:
    """A prompt as text. Raises SettingError for bytes that are no text, and for an empty one."""
    text = checked_text("prompt", given).removeprefix("\ufeff")
    if not text.strip():
        raise SettingError("prompt", text, "must not be empty", remedy="Write a few words")
    return text


def load(
    model: str,
    *,
    precision: str = "auto",
    device: str = "auto",
    draft: str = PLAIN,
    kv: str = FULL,
) -> Writer:
    """Load a model that generates text: `burnish.load("smollm2-135m").generate("...")`.

    `model`: an embedded name, a folder, a GGUF file, a hub name, or `openai:URL#name`.
    `draft`: `plain`, `auto`, or a drafter's spec; it changes the speed, never the text. `kv` is
    a KV policy's spec.
    Raises SettingError for a draft or a policy with a server's model, and for a draft with a
    policy; what `load_model`, `choose` and `bounded_policy` raise.
    """
    if model.startswith(PREFIX):
        for name, value, default in (("draft", draft, PLAIN), ("kv", kv, FULL)):
            if value != default:
                rule = "must be left out for a server's model"
                raise SettingError(name, value, rule, remedy="The server decides how it decodes")
        return RemoteWriter(Remote.parse(model))
    return LocalWriter(model, precision=precision, device=device, draft=draft, kv=kv)


class RemoteWriter(Writer):
    """A server."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def complete(self, prompt: str, sampling: Sampling) -> Completion:
        """Continue a raw text."""
        return self._remote.complete(prompt, sampling)

    def chat(self, messages: Sequence[Mapping[str, str]], sampling: Sampling) -> Completion:
        """Answer a conversation."""
        return self._remote.chat(messages, sampling)

    def check_chat(self) -> None:
        """The server owns its template; it answers with an error if it has none."""


class LocalWriter(Writer):
    """A model in this process."""

    def __init__(
        self, spec: str, *, precision: str, device: str, draft: str = PLAIN, kv: str = FULL
    ) -> None:
        from burnish.models.load import load_model

        if draft != PLAIN:
            from burnish.draft.choice import check_draft

            check_draft(draft)
            if kv != FULL:
                remedy = "Leave --draft or --kv out"
                raise SettingError("draft", draft, "must be plain with a KV policy", remedy=remedy)
        if kv != FULL:
            from burnish.kv.policies import kv_policies

            kv_policies.parse(kv)  # a slip is told before the model is loaded
        self.model = load_model(spec, precision=precision, device=device, prepared=True)
        self._generate = self._way(draft, kv)

    def _way(self, draft: str, kv: str) -> Callable[..., list[Completion]]:
        """What continues requests; the planner is imported only where it may be asked."""
        if draft == PLAIN:
            from burnish.engine.generate import generate
            from burnish.engine.policies import bounded_policy

            return functools.partial(generate, kv=bounded_policy(self.model, kv))
        from burnish.draft.choice import AUTO, choose

        choice = choose(self.model, draft)
        if draft == AUTO:
            say(f"draft: {choice.reason}")
        return choice.generate

    def complete(self, prompt: str, sampling: Sampling) -> Completion:
        """Continue a raw text. Raises SettingError for an empty one."""
        tokens = self.model.tokenizer(prompt)["input_ids"]
        if not tokens:
            raise SettingError("prompt", prompt, "must not be empty", remedy="Write a few words")
        return self._write(tokens, sampling)

    def chat(self, messages: Sequence[Mapping[str, str]], sampling: Sampling) -> Completion:
        """Answer a conversation."""
        return self._write(render_chat(self.model.tokenizer, messages), sampling)

    def check_chat(self) -> None:
        """Raise ModelError where the tokenizer has no chat template."""
        render_chat(self.model.tokenizer, [{"role": "user", "content": "hello"}])

    def _write(self, tokens: Sequence[int], sampling: Sampling) -> Completion:
        request = Request(id="text", prompt=tuple(tokens), sampling=sampling)
        return self._generate(self.model, [request], batch_size=1)[0]
