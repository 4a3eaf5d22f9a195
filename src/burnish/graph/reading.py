"""A model's readings of prompts: log-probabilities of labels, or a written answer.

Every reading is kept in a log, by the hash of all that it depends on, so that it is paid once:
feedback, controls and later runs share it.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from burnish.base.canonical import content_hash
from burnish.base.errors import ModelError, SettingError
from burnish.base.items import ItemLog
from burnish.base.meter import Meter
from burnish.base.progress import track
from burnish.contracts.generation import Sampling, ScoreRequest
from burnish.distrib import launchers
from burnish.graph.prompts import parse_answer
from burnish.models.handle import ModelHandle

CHUNK = 64  # prompts that are scored and stored together: what Ctrl-C loses at most
Answering = Literal["score", "write"]
UNPARSED = -1


@dataclass(frozen=True, kw_only=True)
class ReadingSettings:
    """How a model is asked.

    `answer`: `score` takes log-probabilities of the labels, `write` lets the model write up to
    `max_new_tokens` and parses the answer. `launcher` scores chunks of prompts elsewhere, such as
    `ray` or `processes:workers=4`; each worker loads the model. `store` is the file of readings;
    "" is one in the graph's folder for each model.
    """

    answer: Answering = "score"
    max_new_tokens: int = 16
    batch_rows: int = 2048
    launcher: str = ""
    store: str = ""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The reading of one prompt: `logprobs` [nats] and lengths of labels, or the written class.

    `choice` is the class of the largest mean log-probability, or the parsed one; None: unparsed.
    """

    logprobs: tuple[float, ...] = ()
    num_tokens: tuple[int, ...] = ()
    choice: int | None = None

    @property
    def means(self) -> tuple[float, ...]:
        """Log-probability per token [nats], so that long labels have no disadvantage."""
        return tuple(v / n for v, n in zip(self.logprobs, self.num_tokens, strict=True))

    def shares(self, num_classes: int) -> list[float]:
        """Softmax of the means over the classes; of a written answer, all for what was parsed.

        Source: AskGNN, arXiv 2410.07074: `1/PPL(y) / sum_c 1/PPL(y_c)`.
        Departure: the released code takes `1/NLL`, which diverges where the model is sure.
        Oracle: tests/graph/test_reading.py::test_shares_are_inverse_perplexities
        """
        if not self.logprobs:
            return [float(index == self.choice) for index in range(num_classes)]
        top = max(self.means)
        weights = [math.exp(value - top) for value in self.means]
        return [weight / sum(weights) for weight in weights]


