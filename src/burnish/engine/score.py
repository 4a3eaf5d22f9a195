"""Log-probabilities of given texts: shared prompts, one pass, the head only on scored rows."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.contracts.generation import Scored, ScoreRequest, TokenLogprobs
from burnish.data.packing import fill_passes
from burnish.engine.sample import top_logprobs
from burnish.engine.trie import common_length
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
    share: bool = False,
) -> list[Scored]:
    """Log-probability [nats] of every completion token, in the order of the requests.

    A pass holds at most `batch_rows` rows; only a request that is longer has a pass of its own.
    Equal prompts are computed once; with `share`, so is what other prompts of a pass begin with
    alike, which pays where each prompt continues the one before.
    The meter counts completion tokens as `scored` and computed prompt tokens as `prefilled`.
    Raises SettingError for an empty prompt or completion, or one beyond the model's window.
    Source: ours. Oracle: tests/engine/test_score.py::test_scores_equal_full_logits,
    ::test_shared_beginnings_are_computed_once
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
            passes = _passes(_groups(requests, batch_rows), batch_rows, share=share)
            found = _score_shared(network, passes, meter, share=share)
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


class _Beginnings:
    """Prompts as chains of a forest, cut where others branch off."""

    def __init__(self, forest: Forest, prompts: Sequence[tuple[int, ...]], *, share: bool) -> None:
        self._forest = forest
        self._blocks: dict[tuple[int, ...], int] = {}
        self._cuts = {one: {len(one)} for one in prompts}
        for one, other in itertools.combinations(self._cuts if share else (), 2):
            if common := common_length(one, other):
                self._cuts[one].add(common)
                self._cuts[other].add(common)
        self.num_rows = 0

    def chain(self, prompt: tuple[int, ...]) -> int:
        """The block with the prompt's last token; blocks that are there are used again."""
        begin, block = 0, None
        for end in sorted(self._cuts[prompt]):
            key = prompt[:end]
            if key not in self._blocks:
                self._blocks[key] = self._forest.chain(prompt[begin:end], after=block)
                self.num_rows += end - begin
            begin, block = end, self._blocks[key]
        assert block is not None
        return block


def _passes(
    groups: Sequence[_Group], batch_rows: int, *, share: bool
) -> Iterator[Sequence[_Group]]:
    """Groups that are computed together, in their order."""
    if not share:
        yield from fill_passes(groups, batch_rows, rows_of=lambda group: group.num_rows)
        return
    before = ((), *(group.prompt for group in groups))
    common = [common_length(one, group.prompt) for one, group in zip(before, groups, strict=False)]
    most = max(1, batch_rows - max(common, default=0))  # the first of a pass has its whole prompt
    own = [group.num_rows - length for group, length in zip(groups, common, strict=True)]
    for some in fill_passes(range(len(groups)), most, rows_of=own.__getitem__):
        yield [groups[i] for i in some]


def _score_shared(
    decoder: Decoder, passes: Iterable[Sequence[_Group]], meter: Meter, *, share: bool
) -> Iterator[tuple[int, list[float]]]:
    for groups in passes:
        forest, rows = Forest(), list[int]()
        beginnings = _Beginnings(forest, [group.prompt for group in groups], share=share)
        for group in groups:
            prompt = beginnings.chain(group.prompt)
            for _, request in group.members:
                rows += forest.branch(request.completion, after=prompt)
        members = [member for group in groups for member in group.members]
        targets = [token for _, request in members for token in request.completion]
        hidden = forest.run(decoder)
        at = torch.tensor(targets, device=hidden.device)
        each = torch.arange(len(rows), device=hidden.device)
        values = logprobs_at(decoder.head, hidden[rows], each, at).tolist()
        meter.add("prefilled", beginnings.num_rows)
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
