"""The page of a leak scan: verdict, scores, flagged rows, pairs with their overlap."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from burnish.contracts.page import Block, Chart, Page, Series, Table, Text

Result = Mapping[str, Any]
MAX_ROWS = 200
MAX_PAIRS = 40
NUM_BINS = 40
VERDICT_COLUMNS = ("row", "benchmark item", "verdict", "views", "score", "q", "tests")


def leakage_page(told: Result, best: Sequence[float], pairs: Sequence[Mapping[str, str]]) -> Page:
    """The blocks of a scan; `best` are the rows' best scores, `pairs` the texts of leaks."""
    check = told["check"]
    blocks: list[Block] = [
        *histogram(best, told["threshold"]),
        flagged_table(told),
        pairs_table(told, pairs),
        reasons_table(told),
    ]
    return Page(
        title="burnish curate leakage",
        verdict=verdict_of(told),
        good="measured" if check["outcome"] == "pass" else False,
        headline=tiles(told),
        blocks=[*blocks, notes(told)],
    )


def verdict_of(told: Result) -> str:
    """The verdict in one sentence."""
    leaks, suspects = told["verdicts"]["leak"], told["verdicts"]["suspect"]
    if told["check"]["outcome"] == "pass":
        return (
            f"No leak is found in {told['num_rows']} rows; "
            f"{suspects} rows above the threshold are as many as chance makes."
        )
    return f"{leaks} of {told['num_rows']} rows leak the benchmark; {suspects} more are suspect."


def tiles(told: Result) -> list[tuple[str, str, str]]:
    """TLI, leaks, suspects, common knowledge."""
    tli = "none" if told["tli"] is None else f"{100 * told['tli']:.1f}%"
    expected = told["check"]["expected_by_chance"]
    fpr = told["fpr"]
    calibrated = f"at {fpr:.1%} false positives" if fpr else "the pool is too small to calibrate on"
    return [
        ("Leaks", str(told["verdicts"]["leak"]), calibrated),
        ("Suspects", str(told["verdicts"]["suspect"]), f"{expected:g} rows by chance"),
        ("Common knowledge", str(told["num_common_knowledge"]), "pass tests of textbook tasks"),
        ("TLI", tli, "as published: users' turns against prompts"),
    ]


def histogram(best: Sequence[float], threshold: float | None) -> list[Chart]:
    """How the rows' best scores are distributed."""
    values = np.array([b for b in best if np.isfinite(b)])
    if not len(values):
        return []
    counts, edges = np.histogram(values, bins=min(NUM_BINS, len(values)))
    middles = ((edges[1:] + edges[:-1]) / 2).round(3).tolist()
    line = f"The threshold is {threshold:.2f}." if threshold is not None else "No threshold."
    return [
        Chart(
            title="Best score of every row",
            kind="bar",
            series=[Series(name="rows", x=middles, y=[float(c) for c in counts])],
            x_label="score",
            y_label="rows",
            caption=line,
        )
    ]


def flagged_table(told: Result) -> Table:
    """Rows with a verdict, leaks first."""
    rows = [*told["flagged"], *told["common_knowledge"]]
    embedded = any("embedding" in row for row in rows)
    return Table(
        title="Rows with a verdict",
        columns=[*VERDICT_COLUMNS, *(["nearest by states"] if embedded else [])],
        rows=[
            [str(r["id"]), str(r["benchmark_id"]), r["verdict"], ", ".join(r["views"]),
             "" if r["score"] is None else round(r["score"], 2),
             "" if r["q"] is None else f"{r['q']:.1e}", r["behaviour"],
             *([nearest_text(r.get("embedding"))] if embedded else [])]
            for r in rows[:MAX_ROWS]
        ],
        caption=f"The first {MAX_ROWS} of {len(rows)}; all are in flagged.jsonl.",
    )  # fmt: skip


def nearest_text(found: Mapping[str, Any] | None) -> str:
    """The nearest reference by a model's states, and what is ordinary for it."""
    if found is None:
        return ""
    return f"{found['reference']}: {found['cosine']:.2f}, ordinary {found['ordinary']:.2f}"


def pairs_table(told: Result, pairs: Sequence[Mapping[str, str]]) -> Table:
    """Leaks beside the items that they leak, with the longest overlap marked."""
    return Table(
        title="Leak pairs",
        columns=["row", "benchmark item", "text of the row", "text of the item"],
        rows=[[p["id"], p["benchmark_id"], p["row"], p["item"]] for p in pairs[:MAX_PAIRS]],
        caption="The overlap is marked by ⟦ and ⟧.",
    )


def reasons_table(told: Result) -> Table:
    """Why rows are not in the clean pool."""
    pool = told["pool"]
    kept = told["num_rows"] - told["num_flagged"] - told["num_empty"]
    rows = [
        ["kept", kept], ["leak", told["verdicts"]["leak"]],
        ["suspect", told["verdicts"]["suspect"]], ["empty", told["num_empty"]],
        ["unreadable", pool["num_bad"]],
    ]  # fmt: skip
    return Table(title="Kept and dropped", columns=["reason", "rows"], rows=rows)


def notes(told: Result) -> Text:
    """Notes on how to read the numbers."""
    pool = told["pool"]
    says = [
        f"{told['num_tli_filtered']} rows reach the paper's filter (5% of an item's n-grams).",
        f"{told['num_runs']} programs ran on items' tests: {told['runs'] or 'none'}.",
        f"{len(told['untestable'])} items could not be compared at all: {told['untestable'][:5]}.",
        f"{pool['num_bad']} rows could not be read, {pool['num_recoded']} were not UTF-8, "
        f"{pool['num_duplicate_ids']} repeat an id.",
    ]
    return Text(title="Notes", text=" ".join(says))


def marked(text: str, spans: Sequence[Mapping[str, Any]], size: int = 600) -> str:
    """A text cut around its longest span, with the span marked."""
    if not spans:
        return text[:size]
    span = max(spans, key=lambda s: s["end"] - s["start"])
    start, end = span["start"], min(span["end"], span["start"] + size)
    begin = max(0, start - 80)
    return f"{text[begin:start]}⟦{text[start:end]}⟧{text[end : end + 80]}"