class Reader:
    """Asks one model, local or behind a server, and keeps its readings.

    Source: ours. Oracle: tests/graph/test_reading.py::test_readings_equal_whole_prompts
    """

    def __init__(
        self, handle: ModelHandle, settings: ReadingSettings, log: Path | None, meter: Meter
    ) -> None:
        self.handle, self._settings, self.meter = handle, settings, meter
        self._log = ItemLog(log, fields=("key",))
        self._answers = dict[tuple[str, ...], int]()  # tokens of answers that were counted
        self._name = content_hash([handle.key, _format(handle), settings.answer])

    @property
    def writes(self) -> bool:
        """Whether the model writes answers, which may name no class."""
        return self._settings.answer == "write"

    @property
    def batch_rows(self) -> int:
        """Rows of a pass at most."""
        return self._settings.batch_rows

    def count(self, text: str) -> int:
        """Tokens of a text; for a server, whose tokenizer is its own, a third of its characters."""
        if self.handle.is_server:
            return -(-len(text) // 3)
        return len(self.handle.tokenizer.encode(text, add_special_tokens=False))

    def count_answers(self, answers: Sequence[str], *, gap: str, end: str) -> int:
        """Tokens of answers behind one prompt; what they begin with alike counts once.

        A model that writes its answer writes at most `max_new_tokens`.
        """
        if self.writes:
            return self._settings.max_new_tokens
        texts = [gap + answer + end for answer in answers]
        if self.handle.is_server:
            return sum(map(self.count, texts))
        from burnish.engine.trie import Trie

        if (key := tuple(texts)) not in self._answers:
            encode = functools.partial(self.handle.tokenizer.encode, add_special_tokens=False)
            self._answers[key] = len(Trie.of(tuple(tuple(encode(text)) for text in texts)).edges)
        return self._answers[key]

    def close(self) -> None:
        """Release the log."""
        self._log.__exit__()

    def read(
        self, prompts: Sequence[str], labels: Sequence[str], *, gap: str, end: str, what: str = ""
    ) -> list[Reading]:
        """One reading per prompt over the same labels; each new prompt is asked once.

        Raises ModelError for a server that returns no log-probabilities of prompts.
        """
        keys = [content_hash([self._name, p, list(labels), gap, end]) for p in prompts]
        missing = {k: p for k, p in zip(keys, prompts, strict=True) if k not in self._log.done}
        if missing:
            ask = self._written if self._settings.answer == "write" else self._scored
            order = sorted(missing, key=lambda key: (missing[key], key))  # what begins alike
            with track(len(order), what or "ask the model", "prompt") as progress:
                rows = ask([missing[key] for key in order], labels, gap, end)
                for key, row in zip(order, rows, strict=True):
                    self._log.keep({"key": key, **row})
                    progress.advance()
        return [_reading(self._log.done[key]) for key in keys]

    def reference_nll(self, prompts: Sequence[str], references: Sequence[str]) -> list[float]:
        """Mean negative log-likelihood [nats per token] of each prompt's own reference.

        Raises ModelError for a server.
        Source: ours. Oracle: tests/graph/test_reading.py::test_reference_equals_full_logits
        """
        names = [content_hash([self._name, p, r]) for p, r in zip(prompts, references, strict=True)]
        given = dict(zip(names, zip(prompts, references, strict=True), strict=True))
        order = sorted(n for n in given if n not in self._log.done)
        order.sort(key=lambda n: given[n])
        with track(len(order), "score references", "text") as progress:
            for start in range(0, len(order), CHUNK):
                some = order[start : start + CHUNK]
                rows = self._nll([given[name] for name in some])
                for name, value in zip(some, rows, strict=True):
                    self._log.keep({"key": name, "nll": value})
                    progress.advance()
        return [float(self._log.done[name]["nll"]) for name in names]

    def _nll(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        from burnish.engine.score import score

        model = self.handle.model
        encode = functools.partial(model.tokenizer.encode, add_special_tokens=False)
        requests = [
            ScoreRequest(
                id=str(i), prompt=tuple(model.tokenizer.encode(prompt)),
                completion=tuple(encode(reference)),
            )
            for i, (prompt, reference) in enumerate(pairs)
        ]  # fmt: skip
        found = score(model, requests, batch_rows=self._settings.batch_rows, meter=self.meter)
        return [-sum(one.logprobs) / len(one.logprobs) for one in found]

    def _scored(
        self, prompts: Sequence[str], labels: Sequence[str], gap: str, end: str
    ) -> Iterator[Mapping[str, Any]]:
        own = [gap + label for label in labels]
        if self.handle.is_server:
            for prompt in prompts:
                yield _ask_echo(self.handle, prompt, own, end)
            return
        chunks = [list(prompts[i : i + CHUNK]) for i in range(0, len(prompts), CHUNK)]
        score = functools.partial(
            _score_chunk, (self.handle.spec, self.handle.precision, self.handle.device),
            own, end, self._settings.batch_rows,
        )  # fmt: skip
        work: Callable[[Any], Any] = functools.partial(score, handle=self.handle)
        spec = self._settings.launcher
        found = launchers.parse(spec).map(score, chunks) if spec else map(work, chunks)
        for rows, counts in found:
            self.meter.merge(Meter.from_dict({self.meter.stage: counts}))
            yield from rows

    def _written(
        self, prompts: Sequence[str], labels: Sequence[str], gap: str, end: str
    ) -> Iterator[Mapping[str, Any]]:
        from burnish.engine.answers import Prompt, answer_all

        stop = (end,) if end.strip("\n") else ("\n",)
        sampling = Sampling(max_new_tokens=self._settings.max_new_tokens, stop=stop)
        asked = [Prompt(id=str(i), content=p, sampling=sampling) for i, p in enumerate(prompts)]
        for done in answer_all(self.handle, asked, meter=self.meter):
            choice = parse_answer(done.text, labels)
            yield {"text": done.text, "choice": UNPARSED if choice is None else choice}


def _format(handle: ModelHandle) -> str:
    """The number format that a model computes in here, since `auto` differs between machines."""
    if handle.is_server:
        return handle.precision
    from burnish.models.load import choose_device
    from burnish.models.precision import choose_precision

    dtype, bits = choose_precision(handle.precision, choose_device(handle.device))
    return f"{dtype} {bits}"


def _reading(row: Mapping[str, Any]) -> Reading:
    if "choice" in row:
        return Reading(choice=None if row["choice"] == UNPARSED else int(row["choice"]))
    logprobs, counts = tuple(row["logprobs"]), tuple(row["num_tokens"])
    means = [v / n for v, n in zip(logprobs, counts, strict=True)]
    return Reading(logprobs=logprobs, num_tokens=counts, choice=means.index(max(means)))


def _score_chunk(
    where: tuple[str, str, str],
    labels: Sequence[str],
    end: str,
    batch_rows: int,
    prompts: Sequence[str],
    *,
    handle: ModelHandle | None = None,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Readings of prompts and their cost; a worker loads the model once."""
    from burnish.engine.labels import score_labels

    meter = Meter("")
    model = (handle or _loaded(*where)).model
    found = score_labels(model, prompts, labels, end=end, batch_rows=batch_rows, meter=meter)
    rows = [
        {"logprobs": [round(value, 6) for value in values], "num_tokens": counts}
        for values, counts in zip(found.logprobs.tolist(), found.num_tokens.tolist(), strict=True)
    ]
    return rows, meter.to_dict().get("", {})


@functools.cache
def _loaded(spec: str, precision: str, device: str) -> ModelHandle:
    return ModelHandle(spec, precision=precision, device=device)


def _ask_echo(handle: ModelHandle, prompt: str, labels: Sequence[str], end: str) -> dict[str, Any]:
    """Log-probabilities of all labels from a server's `echo`, in one request.

    Source: OpenAI's completions, `echo` with `logprobs`, as vLLM and llama.cpp serve it.
    Oracle: tests/graph/test_reading.py::test_a_server_agrees_with_the_model
    """
    texts = [prompt + label + end for label in labels]
    body = {"prompt": texts, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}
    remedy = "Check its address, its log and its context length"
    choices = handle.remote.ask("completions", body, remedy=remedy).get("choices") or []
    choices = sorted(choices, key=lambda choice: choice.get("index", 0))
    sums, counts = list[float](), list[int]()
    for choice, text in zip(choices, texts, strict=False):
        told = choice.get("logprobs") or {}
        values, offsets = told.get("token_logprobs") or [], told.get("text_offset") or []
        own = [
            v for v, at in zip(values, offsets, strict=False)
            if len(prompt) <= at < len(text) and v is not None
        ]  # fmt: skip
        sums, counts = [*sums, sum(own)], [*counts, len(own)]
    if len(sums) != len(texts) or not all(counts):
        raise ModelError(
            "server", handle.spec, "returns no log-probabilities of the prompt",
            remedy="Serve it with vLLM, or use --set reading.answer=write",
        )  # fmt: skip
    return {"logprobs": sums, "num_tokens": counts}


def check_reading(settings: ReadingSettings) -> None:
    """Raise SettingError or UnknownNameError for settings that the model cannot be asked with."""
    if settings.launcher:
        launchers.parse(settings.launcher)
    if settings.max_new_tokens < 1:
        least, remedy = settings.max_new_tokens, "16 is usual"
        raise SettingError("max_new_tokens", least, "must be at least 1", remedy=remedy)
