"""Pages of the bench and of a retriever: accuracy, attribution, one query with its examples."""

from collections.abc import Mapping
from typing import Any, Literal

from burnish.contracts.page import Block, Chart, Page, Series, Table, Text
from burnish.graph.settings import BenchSettings

Good = bool | Literal["measured"] | None
NO_MODEL = {
    "vote": "vote of our examples, no language model",
    "gnn-classifier": "graph network alone",
    "ours-classifier": "graph network taught by feedback, alone",
    "common-neighbours": "threshold on common neighbours",
    "text-nearness": "threshold on text features",
}
MEANINGS = {
    "zero-shot": "no examples",
    "random": "any labelled items",
    "bm25": "by words",
    "text-knn": "by text features",
    "neighbours": "labelled neighbours, then by text",
    "propagated": "by propagated features, nothing learned",
    "gnn": "graph network without feedback",
    "ours": "graph network taught by feedback",
    "permuted": "ours on a graph with shuffled nodes",
    "oracle": "the most useful of the nearest; sees the answer",
} | NO_MODEL


def bench_page(
    told: Mapping[str, Any],
    seeds: Mapping[str, Any],
    settings: BenchSettings,
    sentence: str,
    good: Good,
) -> Page:
    """Verdict, accuracy by arm, attribution, feedback, cost."""
    accuracy, found = told["accuracy"], told["attribution"]
    tiles = [
        (name, f"{accuracy[name]['value']:.3f}", ends(accuracy[name]))
        for name in ("ours", "gnn", "bm25", "vote")
        if name in accuracy
    ]
    blocks: list[Block] = [
        arm_chart(accuracy, told["measure"]), arm_table(accuracy, seeds, told["measure"]),
        attribution_table(found), seed_table(seeds),
    ]  # fmt: skip
    if any("feedback" in own for own in seeds.values()):
        blocks.append(feedback_table(seeds))
    blocks.append(Text(title="How it was measured", text=how_text(seeds, settings)))
    return Page(
        title="burnish graph bench", verdict=sentence, good=good, headline=tiles, blocks=blocks
    )


def ends(row: Mapping[str, float]) -> str:
    """An interval as text."""
    return f"95% interval {row['low']:.3f} to {row['high']:.3f}, {row['n']} queries"


def arm_chart(accuracy: Mapping[str, Any], measure: str) -> Chart:
    """A bar for each arm, with its interval."""
    names = list(accuracy)
    series = Series(
        name=measure, x=names, y=[accuracy[n]["value"] for n in names],
        low=[accuracy[n]["low"] for n in names], high=[accuracy[n]["high"] for n in names],
    )  # fmt: skip
    return Chart(title="All arms", kind="bar", series=[series], x_label="arm", y_label=measure)


def arm_table(accuracy: Mapping[str, Any], seeds: Mapping[str, Any], measure: str) -> Table:
    """Every arm with its interval and what its prompts cost."""
    rows = []
    for name, row in accuracy.items():
        tokens = sum(own.get("tokens", {}).get(name, 0) for own in seeds.values())
        cost = None if name in NO_MODEL else tokens
        rows.append([name, MEANINGS[name], row["value"], row["low"], row["high"], row["n"], cost])
    columns = ["arm", "examples", measure, "low", "high", "queries", "tokens computed"]
    caption = "Tokens that the model computed in this run; readings that were kept cost none."
    unparsed = [own["unparsed_frac"] for own in seeds.values() if "unparsed_frac" in own]
    if unparsed:
        columns, caption = [*columns, "unparsed share"], f"{caption} Unparsed answers are wrong."
        for row in rows:
            found = [own[row[0]] for own in unparsed if row[0] in own]
            row.append(sum(found) / len(found) if found else None)
    return Table(title="Arms", rows=rows, columns=columns, caption=caption)


