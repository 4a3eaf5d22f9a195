"""Comparisons of curves: runs, files, models, policies, checkpoints."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.base.files import existing_file, read_json
from burnish.base.rng import stream
from burnish.base.runs import RUN_FILE, load_run
from burnish.base.stats import Estimate, paired_difference
from burnish.contracts.page import Page, Table
from burnish.recall.page import curve_chart

Curve = Mapping[str, Any]


def read_curve(path: Path) -> Curve:
    """A curve from a run folder or a JSON file. Raises MissingFileError, InputError."""
    is_run = (path / RUN_FILE).is_file()
    curve = load_run(path).result if is_run else read_json(existing_file(path))
    needed = ("points", "trials", "fine_tokens", "coarse_tokens", "state", "mode")
    missing = [name for name in needed if not isinstance(curve, Mapping) or name not in curve]
    if missing:
        rule = f"must be a curve (it lacks {missing[0]!r})"
        remedy = "Name a run of `burnish recall curve`, or what it printed with --json"
        raise InputError("curve", str(path), rule, remedy=remedy)
    return curve


def copy_difference(before: Curve, after: Curve, *, seed: int = 0) -> Estimate | None:
    """Copy accuracy of `after` minus `before`, mean over shared lengths, paired over trials.

    None where the two were not measured on the same texts in the same mode.
    Source: ours. Oracle: tests/recall/test_comparison.py::test_difference_by_hand
    """
    if not same_texts(before, after):
        return None
    lengths = shared_lengths(before, after)
    old, new = (_columns(curve, lengths) for curve in (before, after))
    good = ~(np.isnan(old).any(axis=1) | np.isnan(new).any(axis=1))
    if not lengths or good.sum() < 2:
        return None
    rng = stream(seed, "copy difference")
    groups = list(range(int(good.sum())))  # a trial is many tokens: exact 0 and 1 are no flips
    means = [side[good].mean(axis=1) for side in (old, new)]
    return paired_difference(means[0], means[1], rng=rng, groups=groups)


def same_texts(a: Curve, b: Curve) -> bool:
    """Whether two curves measured the same texts, so that their trials can be paired."""
    names = ("mode", "cue_tokens", "scored_tokens")
    same = all(a.get(name) == b.get(name) for name in names)
    hashes = [curve.get("material", {}).get("hash") for curve in (a, b)]
    return same and hashes[0] is not None and hashes[0] == hashes[1]


def shared_lengths(a: Curve, b: Curve) -> list[int]:
    """The lengths that both curves measured."""
    others = {p["length"] for p in b["points"] if p["copy"] is not None}
    return [p["length"] for p in a["points"] if p["copy"] is not None and p["length"] in others]


def _columns(curve: Curve, lengths: Sequence[int]) -> np.ndarray:
    grid = [point["length"] for point in curve["points"]]
    values = np.array(curve["trials"]["copy"], dtype=float)  # null becomes NaN
    return values[:, [grid.index(length) for length in lengths]]


def compare_curves(curves: Sequence[tuple[str, Curve]], *, seed: int = 0) -> dict[str, Any]:
    """Every curve's lengths, and its difference from the first one.

    Raises InputError for fewer than two curves, or curves of different modes.
    Source: ours. Oracle: tests/recall/test_comparison.py::test_difference_by_hand
    """
    if len(curves) < 2:
        remedy = "Name runs, curve files or models"
        raise InputError("curves", len(curves), "must be two or more", remedy=remedy)
    modes = sorted({curve["mode"] for _, curve in curves})
    if len(modes) > 1:
        rule = "must all have the same mode: paper and probe are different estimators"
        remedy = "Measure again"
        raise InputError("curves", modes, rule, remedy=remedy)
    first = curves[0][1]
    rows = []
    for name, curve in curves:
        difference = None if curve is first else copy_difference(first, curve, seed=seed)
        rows.append({
            "name": name,
            "model": curve.get("model", ""),
            "kv": curve.get("kv", ""),
            "fine_tokens": curve["fine_tokens"],
            "coarse_tokens": curve["coarse_tokens"],
            "state": curve["state"],
            "paired": curve is first or difference is not None,
            "copy_minus_first": None if difference is None else difference.to_dict(),
        })  # fmt: skip
    return {"what": "recall-compare", "mode": modes[0], "curves": rows}


def compare_page(compared: Mapping[str, Any], curves: Sequence[tuple[str, Curve]]) -> Page:
    """Both curves of each run in one plot, and a table of their lengths."""
    rows = [_row(row) for row in compared["curves"]]
    ranked = sorted(compared["curves"], key=lambda row: -row["coarse_tokens"])
    told = ", ".join(f"{row['name']} {row['coarse_tokens']:,}" for row in ranked)
    columns = ["curve", "fine", "coarse", "state", "copy minus first", "low", "high"]
    caption = "Differences are paired over trials; a dash: not the same texts."
    return Page(
        title="burnish recall: curves compared",
        verdict=f"Coarse memory length in tokens: {told}.",
        good="measured",
        blocks=[
            Table(title="Memory lengths", columns=columns, rows=rows, caption=caption),
            curve_chart(curves),
        ],
    )


def _row(row: Mapping[str, Any]) -> list[Any]:
    difference = row["copy_minus_first"] or {}
    numbers = [difference.get(key) for key in ("value", "low", "high")]
    return [row["name"], row["fine_tokens"], row["coarse_tokens"], row["state"], *numbers]
