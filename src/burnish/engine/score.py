"""Log-probabilities of given texts: shared prompts, one pass, the head only on scored rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.contracts.generation import Scored, ScoreRequest, TokenLogprobs
from burnish.data.packing import fill_passes
from burnish.engine.sample import top_logprobs
from burnish.kv.shared import Forest
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.models.head import logprobs_at, logprobs_of
from burnish.models.load import Model

HEAD_ROWS = 64  # logits of so many rows are held at once


def score(
    model: Model,
    requests: Sequence[ScoreRequest],
    *,
    batch_rows: int = 2048,
    meter: Meter | None = None,
) -> list[Scored]:
    """Log-probability [nats] of every completion token, in the order of the requests.

    A pass holds at most `batch_rows` rows; only a request that is longer has a pass of its own.
    The meter counts completion tokens as `scored` and computed prompt tokens as `prefilled`.
    Raises SettingError for an empty prompt or completion, or one beyond the model's window.
    Source: ours. Oracle: tests/engine/test_score.py::test_scores_equal_full_logits
    """
    if batch_rows < 1:
        raise SettingError("batch_rows", batch_rows, "must be at least 1", remedy="2048 is usual")
    for request in requests:
        _check_room(request, model.max_position)
    meter = meter or Meter()
    network = model.network
    logprobs: list[list[float]] = [[] for _ in requests]
    with torch.inference_mode():
        if isinstance(network, Adapter):
            found = _score_apart(network, requests, meter)
        else:
            found = _score_shared(network, requests, batch_rows, meter)
        for index, values in found:
            logprobs[index] = values
    return [Scored(id=r.id, logprobs=v) for r, v in zip(requests, logprobs, strict=True)]


def prompt_logprobs(model: Model, tokens: Sequence[int], num_top: int) -> list[TokenLogprobs]:
    """Log-probabilities [nats] of all tokens of a text but the first, with the likeliest ones.

    Raises SettingError for a text beyond the model's window.
    Source: ours. Oracle: tests/engine/test_score.py::test_prompt_logprobs_equal_full_logits
    """
    if len(tokens) > model.max_position:
        rule = f"must fit the model's window of {model.max_position} tokens"
        raise SettingError("prompt", len(tokens), rule, remedy="Shorten it")
    network, given = model.network, list(tokens[:-1])
    found: list[TokenLogprobs] = []
    if not given:
        return found
    with torch.inference_mode():
        if isinstance(network, Adapter):
            pieces = [network.logits_at([given], [slice(0, None)])]
        else:
            forest = Forest()
            forest.chain(given)
            pieces = (network.head(rows) for rows in forest.run(network).split(HEAD_ROWS))
        for logits in pieces:
            for row in logits:
                found.append(top_logprobs(row, tokens[len(found) + 1], num_top))
    return found


def _check_room(request: ScoreRequest, max_position: int) -> None:
    for name in ("prompt", "completion"):
        if not getattr(request, name):
            raise SettingError(name, request.id, "must not be empty", remedy="Give it a token")
    if (length := len(request.prompt) + len(request.completion)) > max_position:
        raise SettingError(
            f"prompt and completion of {request.id}",
            length,
            f"must fit the model's window of {max_position} tokens",
            remedy="Shorten the prompt",
        )


@dataclass(kw_only=True)
class _Group:
    """Requests with the same prompt. Its rows: the prompt, each completion but its last token."""

    prompt: tuple[int, ...]
    members: list[tuple[int, ScoreRequest]] = field(default_factory=list)

    @property
    def num_rows(self) -> int:
        return len(self.prompt) + sum(len(r.completion) - 1 for _, r in self.members)


def _score_shared(
    decoder: Decoder, requests: Sequence[ScoreRequest], batch_rows: int, meter: Meter
) -> Iterator[tuple[int, list[float]]]:
    grouped = _groups(requests, batch_rows)
    for groups in fill_passes(grouped, batch_rows, rows_of=lambda group: group.num_rows):
        forest, rows = Forest(), list[int]()
        for group in groups:
            prompt = forest.chain(group.prompt)
            for _, request in group.members:
                rows += forest.branch(request.completion, after=prompt)
        members = [member for group in groups for member in group.members]
        targets = [token for _, request in members for token in request.completion]
        hidden = forest.run(decoder)
        at = torch.tensor(targets, device=hidden.device)
        each = torch.arange(len(rows), device=hidden.device)
        values = logprobs_at(decoder.head, hidden[rows], each, at).tolist()
        meter.add("prefilled", sum(len(group.prompt) for group in groups))
        meter.add("scored", len(targets))
        meter.add("passes", 1)
        yield from _dealt(members, values)


def _score_apart(
    adapter: Adapter, requests: Sequence[ScoreRequest], meter: Meter
) -> Iterator[tuple[int, list[float]]]:
    """One pass per request: a state model has no rows that two completions could share."""
    for index, request in enumerate(requests):
        tokens = [*request.prompt, *request.completion[:-1]]
        logits = adapter.logits_at([tokens], [slice(len(request.prompt) - 1, None)])
        meter.add("prefilled", len(request.prompt))
        meter.add("scored", len(request.completion))
        meter.add("passes", 1)
        targets = torch.tensor(request.completion, device=logits.device)
        yield index, logprobs_of(logits, targets).tolist()


def _groups(requests: Sequence[ScoreRequest], batch_rows: int) -> list[_Group]:
    """Requests by prompt; a prompt with more completions than fit a pass comes again."""
    groups: list[_Group] = []
    current: dict[tuple[int, ...], _Group] = {}
    for index, request in enumerate(requests):
        group = current.get(request.prompt)
        if group is None or group.num_rows + len(request.completion) - 1 > batch_rows:
            group = current[request.prompt] = _Group(prompt=request.prompt)
            groups.append(group)
        group.members.append((index, request))
    return groups


def _dealt(
    members: Sequence[tuple[int, ScoreRequest]], values: Sequence[float]
) -> Iterator[tuple[int, list[float]]]:
    start = 0
    for index, request in members:
        end = start + len(request.completion)
        yield index, list(values[start:end])
        start = end
