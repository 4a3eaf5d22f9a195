"""What policies read of planted sentences, beside what attention would have wanted."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from burnish.contracts.kv_policy import KVPolicy
from burnish.engine.policies import CHUNK_ROWS, needs_surprise, read_rows, shape_of
from burnish.kv.memory import open_memory
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.memory import RetrievingMemory
from burnish.kv.rope import Rope, rotate
from burnish.models.load import Model
from burnish.stream.bound import Balls, missed_bound, span_bounds, tokens_for_bound
from burnish.stream.needles import Haystack, Needle
from burnish.stream.watch import Watched, recall_of

BOUND_LAYERS = 3  # first, middle and last: the bound needs all keys of a layer


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What counts as far: behind `num_sinks`, and before the last `local_tokens`.

    `answers`: also whether the answer is right, which takes a pass for each of its tokens.
    """

    num_sinks: int
    local_tokens: int
    bound: float
    answers: bool = True


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
    policy = kv_policies.parse(spec)
    names = {field.name for field in fields(policy)}  # type: ignore[arg-type]
    wanted = {"far_tokens": far_tokens, "local_tokens": local_tokens, "num_sinks": num_sinks}
    given = {name: value for name, value in wanted.items() if name in names}
    if "budget_tokens" in names:
        sinks = num_sinks if kv_policies.name_of(policy) == "window" else 0
        given["budget_tokens"] = far_tokens + local_tokens + sinks
    return replace(policy, **given)  # type: ignore[type-var]


@torch.inference_mode()
def audit_text(
    model: Model, policy: KVPolicy, text: Haystack, frame: Frame
) -> list[dict[str, Any]]:
    """One row a needle: evidence and mass recall, the bound, and whether the answer is right.

    The text is read once, in chunks, under the policy itself; each question begins from there. The
    question's last token is read alone, so that far tokens are chosen by it.
    Source: ours. Oracle: tests/stream/test_policy_audit.py::test_full_attention_recalls_all
    """
    memory = Watched(open_memory(policy, shape_of(model)), model.network.shape.num_layers)
    _read(model, policy, memory, text.ids)
    rows = []
    for needle in text.needles:
        mark = memory.mark()
        _read(model, policy, memory, needle.question[:-1])
        last = _read(model, policy, memory, needle.question[-1:])
        row = _measures(model, memory, needle, frame)
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
        last = read_rows(model.network, [memory], [chunk], surprises=tell)[-1]
    return last


def _answers(
    model: Model, policy: KVPolicy, memory: Any, last: torch.Tensor, needle: Needle
) -> float:
    """1 if each token of the answer is the likeliest one."""
    for token in needle.answer:
        if int(model.network.head(last[None])[0].argmax()) != token:
            return 0.0
        last = _read(model, policy, memory, [token])
    return 1.0


def _measures(model: Model, memory: Watched, needle: Needle, frame: Frame) -> dict[str, Any]:
    evidence, mass = [], []
    bounds: list[tuple[float, float, float]] = []
    num_layers = model.network.shape.num_layers
    bounded = set(np.linspace(0, num_layers - 1, BOUND_LAYERS).astype(int).tolist())
    for layer in range(num_layers):
        held = memory.held[layer]
        evidence.append(recall_of(held, needle.first, needle.end))
        query, keys = _as_attended(model, memory, layer)
        mass += mass_recall(query, keys, held, frame)
        if layer in bounded and isinstance(memory.memory, RetrievingMemory):
            bounds += _bounds(memory, layer, (query, keys), frame)
    row: dict[str, Any] = {"evidence": float(np.mean(evidence)), "mass": float(np.mean(mass))}
    row["layers"] = [round(x, 4) for x in evidence]
    if bounds:
        names = ("bound", "missed", "adaptive_tokens")
        row |= dict(zip(names, np.mean(bounds, axis=0).tolist(), strict=True))
    return row


def _as_attended(model: Model, memory: Watched, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Last query `[H D]` and keys `[K T D]`, rotated where the text fits the model's window.

    Beyond it neither is rotated: all far tokens are equally far away.
    """
    keys, query = memory.keys(layer), memory.queries[layer]
    rope = Rope(model.config)
    if len(keys) <= model.max_position:
        at = torch.arange(len(keys), device=keys.device)
        keys = rotate(keys, rope.at(at, keys.dtype))
        query = rotate(query[None], rope.at(at[-1:], keys.dtype))[0]
    return query.float().cpu().numpy(), keys.float().transpose(0, 1).cpu().numpy()


def mass_recall(
    query: np.ndarray, keys: np.ndarray, held: list[torch.Tensor], frame: Frame
) -> list[float]:
    """Far attention that is read, over that of the best tokens of the same number, per key head.

    Source: ours. Oracle: tests/stream/test_policy_audit.py::test_mass_recall_by_brute_force
    """
    found, group = [], len(query) // len(keys)
    end = keys.shape[1] - frame.local_tokens
    for head, rows in enumerate(held):
        scores = query[head * group : (head + 1) * group] @ keys[head, frame.num_sinks : end].T
        scores = scores / np.sqrt(query.shape[1])
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares = (shares / shares.sum(1, keepdims=True)).sum(0)
        read = rows.numpy()
        read = read[(read >= frame.num_sinks) & (read < end)] - frame.num_sinks
        if len(read) == 0:
            found.append(0.0)
            continue
        best = np.sort(shares)[-len(read) :].sum()
        found.append(float(shares[read].sum() / best))
    return found


def _bounds(
    memory: Watched, layer: int, told: tuple[np.ndarray, np.ndarray], frame: Frame
) -> list[tuple[float, float, float]]:
    """Bound on the missed share, the share itself, and the adaptive budget, per query head."""
    assert isinstance(memory.memory, RetrievingMemory)
    (query, keys), state = told, memory.memory.layers[layer]
    starts, lengths = state.index.starts + state.sinks.shape[2], state.index.lengths
    if len(starts) == 0:
        return []
    found, group = [], len(query) // len(keys)
    for head, rows in enumerate(memory.held[layer]):
        read = np.zeros(keys.shape[1], dtype=bool)
        read[rows.numpy()] = True
        left_over = np.add.reduceat((~read[: starts[-1] + lengths[-1]]).astype(int), starts)
        balls = Balls.around(keys[head], starts, lengths)
        left = replace(balls, sizes=np.maximum(left_over, 1))
        near = np.ones(keys.shape[1], dtype=bool)
        near[starts[0] : starts[-1] + lengths[-1]] = False
        for own in query[head * group : (head + 1) * group]:
            scores = keys[head] @ own / np.sqrt(len(own))
            kept = float(np.logaddexp.reduce(scores[read]))
            missed = scores[~read]
            share = missed_bound(kept, missed) if len(missed) else 0.0
            rest = span_bounds(own, left)[left_over > 0]
            adaptive = tokens_for_bound(
                own, keys[head], starts, balls,
                log_kept=float(np.logaddexp.reduce(scores[near])), bound=frame.bound,
            )  # fmt: skip
            found.append((missed_bound(kept, rest), share, float(adaptive)))
    return found
