"""Pages of the jobs: triples that were built and kept, refinements, their ledger and frontier."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from burnish.contracts.page import Block, Chart, Page, Sample, Samples, Series, Table, Text
from burnish.critique.ledger import FLIPS

ORACLE = "Only answers that are wrong in truth were revised: an upper bound, no accuracy."


def build_page(told: Mapping[str, Any]) -> Page:
    """The page of `critique build`."""
    verdict = (
        f"{told['num_triples']} critiques, {told['num_right']} of them of right solutions; "
        f"{told['num_leaking']} tell the reference."
    )
    tables = [
        counts_table("Origins", "origin", told["origins"]),
        counts_table("Types of the first error", "type", told["error_types"]),
        counts_table("First wrong step", "index, -1 for none", told["first_errors"]),
        counts_table("States of critiques", "state", told["states"]),
    ]
    return Page(title="", verdict=verdict, good="measured", blocks=tables)


def filter_page(told: Mapping[str, Any]) -> Page:
    """The page of `critique filter`."""
    verdict = f"{told['num_kept']} of {told['num']} critiques are kept."
    names = ("num_leaking", "num_useless", "rate_with", "rate_placebo", "num_right_solutions")
    rows = [[name, told[name]] for name in names]
    table = Table(title="What the filter found", columns=["what", "value"], rows=rows)
    counts = counts_table("Right refinements of a critique", "right", told["right_with"])
    return Page(title="", verdict=verdict, good="measured", blocks=[table, counts])


def bench_page(told: Mapping[str, Any]) -> Page:
    """The page of `critique bench`."""
    rows = [
        [name, *((one[k] for k in ("value", "low", "high")) if (one := told[name]) else [None] * 3),
         told["chance"][name]]
        for name in ("erroneous", "correct", "f1")
    ]  # fmt: skip
    table = Table(
        title="The first wrong step", columns=["", "value", "low", "high", "chance"], rows=rows,
        caption="Accuracy on solutions with an error and on right ones; F1 is their harmonic mean.",
    )  # fmt: skip
    f1 = told["f1"]
    verdict = f"F1 {_share(f1)} (chance {100 * told['chance']['f1']:.1f}%)" if f1 else "No F1"
    verdict += f" on {told['num']} solutions, {told['num_erroneous']} of them with an error; "
    verdict += f"{100 * told['parse_rate']:.1f}% of the critiques can be parsed."
    states = counts_table("States of critiques", "state", told["states"])
    return Page(title="", verdict=verdict, good="measured", blocks=[table, states])


def counts_table(title: str, what: str, counts: Mapping[str, int]) -> Table:
    """Counts by name."""
    rows = [[name, count] for name, count in sorted(counts.items())]
    return Table(title=title, columns=[what, "number"], rows=rows)


def refine_page(told: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> Page:
    """The page of `critique refine`."""
    last = told["frontier"][-1]
    gap = last["difference"]
    verdict = (
        f"At K = {last['k']}, revised answers are right on {_share(last['refined'])}, "
        f"{last['plain_votes']} plain votes on {_share(last['plain_same_tokens'])} "
        f"(difference {100 * gap['value']:.1f} points, {100 * gap['low']:.1f} to "
        f"{100 * gap['high']:.1f})."
    )
    blocks: list[Block] = []
    if told["gate"] == "oracle":
        verdict = f"{ORACLE} {verdict}"
    if not last["equal"]:
        blocks.append(
            Text(title="Not at equal tokens", text="There are fewer plain votes than equal tokens "
                 "allow: raise max_plain_votes.")
        )  # fmt: skip
    blocks += [frontier_chart(told["frontier"]), level_chart(last)]
    if told["selection"] is not None:
        blocks += [selection_chart(told["selection"]["rows"]), selection_table(told)]
    blocks.append(flips_table(told))
    if told["states"]:
        blocks.append(counts_table("States of critiques", "state", told["states"]))
    blocks += [critic_table(told), tokens_table(told)]
    if shown:
        blocks += [samples_of(shown), *diffs(shown)]
    return Page(title="", verdict=verdict, good="measured", blocks=blocks)


def _share(estimate: Mapping[str, Any]) -> str:
    return f"{100 * estimate['value']:.1f}%"


def frontier_chart(rows: Sequence[Mapping[str, Any]]) -> Chart:
    """Accuracy against all tokens of a task."""
    return Chart(
        title="Accuracy against tokens",
        kind="line",
        series=[
            against_tokens(rows, "revised", "refined"),
            against_tokens(rows, "plain votes", "plain_same_tokens"),
        ],
        x_label="tokens of a task: generated, and prefilled for the critic and the revision",
        y_label="majority vote right (share)",
        x_scale="log",
        caption="Exact Maj@K over all samples; 95% intervals over tasks.",
    )


def against_tokens(rows: Sequence[Mapping[str, Any]], name: str, key: str) -> Series:
    """One kind of accuracy with its intervals, by all tokens of a task."""
    found = [row[key] for row in rows]
    return Series(
        name=name,
        x=[row["tokens"] for row in rows],
        y=[one["value"] for one in found],
        low=[one["low"] for one in found],
        high=[one["high"] for one in found],
    )


def selection_chart(rows: Sequence[Mapping[str, Any]]) -> Chart:
    """Choosing among first answers by score, and plain votes at as many tokens."""
    names = {"best_of": "best of K", "weighted": "vote by score",
             "plain_same_tokens": "plain votes"}  # fmt: skip
    return Chart(
        title="Choosing by score",
        kind="line",
        series=[against_tokens(rows, name, key) for key, name in names.items()],
        x_label="tokens of a task: generated, prefilled, and read by the scorer",
        y_label="right (share)",
        x_scale="log",
        caption="Over all subsets of K first answers; 95% intervals over tasks.",
    )


def selection_table(told: Mapping[str, Any]) -> Table:
    """Best of K and votes by score beside majority votes, at equal K and at equal tokens."""
    found = told["selection"]
    names = ("best_of", "weighted", "majority", "plain_same_tokens")
    rows = [
        [row["k"], *(row[name]["value"] for name in names), row["plain_votes"],
         *(_points(row["difference"][name]) for name in ("best_of", "weighted"))]
        for row in found["rows"]
    ]  # fmt: skip
    auroc = found["auroc"]
    caption = "All answers are right, or all are wrong: the scores cannot be judged."
    if auroc is not None:
        caption = f"A right answer has the higher score with a chance of {auroc:.3f}."
    caption += (
        f" Scorer: {told['scorer']}, {found['tokens_per_answer']:.0f} tokens an answer. "
        "Differences are to plain votes at equal tokens, in points."
    )
    columns = ["K", "best of K", "vote by score", "majority", "majority, equal tokens",
               "plain votes", "best of K, difference", "vote by score, difference"]  # fmt: skip
    return Table(title="Best of K and votes by score", columns=columns, rows=rows, caption=caption)


def _points(gap: Mapping[str, Any]) -> str:
    low, high = 100 * gap["low"], 100 * gap["high"]
    return f"{100 * gap['value']:+.1f} ({low:+.1f} to {high:+.1f})"


def level_chart(row: Mapping[str, Any]) -> Chart:
    """Accuracy by difficulty at the largest K."""
    levels = row["by_level"]
    return Chart(
        title=f"By difficulty at K = {row['k']}",
        kind="bar",
        series=[
            Series(name=name, x=list(levels), y=[one[key] for one in levels.values()])
            for name, key in (("revised", "refined"), ("plain votes", "plain_same_tokens"))
        ],
        x_label="level: fifths by pass rate under a seed of its own, 1 is easy",
        y_label="majority vote right (share)",
    )


def flips_table(told: Mapping[str, Any]) -> Table:
    """The ledger of flips by round, then by level."""
    rows = [[f"round {number}", *(one[name] for name in FLIPS)]
            for number, one in enumerate(told["flips"], 1)]  # fmt: skip
    rows += [[f"level {level}", *(one[name] for name in FLIPS)]
             for level, one in told["flips_by_level"].items()]  # fmt: skip
    chain = told["chain"]
    caption = "A dash marks another answer that is right, or wrong, as before."
    if chain and chain["limit"] is not None:
        caption += f" Rounds tend to {100 * chain['limit']:.1f}%"
        caption += "; the next is forecast to add too little." if told["stop"] else "."
    return Table(title="Flips", columns=["", *FLIPS], rows=rows, caption=caption)


def critic_table(told: Mapping[str, Any]) -> Table:
    """The critic's numbers, each in its row."""
    rows: list[list[Any]] = []
    for name in ("detection", "false_alarm", "helpfulness"):
        one = told[name]
        rows.append(
            [name, *([one[k] for k in ("value", "low", "high", "n")] if one else [None] * 4)]
        )
    rows.append(["discriminability", told["discriminability"], None, None, None])
    caption = (
        "Detection: wrong answers that were flagged. False alarm: right ones. Helpfulness: wrong "
        "answers that a revision made right. Discriminability: balanced accuracy of verdicts."
    )
    return Table(
        title="The critic", columns=["", "value", "low", "high", "n"], rows=rows, caption=caption
    )


