"""What policies read of planted sentences, compared with what full attention would read."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from burnish.contracts.kv_policy import KVPolicy
from burnish.engine.policies import CHUNK_ROWS, needs_surprise, read_rows, shape_of
from burnish.kv.grouped import grouped_scores
from burnish.kv.memory import open_memory
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.memory import RetrievingMemory
from burnish.kv.rope import Rope, rotate
from burnish.models.load import Model
from burnish.stream.bound import head_bounds
from burnish.stream.needles import Haystack, Needle
from burnish.stream.watch import Watched, recall_of

BOUND_LAYERS = 3  # first, middle and last: the bound needs all keys of a layer


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Which tokens are far: those after `num_sinks` and before the last `local_tokens`.

    `answers`: also whether the answer is right, which takes a pass for each of its tokens.
    """

    num_sinks: int
    local_tokens: int
    bound: float
    answers: bool = True


class Seen:
    """The keys that each layer's last query could attend to, rotated once and then extended.

    Rotated to their places where the text fits the model's window; beyond it all far tokens are
    `local_tokens` away, as in the memory's own attention.
    """

    def __init__(self, model: Model, memory: Watched, local_tokens: int) -> None:
        self.memory, self._rope, self._local = memory, Rope(model.config), local_tokens
        self._max_position = model.max_position
        self._num = memory.num_tokens
        layers = range(model.decoder.shape.num_layers)
        self._turned = [self._rotated(memory.keys(layer), 0) for layer in layers]

    def _rotated(self, rows: Float[Tensor, "N H D"], start: int) -> Tensor:
        at = torch.arange(start, start + len(rows), device=rows.device)
        rows = rows.float()
        return rotate(rows, self._rope.at(at, rows.dtype))

    def attended(self, layer: int) -> tuple[Float[Tensor, "H D"], Float[Tensor, "K T D"]]:
        """Last query and all keys."""
        memory, query = self.memory, self.memory.queries[layer][None]
        if memory.num_tokens > self._max_position:
            far = self._rotated(query, self._local)[0]
            return far, memory.keys(layer).float().transpose(0, 1)
        new = self._rotated(memory.keys_from(layer, self._num), self._num)
        turned = torch.cat((self._turned[layer], new))
        return self._rotated(query, memory.num_tokens - 1)[0], turned.transpose(0, 1)


def split_policies(text: str) -> list[str]:
    """Specs separated by commas; a part with `=` and without `:` belongs to the spec before.

    Source: ours. Oracle: tests/stream/test_policy_audit.py::test_specs_are_split_where_they_end
    """
    specs: list[str] = []
    for part in text.split(","):
        if specs and "=" in part and ":" not in part.split("=", 1)[0]:
            specs[-1] += f",{part}"
        elif part.strip():
            specs.append(part.strip())
    return specs


def under_budget(spec: str, *, far_tokens: int, local_tokens: int, num_sinks: int) -> KVPolicy:
    """A policy that reads as many tokens as all others of the audit.

    Source: ours.
    Oracle: tests/stream/test_policy_audit.py::test_all_policies_read_equally_many_tokens
    """
    policy: Any = kv_policies.parse(spec)  # a dataclass, as all that are registered
    names = {field.name for field in fields(policy)}
    wanted = {"far_tokens": far_tokens, "local_tokens": local_tokens, "num_sinks": num_sinks}
    given = {name: value for name, value in wanted.items() if name in names}
    if "budget_tokens" in names:
        sinks = num_sinks if kv_policies.name_of(policy) == "window" else 0
        given["budget_tokens"] = far_tokens + local_tokens + sinks
    return replace(policy, **given)


@torch.inference_mode()
def audit_text(
    model: Model, policy: KVPolicy, text: Haystack, frame: Frame
) -> list[dict[str, Any]]:
    """One row per needle: evidence and mass recall, the bound, whether the answer is right.

    The text is read once, in chunks, under the policy itself; each question begins from there. The
    question's last token is read alone, so that far tokens are chosen by it.
    Source: ours. Oracle: tests/stream/test_policy_audit.py::test_full_attention_recalls_all
    """
    memory = Watched(open_memory(policy, shape_of(model)), model.decoder.shape.num_layers)
    _read(model, policy, memory, text.ids)
    memory.pack()
    seen = Seen(model, memory, frame.local_tokens)
    rows = []
    for needle in text.needles:
        mark = memory.mark()
        _read(model, policy, memory, needle.question[:-1])
        last = _read(model, policy, memory, needle.question[-1:])
        row = _measures(seen, needle, frame)
        if frame.answers:
            row["right"] = _answers(model, policy, memory, last, needle)
        memory.rewind(mark)
        rows.append(row | {"depth": needle.depth})
    return rows


