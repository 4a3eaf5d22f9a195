"""The report page of an alignment, described in blocks; nothing is measured here."""

from collections.abc import Mapping, Sequence
from typing import Any

from burnish.contracts.page import Block, Chart, Page, Series, Table, Text
from burnish.prefer.measure import STRATA, Scores
from burnish.prefer.pulls import Pulls

MAX_POINTS = 500
EXPLANATION = (
    "Held-out pairs share no prompt with the training pairs. Margins are log-likelihood ratios "
    "of whole answers, policy over reference, chosen minus rejected, whatever loss was trained; "
    "a margin above zero counts as right. Nobody judged the generated answers: their length is "
    "measured, their quality is not, so this page states no win rate.\n\n"
    "Length-neutral alpha is where a margin of public tokens plus alpha times the others stops "
    "changing with the length difference. Intervals are 95%: Wilson's for shares, bootstrap over "
    "pairs for everything else."
)


def make_page(
    result: Mapping[str, Any],
    scores: Scores,
    *,
    pulls: Sequence[tuple[Sequence[tuple[str, str]], Pulls]],
) -> Page:
    """The page: verdict and tiles, length, margins, strata, the alpha curve, pulls on examples.

    `pulls` gives, for each example, the texts of its tokens (chosen, rejected) and the pulls.
    """
    blocks: list[Block] = [
        *_generated(result),
        _against_length(scores),
        *_strata(result),
        *_curve(result),
        *_training(result),
        *(_pull_table(number, *one) for number, one in enumerate(pulls, start=1)),
        _problems(result),
        Text(title="How to read this", text=EXPLANATION),
    ]
    return Page(
        title=f"burnish prefer: {result['loss']['name']} on {result['base']}",
        verdict=verdict_sentence(result),
        good="measured",
        headline=_tiles(result),
        blocks=blocks,
    )


def verdict_sentence(result: Mapping[str, Any]) -> str:
    """The report's opening sentence."""
    accuracy = result["margins"]["accuracy"]
    lengths = result["lengths"]
    says = (
        f"After {result['num_steps']} steps the margin is right on "
        f"{_percent(accuracy)} of {accuracy['n']} held-out pairs"
    )
    if lengths["before"] is None or lengths["after"] is None:
        return f"{says}; no answers were generated."
    before, after = (lengths[name]["length_tokens"]["value"] for name in ("before", "after"))
    return f"{says}; generated answers went from {before:.1f} to {after:.1f} tokens."


def _percent(estimate: Mapping[str, Any]) -> str:
    low, high = 100 * estimate["low"], 100 * estimate["high"]
    return f"{100 * estimate['value']:.1f}% ({low:.1f} to {high:.1f})"


