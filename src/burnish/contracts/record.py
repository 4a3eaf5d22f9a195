"""The record that disciplines exchange, and the row of the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Record:
    """One answer of one model to one task.

    `id` is unique in its file; `task_id` and `group` come from the task; `tokens` counts the
    answer's tokens; `verdict` is a `Verdict` value or "" before judging; `finish` is
    `eos`, `stop` or `length`; `provenance` says which model, seed and stage made it.
    """

    id: str
    task_id: str
    group: str
    prompt: str
    answer: str
    tokens: int
    finish: str = ""
    verdict: str = ""
    extracted: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One ledger row: a number that is claimed, its 95% interval, and what it cost.

    `artefact` is the path, relative to the run folder, of the rows it was computed from.
    """

    claim: str
    value: float
    low: float
    high: float
    n: int
    tokens: int = 0
    seconds: float = 0.0
    artefact: str = ""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A test with a declared margin: pass, fail, or undetermined with the n that would decide.

    The tested quantity is oriented so that larger is better: `pass` when `low > -margin`,
    `fail` when `high < -margin`; `n_to_decide` is set only when undetermined.
    """

    name: str
    outcome: str  # pass | fail | undetermined
    margin: float
    value: float
    low: float
    high: float
    n: int
    unit: str
    sentence: str
    n_to_decide: int | None = None
