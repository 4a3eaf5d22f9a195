"""A model behind an OpenAI-compatible server that returns log-probabilities of the prompt."""

from collections.abc import Mapping, Sequence
from typing import Any

from burnish.base.errors import ModelError, RemoteError
from burnish.models.remote import Remote
from burnish.recall.reader import Predicted

TIE_NATS = 1e-6


class RemoteReader:
    """Sends token ids; learns at each place whether the target was the likeliest token.

    vLLM answers `prompt_logprobs` with ranks; others answer `echo` with `logprobs`, as OpenAI's
    completions once did. Every prediction sends the whole text: no cache is shared.
    Source: ours. Oracle: tests/recall/test_remote_reader.py::test_ranks_and_echo_agree
    """

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._text: list[int] = []
        self.num_rows = 0
        self.how = "whole prompts, scored by the server"

    def clear(self) -> None:
        """Begin a new text."""
        self._text = []

    def extend(self, tokens: Sequence[int]) -> None:
        """Append tokens; nothing is sent yet."""
        self._text += tokens

    def predict(self, tokens: Sequence[int], num_scored: int) -> Predicted:
        """Whether each of the last `num_scored` tokens was the likeliest: itself, or -1.

        Raises RemoteError, or ModelError where the server keeps prompt log-probabilities.
        """
        whole = [*self._text, *tokens]
        choice = self._ask(whole)["choices"][0]
        self.num_rows += len(whole)
        hits = _hits(choice, whole, num_scored)
        if hits is None:
            raise ModelError(
                "server", self._remote.url, "returns no log-probabilities of the prompt",
                remedy="Serve the model with vLLM, or another server that supports echo",
            )  # fmt: skip
        scored = whole[-num_scored:]
        return Predicted(tokens=tuple(t if h else -1 for t, h in zip(scored, hits, strict=True)))

    def _ask(self, whole: Sequence[int]) -> dict[str, Any]:
        body = {"prompt": list(whole), "max_tokens": 1, "temperature": 0}
        body |= {"echo": True, "logprobs": 1, "prompt_logprobs": 1}
        remedy = "Check its address, its log and its context length"
        found = self._remote.ask("completions", body, remedy=remedy)
        if not found.get("choices"):
            remedy = "Check that it serves text completions"
            address = f"{self._remote.url}/completions"
            raise RemoteError("server", address, "must answer with choices", remedy=remedy)
        return found


def _hits(choice: Mapping[str, Any], whole: Sequence[int], num_scored: int) -> list[bool] | None:
    """Whether each scored token was the likeliest; None if the server does not say."""
    begin = len(whole) - num_scored
    ranked = choice.get("prompt_logprobs")
    if ranked is not None and len(ranked) == len(whole):
        rows = zip(ranked[begin:], whole[begin:], strict=True)
        return [row[str(token)]["rank"] == 1 for row, token in rows]
    echoed = choice.get("logprobs") or {}
    own, top = echoed.get("token_logprobs"), echoed.get("top_logprobs")
    if not own or not top or len(own) < len(whole):
        return None
    pairs = zip(own[begin : len(whole)], top[begin : len(whole)], strict=True)
    return [value >= max(best.values()) - TIE_NATS for value, best in pairs]
