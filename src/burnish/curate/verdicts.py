"""From scores, shares and evidence to one verdict per row."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from burnish.contracts.executor import RunState
from burnish.curate.behaviour import Evidence, is_common
from burnish.curate.calibrate import LEAST_ROWS
from burnish.curate.programs import Target
from burnish.curate.scan import Shares, by_item
from burnish.curate.settings import LeakageSettings
from burnish.data.benchmarks import BenchmarkItem

SURE = 0.95  # share of a prompt's characters that needs no weight
LEAST_CODE = 25  # distinct grams of a solution that is called the same
LEAST_TRANSLATED = 40
SURE_RATE = 0.01  # expected share of false discoveries among rows that count as leaks


class LeakVerdict(enum.StrEnum):
    """The verdict on a row that matches an item.

    `leak`: copied, or its program passes the item's tests, or so like the item that among such
    rows at most one in a hundred is chance. `suspect`: above the threshold, and no more is known.
    `common_knowledge`: it passes the tests of what many write without having seen the item.
    """

    LEAK = "leak"
    SUSPECT = "suspect"
    COMMON = "common_knowledge"


@dataclass
class Found:
    """One row with its verdict, the item that it matches best, and the reasons."""

    row: int
    item: int
    score: float | None
    views: list[str] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)
    chance: float | None = None
    q: float | None = None
    behaviour: str = ""
    function: str = ""
    embedding: dict[str, Any] | None = None
    verdict: LeakVerdict | None = None


def copies(
    shares: Sequence[Shares], block: int, num_items: int, settings: LeakageSettings
) -> dict[str, np.ndarray]:
    """Which rows of a block contain which items verbatim, by view.

    A prompt counts by its characters; where a template makes up much of it, what is rare must be
    there too. A solution counts by its code. Translations count in small pools alone.
    """
    found: dict[str, np.ndarray] = {}
    for one in shares:
        plain, weighted = one.plain(block), one.weighted(block)
        kinds = np.array(one.view.kinds, dtype=str)
        if one.view.name == "characters":
            good = (plain >= SURE) | (
                (plain >= settings.verbatim_frac) & (weighted >= settings.weighted_frac)
            )
            found["characters"] = by_item(good, one.view.owners, num_items) > 0
        elif one.view.name == "code":
            sizes = one.view.index.sizes
            same = (kinds == "python") & (sizes >= LEAST_CODE)
            good = (plain >= settings.code_frac) & same
            found["code"] = by_item(good, one.view.owners, num_items) > 0
            if one.num_rows < LEAST_ROWS:
                other = (kinds != "python") & (sizes >= LEAST_TRANSLATED)
                good = (plain >= settings.translated_frac) & other
                found["translation"] = by_item(good, one.view.owners, num_items) > 0
    return found


def decide(
    found: Found, evidence: Evidence | None, item: BenchmarkItem, target: Target | None,
    *, above: bool,
) -> Found:  # fmt: skip
    """Set the verdict; None if nothing indicates a leak. `above`: the calibrated threshold.

    Source: ours. Oracle: tests/curate/test_verdicts.py::test_truth_table
    """
    copied = bool(found.views)
    if evidence is not None:
        found.behaviour, found.function = evidence.state.value, evidence.function
    passed = evidence is not None and evidence.state is RunState.PASSED
    if passed:
        found.views.append("behaviour")
    common = target is not None and is_common(item, target)
    if above:
        found.views.append("score")
    sure = above and found.q is not None and found.q <= SURE_RATE
    if (copied and not (common and found.views == ["code"])) or sure or (passed and not common):
        found.verdict = LeakVerdict.LEAK
    elif above or copied:
        found.verdict = LeakVerdict.SUSPECT
    elif passed:
        found.verdict = LeakVerdict.COMMON
    return found


def as_row(
    found: Found, ids: Sequence[Any], items: Sequence[BenchmarkItem], num_benchmarks: int
) -> dict[str, Any]:
    """As a row of `flagged`."""
    item = items[found.item]
    name = {"benchmark": item.benchmark} if num_benchmarks > 1 else {}
    return {
        "id": ids[found.row],
        "benchmark_id": item.id,
        **name,
        "score": None if found.score is None else round(found.score, 4),
        "views": found.views,
        "verdict": found.verdict.value if found.verdict else "",
        "chance": found.chance,
        "q": found.q,
        "shares": found.shares,
        "behaviour": found.behaviour,
        "function": found.function,
        **({} if found.embedding is None else {"embedding": found.embedding}),
    }


def counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many rows have each verdict."""
    return {v.value: sum(row["verdict"] == v.value for row in rows) for v in LeakVerdict}
