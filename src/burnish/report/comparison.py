"""A comparison of two runs: their verdicts, gates, metrics and settings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from burnish.contracts.page import Page, Table
from burnish.report.cells import MISSING, interval_text, is_number, number_text
from burnish.report.tables import flat, joined

_METRIC_KEYS = {"value", "low", "high", "n"}


def compare_results(
    a: Mapping[str, Any], b: Mapping[str, Any], *, labels: tuple[str, str] = ("A", "B")
) -> Page:
    """A page that compares two `result.json` mappings and decides nothing.

    A metric is any mapping with the keys value, low, high and n, at any depth outside "page";
    its name is the dotted path. Settings are read from the key "settings".
    """
    metrics = find_metrics(a), find_metrics(b)
    settings = flat(a.get("settings", {})), flat(b.get("settings", {}))
    names = list(dict.fromkeys([*metrics[0], *metrics[1]]))
    changed = [
        key
        for key in dict.fromkeys([*settings[0], *settings[1]])
        if key not in settings[0] or key not in settings[1] or settings[0][key] != settings[1][key]
    ]
    both = len(metrics[0].keys() & metrics[1].keys())
    return Page(
        title=f"{labels[0]} and {labels[1]}",
        verdict=f"{labels[0]} and {labels[1]}: {_counted(both, 'metric')} in both, "
        f"{_counted(len(changed), 'setting')} changed.",
        good="measured",
        blocks=[
            Table(title="What each run says", columns=["", *labels], rows=_verdicts(a, b)),
            Table(
                title="Metrics",
                columns=["Metric", labels[0], "n", labels[1], "n"],
                rows=[[name, *_metric(metrics[0], name), *_metric(metrics[1], name)]
                      for name in names],
                caption="Value [95% interval]. The runs are not paired here: intervals that "
                "overlap decide nothing.",
            ),
            Table(
                title="Settings that differ",
                columns=["Setting", *labels],
                rows=[[key, *(s.get(key, "not set") for s in settings)] for key in changed],
            ),
        ],
    )  # fmt: skip


def find_metrics(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """All metrics of a result by dotted path, in their order; the page is left out.

    Items of a list go by their "claim" or "name" if they have one, else by their index.
    """
    return dict(_metrics({k: v for k, v in result.items() if k != "page"}, ""))


def _metrics(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(node, Mapping):
        if node.keys() >= _METRIC_KEYS and is_number(node["value"]):
            yield path, node
        for key, child in node.items():
            yield from _metrics(child, joined(path, key))
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for index, child in enumerate(node):
            named = child if isinstance(child, Mapping) else {}
            yield from _metrics(child, joined(path, named.get("claim", named.get("name", index))))


def _metric(metrics: Mapping[str, Mapping[str, Any]], name: str) -> tuple[str, Any]:
    if name not in metrics:
        return MISSING, None
    metric = metrics[name]
    bounds = metric["low"], metric["high"]
    if not all(map(is_number, bounds)):
        return f"{number_text(metric['value'])} [no interval]", metric["n"]
    return interval_text(metric["value"], *bounds), metric["n"]


def _verdicts(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[list[Any]]:
    pages = a.get("page", {}), b.get("page", {})
    rows = [["Verdict", *(page.get("verdict", MISSING) for page in pages)]]
    outcomes = [{g["name"]: g["outcome"] for g in page.get("gates", ())} for page in pages]
    for name in dict.fromkeys([*outcomes[0], *outcomes[1]]):
        rows.append([f"Gate: {name}", *(gates.get(name, MISSING) for gates in outcomes)])
    rows.append(["Command", *(page.get("command") or MISSING for page in pages)])
    return rows


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
