"""A model behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp or ours."""

import functools
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.errors import RemoteError, SettingError
from burnish.base.text import well_formed
from burnish.contracts.generation import Completion, Finish, Sampling

PREFIX = "openai:"


@dataclass(frozen=True, kw_only=True)
class Remote:
    """The address `openai:URL#name`; the key, if any, is read from `OPENAI_API_KEY`.

    Text in, text out: the server owns tokenizer and chat template. `repetition_penalty`, `top_k`
    and `min_p` are extensions that vLLM and SGLang share; they are sent only when used.
    """

    url: str
    name: str
    timeout_s: float = 600.0

    @classmethod
    def parse(cls, spec: str) -> "Remote":
        """Read `openai:http://127.0.0.1:8000/v1#name`. Raises SettingError."""
        url, _, name = spec.removeprefix(PREFIX).partition("#")
        if not url.startswith(("http://", "https://")) or not name:
            raise SettingError(
                "model",
                spec,
                "must have the form openai:URL#name",
                remedy="For example openai:http://127.0.0.1:8000/v1#my-model",
            )
        return cls(url=url.rstrip("/"), name=name)

    def complete(self, prompt: str, sampling: Sampling) -> Completion:
        """Continue a raw text. Raises RemoteError."""
        reply = self._post("completions", {"prompt": prompt}, sampling)
        return self._completion(reply, lambda choice: choice["text"], sampling)

    def chat(self, messages: Sequence[Mapping[str, str]], sampling: Sampling) -> Completion:
        """Answer a conversation. Raises RemoteError."""
        reply = self._post("chat/completions", {"messages": list(messages)}, sampling)
        return self._completion(reply, lambda choice: choice["message"]["content"] or "", sampling)

    def ask(self, path: str, body: Mapping[str, Any], *, remedy: str) -> Any:
        """Send one request, with the model's name and the key. Raises RemoteError."""
        import httpx

        key = os.environ.get("OPENAI_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        address = f"{self.url}/{path}"
        try:
            reply = httpx.post(
                address,
                json={"model": self.name, **body},
                headers=headers,
                timeout=self.timeout_s,
                verify=_certificates() if self.url.startswith("https:") else False,
            )
            reply.raise_for_status()
            return reply.json()
        except (httpx.HTTPError, ValueError) as error:
            rule = f"must answer ({error})"
            raise RemoteError("server", address, rule, remedy=remedy) from error

    def _post(self, path: str, body: dict[str, Any], sampling: Sampling) -> Any:
        body |= {"max_tokens": sampling.max_new_tokens}
        body |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
        body |= {"seed": sampling.seed}
        for name, off in {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}.items():
            if (value := getattr(sampling, name)) != off:
                body[name] = value
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        return self.ask(path, body, remedy="Check its address and its log")

    def _completion(
        self, reply: Any, text_of: Callable[[Any], str], sampling: Sampling
    ) -> Completion:
        """The server tells how many tokens it wrote, not which: ids are unknown, hence -1.

        It calls both the end token and a stop string "stop"; without stop strings it is the first.
        """
        reasons: dict[str, Finish] = {"length": "length"}
        if not sampling.stop:
            reasons["stop"] = "eos"
        try:
            choice, usage = reply["choices"][0], reply.get("usage") or {}
            num_tokens = int(usage.get("completion_tokens", 0))
            return Completion(
                id=str(reply.get("id", "")),
                tokens=(-1,) * num_tokens,
                text=well_formed(text_of(choice)),
                finish=reasons.get(choice.get("finish_reason") or "", "stop"),
                num_passes=num_tokens,
            )
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise RemoteError(
                "server",
                self.url,
                f"must follow OpenAI's interface ({type(error).__name__}: {error})",
                remedy="Check that it serves text",
            ) from error


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than a short answer."""
    import httpx

    return httpx.create_ssl_context()
