"""The report page of a curve, described in blocks; nothing is computed here."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from burnish.contracts.page import Block, Chart, Page, Series, Table, Text

Result = Mapping[str, Any]
STATES = {
    "fine": "copies nearly every token (the setting fine_share, 0.99)",
    "coarse": "copies better than it predicts unrelated text",
    "amnesia": "no better than on unrelated text",
    "collapse": "broken here: it predicts badly without having to remember",
    "failed": "not measured: see the error",
}


def make_page(result: Result) -> Page:
    """Verdict, tiles, both curves with their states, position and distance, points."""
    blocks: list[Block] = [
        curve_chart([("", result)]),
        heat_map(result),
        points_table(result),
        _caveats(result),
    ]
    return Page(
        title=f"burnish recall: {result['model']}",
        verdict=verdict(result),
        good="measured",
        headline=_tiles(result),
        blocks=blocks,
    )


def verdict(result: Result) -> str:
    """One sentence: how far the model copies, and how far it remembers at all."""
    if result["state"] == "no copying":
        return f"{result['model']} shows no copying, even at the shortest length that counts."
    share, fine = f"{100 * result['fine_share']:g}%", result["fine"]
    says = f"copies {share} of tokens right up to {_length(fine)} tokens back"
    says = says if fine["value"] else f"nowhere copies {share} of tokens right"
    return (
        f"{result['model']} ({result['kv']} KV, {result['mode']} mode) {says}, and remembers "
        f"something up to {_length(result['coarse'])}. At the longest length: {result['state']}."
    )


def _length(one: Mapping[str, Any]) -> str:
    return f"{'at least ' if one['at_least'] else ''}{int(one['value']):,}"


def _tiles(result: Result) -> tuple[tuple[str, str, str], ...]:
    def tile(name: str, one: Mapping[str, Any]) -> tuple[str, str, str]:
        return name, _length(one), f"tokens, 95% interval {int(one['low'])} to {int(one['high'])}"

    cost = result["cost"]
    return (
        tile("Fine", result["fine"]),
        tile("Coarse", result["coarse"]),
        ("State", result["state"], "at the longest length"),
        ("Time", f"{cost['seconds']:.1f} s", f"{cost['num_rows']:,} rows computed"),
    )


def curve_chart(results: Sequence[tuple[str, Result]]) -> Chart:
    """Copy and language-model accuracy with bands; for one curve also its states and lengths."""
    series = [_curve(f"{side} {name}".strip(), r, side) for name, r in results for side in SIDES]
    if len(results) == 1:
        result = results[0][1]
        marks = [("fine length", result["fine_tokens"]), ("coarse length", result["coarse_tokens"])]
        series += [Series(name=n, x=[at, at], y=[0.0, 1.0]) for n, at in marks if at]
        series += _shades(result)
    return Chart(
        title="Forgetting curve",
        kind="line",
        series=series,
        x_label="distance to the source (tokens)",
        y_label="share of tokens predicted right",
        x_scale="log",
        caption=(
            "copy: the text came before. lm: an unrelated text came before. Their gap is memory. "
            "Bands are 95% intervals over trials; shaded: the state of each length."
        ),
    )


SIDES = ("copy", "lm")


def _curve(name: str, result: Result, side: str) -> Series:
    points = [p for p in result["points"] if p[side] is not None]
    bounds = {key: [p[side][key] for p in points] for key in ("value", "low", "high")}
    x = [float(p["length"]) for p in points]
    return Series(name=name, x=x, y=bounds["value"], low=bounds["low"], high=bounds["high"])


def _shades(result: Result) -> list[Series]:
    """One band a run of equal states, from the first to the last of its lengths."""
    found = []
    for state, points in groupby(result["points"], key=lambda point: point["state"]):
        lengths = [float(point["length"]) for point in points]
        x = [lengths[0], lengths[-1]]
        found.append(Series(name=state, x=x, y=[0.0, 0.0], low=[0.0, 0.0], high=[1.0, 1.0]))
    return found


def heat_map(result: Result) -> Chart:
    """Copy accuracy, with a row per bin of positions and a column per distance."""
    lengths = [point["length"] for point in result["points"]]
    cells = {(cell["first"], cell["length"]): cell["copy"] for cell in result["heat"]}
    bins = sorted({(cell["first"], cell["last"]) for cell in result["heat"]})
    rows = [
        Series(
            name=f"{first} to {last}",
            x=[str(length) for length in lengths],
            y=[cells.get((first, length)) for length in lengths],
        )
        for first, last in bins
    ]
    return Chart(
        title="Copy accuracy by position and distance",
        kind="heat",
        series=rows,
        x_label="distance (tokens)",
        y_label="position (tokens)",
        caption=(
            "What fades upwards in a column is a limit of positions; what fades along a row is "
            "forgetting. Probe mode has one or two positions a distance."
        ),
    )


def points_table(result: Result) -> Table:
    """Every length with its numbers."""
    rows = []
    for point in result["points"]:
        numbers = [
            None if point[side] is None else point[side]["value"] for side in (*SIDES, "gap")
        ]
        low = None if point["gap"] is None else point["gap"]["low"]
        tail = [low, point["p_value"], point["state"], point["error"] or ""]
        rows.append([point["length"], *numbers, *tail])
    return Table(
        title="Points",
        columns=["length", "copy", "lm", "gap", "gap, low", "p (Holm)", "state", "error"],
        rows=rows,
        caption="; ".join(f"{name}: {meaning}" for name, meaning in STATES.items()) + ".",
    )


def _caveats(result: Result) -> Text:
    found = [
        f"Estimator: {result['estimator']}. Corpus {result['corpus']}, control "
        f"{result['control']}, separator token {result['material']['separator']}.",
        f"Reader: {result['cost']['reader']}; largest block of logits "
        f"{result['cost']['peak_logits_bytes'] / 1e6:.1f} MB; {result['num_near_ties']} near-ties.",
        "Lengths of one trial are nested, hence correlated; intervals are over trials. The fine "
        "and coarse thresholds are ours: the text of the paper that could be read gives none.",
    ]
    if result["contaminated_trials"]:
        trials = ", ".join(map(str, result["contaminated_trials"]))
        found.append(
            f"The model seems to know the text of trial {trials}: leave it out or ask why."
        )
    if result["material"]["overlapping"]:
        found.append("The corpus is short: targets of different trials overlap.")
    if result["num_failed_lengths"]:
        found.append(f"{result['num_failed_lengths']} lengths failed, and are marked as failed.")
    return Text(title="How this was measured", text="\n\n".join(found))
