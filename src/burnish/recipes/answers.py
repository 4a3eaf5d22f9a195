"""One text from any model, local or remote: what `generate` and `chat` call."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from burnish.base.errors import SettingError
from burnish.base.progress import say
from burnish.contracts.generation import Completion, Request, Sampling
from burnish.data.chat import render_chat
from burnish.models.remote import PREFIX, Remote

PLAIN = "plain"  # decoding without drafts
FULL = "full"  # no key or value is ever left out


class Writer(Protocol):
    """Writes text: a local model or a server."""

    def complete(self, prompt: str, sampling: Sampling) -> Completion:
        """Continue a raw text."""
        ...

    def chat(self, messages: Sequence[Mapping[str, str]], sampling: Sampling) -> Completion:
        """Answer a conversation."""
        ...

    def check_chat(self) -> None:
        """Raise ModelError where the model has no chat template."""
        ...


def open_writer(
    spec: str,
    *,
    precision: str = "auto",
    device: str = "auto",
    draft: str = PLAIN,
    kv: str = FULL,
) -> Writer:
    """A writer for a model's spec; loads a local one at once.

    `draft`: `plain`, `auto`, or a drafter's spec; it can change the speed, never the text. `kv` is
    a KV policy's spec.
    Raises SettingError for a draft or a policy with a server's model, and for a draft with a
    policy; what `load_model`, `choose` and `bounded_policy` raise.
    """
    if spec.startswith(PREFIX):
        for name, value, default in (("draft", draft, PLAIN), ("kv", kv, FULL)):
            if value != default:
                rule = "must be left out for a server's model"
                raise SettingError(name, value, rule, remedy="The server decides how it decodes")
        return RemoteWriter(Remote.parse(spec))
    return LocalWriter(spec, precision=precision, device=device, draft=draft, kv=kv)


class RemoteWriter:
    """A server."""

    def __init__(self, remote: Remote) -> None:
        self.complete, self.chat = remote.complete, remote.chat

    def check_chat(self) -> None:
        """The server owns its template; it answers with an error if it has none."""


class LocalWriter:
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