def tokens_table(told: Mapping[str, Any]) -> Table:
    """Tokens by use."""
    rows = [[name, value] for name, value in told["tokens"].items()]
    rows += [["critiques that tell the reference", told["num_leaking"]]]
    rows += [["revisions that copy", told["num_copied"]]]
    rows += [["answers without a final answer", told["num_unparsable_answers"]]]
    return Table(title="Tokens and failures", columns=["what", "number"], rows=rows)


def samples_of(shown: Sequence[Mapping[str, Any]]) -> Samples:
    """Answers before and after."""
    names = ("prompt", "answer", "before", "after", "before_right", "after_right")
    rows = [Sample(**{name: one[name] for name in names}, group=one["state"]) for one in shown]
    return Samples(title="Answers before and after", samples=rows)


def diffs(shown: Sequence[Mapping[str, Any]], most: int = 5) -> list[Block]:
    """Answer, critique and revision as a diff."""
    found: list[Block] = []
    for one in [row for row in shown if row["before"] != row["after"]][:most]:
        lines = difflib.unified_diff(
            one["before"].splitlines(), one["after"].splitlines(), "answer", "revision", lineterm=""
        )
        rows = [["critique", line] for line in one["critique"].splitlines()]
        rows += [["diff", line] for line in lines]
        found.append(Table(title=f"Revision of {one['prompt']}", columns=["", "line"], rows=rows))
    return found
