"""Draw the pictures of the docs again, from `benchmarks/results`.

`docs/papers/critique-frontier.svg`: accuracy against tokens, all tasks and by difficulty fifth.
Each picture says in its description which results it shows.
"""

import json
from collections.abc import Mapping
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.ticker import PercentFormatter, StrMethodFormatter
from recording import RESULTS
from recording.pages import ROOT

FRONTIER = ROOT / "docs" / "papers" / "critique-frontier.svg"
STYLES = {"parallel": ("#0b6e99", "-"), "sequential": ("#c0562f", "--")}


def shown(saved: Mapping[str, Any]) -> str:
    """The description of a picture of these results."""
    return f"{saved['benchmark']}.json of {saved['when']}, commit {saved['git']['commit'][:10]}"


def frontier(saved: Mapping[str, Any]) -> None:
    """Revised answers in one and in four rounds, and plain votes for as many tokens."""
    found = saved["results"]
    matplotlib.rcParams.update({"svg.hashsalt": "burnish", "svg.fonttype": "none", "font.size": 10})
    figure, axes = pyplot.subplots(3, 2, figsize=(6, 7.2), sharex=True, sharey=True)
    titles = ["all tasks", *(f"fifth {level}" for level in range(1, 6))]
    titles[1] += ", the easiest"
    titles[5] += ", the hardest"
    for place, (panel, title) in enumerate(zip(axes.flat, titles, strict=True)):
        for name, (colour, dash) in STYLES.items():
            rows = [row for row in found[name]["frontier"] if row["equal"]]
            x = [row["tokens"] for row in rows]
            for key, label, style in (
                ("refined", f"revised, {name}", {"color": colour, "linestyle": dash}),
                ("plain_same_tokens", "plain votes", {"color": "#777777", "linestyle": ":"}),
            ):
                one = [row[key] if place == 0 else row["by_level"][str(place)][key] for row in rows]
                y = [value["value"] if place == 0 else value for value in one]
                known = label == "plain votes" and name == "sequential"
                panel.plot(x, y, label=None if known else label, marker=".", **style)
                if place == 0:
                    low, high = ([value[side] for value in one] for side in ("low", "high"))
                    panel.fill_between(x, low, high, color=style["color"], alpha=0.12, linewidth=0)
        panel.set_title(title)
        panel.set_xscale("log", base=4)
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        panel.set_ylim(-0.02, 1.02)
        panel.yaxis.set_major_formatter(PercentFormatter(1))
        panel.grid(alpha=0.3)
    figure.supxlabel("tokens of a task: generated, and prefilled for critic and revision")
    figure.supylabel("majority vote right")
    axes[0, 1].legend(loc="center")
    figure.tight_layout()
    figure.savefig(FRONTIER, metadata={"Date": None, "Description": shown(saved)})
    print(f"wrote {FRONTIER.relative_to(ROOT)}")


if __name__ == "__main__":
    frontier(json.loads((RESULTS / "critique_frontier.json").read_text()))
