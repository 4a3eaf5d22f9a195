"""The page of a choice: counts, reasons, scores, and how much diversity costs."""

from collections.abc import Mapping
from typing import Any

from burnish.contracts.page import Block, Chart, Page, Series, Table, Text

Result = Mapping[str, Any]


def pick_page(told: Result) -> Page:
    """Verdict, reasons, the curve of kept rows, the first rows with their reasons."""
    blocks: list[Block] = [reasons_table(told)]
    blocks += [curve_chart(told["curve"])] if "curve" in told else []
    blocks += [decisions_table(told), notes(told)]
    tiles = [("Chosen", str(told["num_picked"]), f"of {told['num_rows']} rows")]
    tiles += (
        [("Tokens", f"{told['num_tokens']:,}", "of the chosen rows")]
        if "num_tokens" in told
        else []
    )
    return Page(
        title="burnish curate pick",
        verdict=f"{told['num_picked']} of {told['num_rows']} rows are chosen.",
        good="measured",
        headline=tiles,
        blocks=blocks,
    )


def reasons_table(told: Result) -> Table:
    """How many rows have each reason."""
    rows = sorted(told["reasons"].items(), key=lambda item: -item[1])
    return Table(title="Kept and dropped", columns=["reason", "rows"], rows=[[*r] for r in rows])


def curve_chart(curve: Result) -> Chart:
    """Rows kept by the walk, by threshold; random order beside."""
    series = [
        Series(name=f"cosine {name}", x=curve["rows"], y=counts)
        for name, counts in curve["kept"].items()
    ]
    series.append(Series(name="cosine 0.945, random order", x=curve["rows"], y=curve["random"]))
    return Chart(
        title="How many rows the walk keeps",
        kind="line",
        series=series,
        x_label="rows looked at, best first",
        y_label="rows kept",
    )


def decisions_table(told: Result) -> Table:
    """The first rows of the pool."""
    rows = [
        [str(r["id"]), r["reason"], "" if r["score"] is None else round(r["score"], 4),
         str(r.get("of") or ""), r.get("similarity") or ""]
        for r in told["decisions"]
    ]  # fmt: skip
    return Table(
        title="Rows and reasons",
        columns=["row", "reason", "score", "near to", "cosine"],
        rows=rows,
        caption="The first 200; all are in decisions.jsonl.",
    )


def notes(told: Result) -> Text:
    """Notes on what the numbers are based on."""
    pool = told["pool"]
    text = f"Scores of several turns are joined by {told['aggregate']}. "
    text += f"{pool['num_bad']} rows could not be read, {pool['num_duplicate_ids']} repeat an id."
    return Text(title="Notes", text=text)