def _read(model: Model, policy: KVPolicy, memory: Any, tokens: Any) -> torch.Tensor:
    last = torch.zeros(0)
    for begin in range(0, len(tokens), CHUNK_ROWS):
        chunk = list(tokens[begin : begin + CHUNK_ROWS])
        tell = needs_surprise(policy)
        last = read_rows(model.decoder, [memory], [chunk], surprises=tell)[-1]
    return last


def _answers(
    model: Model, policy: KVPolicy, memory: Any, last: torch.Tensor, needle: Needle
) -> float:
    """1 if each token of the answer is the likeliest one."""
    for token in needle.answer:
        if int(model.decoder.head(last[None])[0].argmax()) != token:
            return 0.0
        last = _read(model, policy, memory, [token])
    return 1.0


def _measures(seen: Seen, needle: Needle, frame: Frame) -> dict[str, Any]:
    evidence, mass = [], []
    bounds: list[tuple[float, float, float]] = []
    memory, num_layers = seen.memory, len(seen.memory.held)
    bounded = set(np.linspace(0, num_layers - 1, BOUND_LAYERS).astype(int).tolist())
    for layer in range(num_layers):
        held = memory.held[layer]
        evidence.append(recall_of(held, needle.places))
        query, keys = seen.attended(layer)
        mass += mass_recall(query, keys, held, frame)
        if layer in bounded and isinstance(memory.memory, RetrievingMemory):
            bounds += _bounds(memory, layer, (query, keys), frame)
    read = [len(own) / memory.num_tokens for held in memory.held for own in held]
    row: dict[str, Any] = {"evidence": float(np.mean(evidence)), "mass": float(np.mean(mass))}
    row["read_frac"] = float(np.mean(read))
    row["layers"] = [round(x, 4) for x in evidence]
    if bounds:
        names = ("bound", "missed", "adaptive_tokens")
        row |= dict(zip(names, np.mean(bounds, axis=0).tolist(), strict=True))
    return row


def mass_recall(
    query: Float[Tensor, "H D"],
    keys: Float[Tensor, "K T D"],
    held: list[Tensor],
    frame: Frame,
) -> list[float]:
    """Far attention that is read, over that of the best tokens of the same number, per key head.

    Source: ours. Oracle: tests/stream/test_policy_audit.py::test_mass_recall_by_brute_force
    """
    found, end = [], keys.shape[1] - frame.local_tokens
    scores = grouped_scores(query[None], keys[:, frame.num_sinks : end])
    shares = scores.softmax(-1).sum((1, 2))
    for own, rows in zip(shares, held, strict=True):
        read = rows[(rows >= frame.num_sinks) & (rows < end)] - frame.num_sinks
        best = own.topk(len(read)).values.sum()
        found.append(float(own[read].sum() / best) if len(read) else 0.0)
    return found


def _bounds(
    memory: Watched, layer: int, told: tuple[Tensor, Tensor], frame: Frame
) -> list[tuple[float, float, float]]:
    """Bound on the missed share, the share itself, and the adaptive budget, per query head."""
    assert isinstance(memory.memory, RetrievingMemory)
    state, (query, keys) = memory.memory.layers[layer], told
    starts, lengths = state.index.starts + state.sinks.shape[2], state.index.lengths
    if len(starts) == 0:
        return []
    found, group = [], len(query) // len(keys)
    for head, rows in enumerate(memory.held[layer]):
        own = keys[head].cpu().numpy().astype(np.float64)
        heads = query[head * group : (head + 1) * group].cpu().numpy().astype(np.float64)
        read = np.zeros(len(own), dtype=bool)
        read[rows.numpy()] = True
        known = np.zeros(len(own), dtype=bool)
        if layer in memory.memory.scanned:
            known[memory.memory.scanned[layer][head].numpy() + state.sinks.shape[2]] = True
        found += head_bounds(heads, own, (starts, lengths), (read, known), frame.bound)
    return found