def _tiles(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    margins, tiles = result["margins"], []
    accuracy = margins["accuracy"]
    tiles.append(("Accuracy", f"{100 * accuracy['value']:.1f}%", f"{accuracy['n']} held-out pairs"))
    if (balanced := margins["balanced_accuracy"]) is not None:
        detail = "mean of both sides; length alone: 50%"
        tiles.append(("Length-balanced", f"{100 * balanced['value']:.1f}%", detail))
    if (rank := margins["spearman"]) is not None:
        detail = f"margin with length, {rank['low']:.2f} to {rank['high']:.2f}"
        tiles.append(("Spearman", f"{rank['value']:.2f}", detail))
    drift = margins["chosen_drift_nats"]["value"]
    tiles.append(("Chosen drift", f"{drift:.1f}", "nats per answer, against the reference"))
    return tiles


def _generated(result: Mapping[str, Any]) -> list[Block]:
    told = [(row["step"], row["generated"]) for row in result["evaluations"] if row["generated"]]
    if not told:
        return []
    lengths = [written["length_tokens"] for _, written in told]
    rows = [
        [step, one["value"], one["low"], one["high"], one["n"], written["num_capped"]]
        for (step, written), one in zip(told, lengths, strict=True)
    ]
    return [
        Table(
            title="Generated length",
            columns=["after step", "mean tokens", "low", "high", "answers", "cut at the cap"],
            rows=rows,
            caption=f"Greedy answers to held-out prompts, at most {told[0][1]['cap_tokens']} "
            "tokens; an answer that was cut counts as long as the cap.",
        )
    ]


def _against_length(scores: Scores) -> Chart:
    excess, margins = scores.excess.tolist(), scores.margins().tolist()
    shown = slice(0, MAX_POINTS)
    return Chart(
        title="Margin against length",
        kind="points",
        series=[Series(name="held-out pairs", x=excess[shown], y=margins[shown])],
        x_label="chosen minus rejected length (tokens)",
        y_label="margin (nats)",
        caption=f"{len(excess[shown])} of {len(excess)} held-out pairs.",
    )


def _strata(result: Mapping[str, Any]) -> list[Block]:
    found = result["margins"]["strata"]
    rows = [
        [name, *(found[name][part] for part in ("value", "low", "high", "n"))]
        for name in STRATA
        if found[name] is not None
    ]
    return [
        Table(
            title="Accuracy by length",
            columns=["pairs", "accuracy", "low", "high", "n"],
            rows=rows,
            caption="Alike: lengths differ by at most a fifth of the longer answer.",
        )
    ]


def _curve(result: Mapping[str, Any]) -> list[Block]:
    curve = result["curve"]
    if curve is None:
        return []
    slopes, neutral = curve["intervals"]["slope"], curve["intervals"]["length_neutral_alpha"]
    clipped = "; the line is not zero within [0, 1]" if curve["clipped"] else ""
    return [
        Chart(
            title="Alpha curve",
            kind="line",
            series=[
                Series(
                    name="slope",
                    x=curve["alpha"],
                    y=curve["slope"],
                    low=[one["low"] for one in slopes],
                    high=[one["high"] for one in slopes],
                )
            ],
            x_label="alpha",
            y_label="slope of the margin (nats per token of length difference)",
            caption=f"Length-neutral alpha {neutral['value']:.2f} "
            f"({neutral['low']:.2f} to {neutral['high']:.2f}){clipped}.",
        )
    ]


def _training(result: Mapping[str, Any]) -> list[Block]:
    steps = result["steps"]
    at = [float(row["step"]) for row in steps]
    drifts = [name for name in ("chosen_drift_nats", "rejected_drift_nats") if name in steps[0]]
    kinds = [
        ("Training loss", ["loss"], "loss (mean over pairs)"),
        ("Training margins", ["margin"], "mean margin of the loss"),
        ("Likelihood drift", drifts, "nats per answer, against the reference"),
    ]
    return [
        Chart(
            title=title,
            kind="line",
            series=[Series(name=n, x=at, y=[row[n] for row in steps]) for n in names],
            x_label="step",
            y_label=label,
        )
        for title, names, label in kinds
        if names
    ]


def _pull_table(number: int, tokens: Sequence[tuple[str, str]], pulls: Pulls) -> Table:
    longest = max(len(pulls.chosen), len(pulls.rejected))
    sides = [
        _padded([token for token, _ in tokens], pulls.chosen, longest),
        _padded([token for _, token in tokens], pulls.rejected, longest),
    ]
    rows = [[place + 1, *sides[0][place], *sides[1][place]] for place in range(longest)]
    return Table(
        title=f"Weights of tokens, example {number}",
        columns=["token", "chosen", "pull up", "rejected", "pull down"],
        rows=rows,
        caption="How much a step raises (lowers) each token's log-probability, per unit of rate.",
    )


def _padded(texts: Sequence[str], pulls: Sequence[float], length: int) -> list[tuple[Any, Any]]:
    cells: list[tuple[Any, Any]] = list(zip(texts, pulls, strict=False))
    return cells + [("", "")] * (length - len(cells))


def _problems(result: Mapping[str, Any]) -> Table:
    rows = [[p["row"], p["problem"], p["got"]] for p in result["problems"]]
    return Table(
        title="Rows that were left out",
        columns=["row", "problem", "got"],
        rows=rows,
        caption=f"{len(rows)} rows had problems, {result['num_undecided']} no preferred answer; "
        f"{result['truncated']} pairs lost the end of an answer to the length limit.",
    )