def attribution_table(found: Mapping[str, Any]) -> Table:
    """Paired differences."""
    rows = [
        [name, row["meaning"], row["value"], row["low"], row["high"], row["n"],
         ", ".join(f"{value:+.3f}" for value in row["by_seed"].values())]
        for name, row in found.items()
    ]  # fmt: skip
    return Table(
        title="Attribution", rows=rows,
        columns=["what", "difference of", "value", "low", "high", "queries", "by seed"],
        caption="Paired by query; positive is better.",
    )  # fmt: skip


def seed_table(seeds: Mapping[str, Any]) -> Table:
    """Sizes, mode and findings of every seed."""
    names = ("mode", "features", "num_pool", "num_queries", "num_classes", "isolated_queries",
             "unanswerable_queries")  # fmt: skip
    rows = [[seed, *(own.get(name) for name in names)] for seed, own in seeds.items()]
    return Table(
        title="Seeds", rows=rows,
        columns=["seed", "mode", "features", "examples", "queries", "classes", "isolated queries",
                 "unanswerable queries"],
        caption="An isolated query retrieves by its text alone; an unanswerable one counts "
        "as wrong.",
    )  # fmt: skip


def feedback_table(seeds: Mapping[str, Any]) -> Table:
    """What feedback cost, and whether the model uses more than the label."""
    names = ("queries", "pairs", "flat_queries", "tokens", "same_label", "other_label")
    rows = [
        [seed, *(own["feedback"].get(name) for name in names)]
        for seed, own in seeds.items()
        if "feedback" in own
    ]
    return Table(
        title="Feedback", rows=rows,
        columns=["seed", "queries", "pairs", "flat queries", "tokens", "utility, same label",
                 "utility, other label"],
        caption="Utilities that only differ by label mean that the model copies labels. A flat "
        "query has no order to teach and is skipped.",
    )  # fmt: skip


def how_text(seeds: Mapping[str, Any], settings: BenchSettings) -> str:
    """Settings that a reader needs, in sentences."""
    base = settings.base
    feedback = base.feedback
    return (
        f"{base.prompt.examples} examples per prompt, the best one next to the query. All arms use "
        f"the same features and the same labelled items. Feedback: weight {feedback.weight}, "
        f"{feedback.loss}, at most {feedback.tokens} tokens, candidates found by networks that "
        f"were not trained on the query ({feedback.folds} folds). Seeds: {', '.join(seeds)}."
    )


def ask_blocks(asked: Mapping[str, Any]) -> list[Block]:
    """One query: a drawing, its examples with scores, the prompt as shown."""
    rows = [[e["id"], e["answer"], e["score"], e["hops"], e["text"]] for e in asked["examples"]]
    return [
        drawing(asked["drawing"]),
        Table(
            title=f"Examples for {asked['node']}", rows=rows,
            columns=["id", "answer", "score", "hops", "text"],
            caption="Hops: edges between query and example; a dash: not within three.",
        ),
        Text(title="The prompt as shown", text=asked["prompt"]),
    ]  # fmt: skip


def drawing(drawn: Mapping[str, Any]) -> Chart:
    """Nodes as points and edges as lines, the query and its examples named."""
    places = {node["id"]: (node["x"], node["y"]) for node in drawn["nodes"]}
    x: list[float] = []
    y: list[float | None] = []
    for a, b in drawn["edges"]:
        x += [places[a][0], places[b][0], places[b][0]]
        y += [places[a][1], places[b][1], None]
    series = [Series(name="edges", x=x, y=y)] if x else []
    for kind in ("query", "example", "neighbour"):
        for node in drawn["nodes"]:
            if node["kind"] == kind and kind != "neighbour":
                name = f"{kind} {node['id']}"
                series.append(Series(name=name, x=[node["x"]], y=[node["y"]]))
    return Chart(
        title="The examples in the graph", kind="line", series=series, x_label="", y_label="",
        caption="Query, examples, and the nodes between them within two hops.",
    )  # fmt: skip
