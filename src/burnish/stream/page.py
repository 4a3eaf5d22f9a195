"""Pages of `burnish stream`, described in blocks; nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any

from burnish.contracts.page import Block, Chart, Page, Series, Table, Text

Result = Mapping[str, Any]
CERTIFIES = (
    "The bound certifies one layer's attention with the keys that the layer has: at most so much "
    "of it can lie in tokens that were not read. It says nothing of later layers or of the answer. "
    "`missed` is the true share; the distance between both is how tight the bound is. "
    "`adaptive_tokens` is how many far tokens must be read, in whole spans, to certify the wanted "
    "bound."
)


def audit_page(numbers: Result, settings: Result) -> Page:
    """The table of all policies, the gains of the first, recall by depth."""
    policies: Mapping[str, Any] = numbers["policies"]
    first = policies[numbers["first"]]["evidence_recall"]
    sentence = (
        f"{numbers['first']} reads {100 * first['value']:.1f}% of the planted sentences' tokens "
        f"({100 * first['low']:.1f} to {100 * first['high']:.1f}%) with {settings['budget']} far "
        f"tokens in texts of {settings['length']}."
    )
    blocks: list[Block] = [_policies(policies), _differences(numbers), _depths(policies)]
    blocks.append(Text(title="What the bound says", text=CERTIFIES))
    tiles = [
        (name, f"{100 * told['evidence_recall']['value']:.1f}%", "evidence recall")
        for name, told in list(policies.items())[:4]
    ]
    return Page(
        title="burnish stream audit",
        verdict=sentence,
        good="measured",
        headline=tiles,
        blocks=blocks,
    )


def _policies(policies: Mapping[str, Any]) -> Table:
    names = (
        "evidence_recall",
        "mass_recall",
        "answers_right",
        "bound",
        "missed",
        "adaptive_tokens",
    )
    rows = [
        [spec, *(_interval(told.get(name)) for name in names)] for spec, told in policies.items()
    ]
    return Table(
        title="Policies",
        columns=["policy", *names],
        rows=rows,
        caption="Means over needles, with 95% intervals. Evidence: averaged over layers and key "
        "heads, never a union. Mass: far tokens only, over the best tokens of the same number.",
    )


def _interval(one: Result | None) -> str:
    if one is None:
        return ""
    digits = 0 if one["value"] >= 10 else 3
    return f"{one['value']:.{digits}f} ({one['low']:.{digits}f} to {one['high']:.{digits}f})"


def _differences(numbers: Result) -> Table:
    rows = [
        [spec, _interval(told["evidence_recall"]), _interval(told["mass_recall"])]
        for spec, told in numbers["differences"].items()
    ]
    return Table(
        title=f"{numbers['first']} minus the others",
        columns=["policy", "evidence recall", "mass recall"],
        rows=rows,
        caption="Paired by needle.",
    )


def _depths(policies: Mapping[str, Any]) -> Chart:
    series = [
        Series(
            name=spec,
            x=[row["depth"] for row in told["by_depth"]],
            y=[row["evidence"] for row in told["by_depth"]],
        )
        for spec, told in policies.items()
    ]
    return Chart(
        title="Evidence recall by depth",
        kind="line",
        series=series,
        x_label="depth (share of the text before the sentence)",
        y_label="evidence recall",
    )


def bench_page(numbers: Result) -> Page:
    """Memory and latency by length."""
    rows: Sequence[Result] = numbers["lengths"]
    columns = [name for name in rows[0] if name != "length"]
    last = rows[-1]
    table = Table(
        title="By length",
        columns=["length", *columns],
        rows=[[row["length"], *(row[name] for name in columns)] for row in rows],
    )
    chart = Chart(
        title="Time to decode a token",
        kind="line",
        series=[Series(name="ms", x=[r["length"] for r in rows], y=[r["decode_ms"] for r in rows])],
        x_label="length (tokens)",
        y_label="milliseconds",
        x_scale="log",
    )
    sentence = (
        f"At {last['length']:,} tokens decoding takes {last['decode_ms']:.1f} ms a token, with "
        f"{last['anonymous_bytes'] / 1e6:.0f} MB of anonymous memory."
    )
    return Page(
        title="burnish stream bench", verdict=sentence, good="measured", blocks=[chart, table]
    )


def answer_page(question: str, result: Result, document: str) -> Page:
    """An answer, and the text with the spans that were read for it."""
    spans = result["spans"]
    rows = [[f"{s['file']}:{s.get('line', s.get('page'))}", s["score"], s["text"]] for s in spans]
    text = marked_text(document, [(s["start"], s["end"]) for s in spans])
    return Page(
        title=f"burnish stream ask: {question}",
        verdict=result["text"] or "The model wrote nothing.",
        good="measured",
        headline=[("Rate", f"{result['tokens_per_s']} tokens/s", f"{result['tokens']} tokens")],
        blocks=[
            Text(
                title="The text, with what was read in brackets", text=text or "Nothing was read."
            ),
            Table(
                title="Spans that were read",
                columns=["place", "score", "text"],
                rows=rows,
                caption="Score: share of layers, heads and passes that read the span's tokens.",
            ),
        ],
    )


def marked_text(document: str, spans: Sequence[tuple[int, int]], *, around: int = 160) -> str:
    """The text around spans (first character, and the one behind the last), each in 【 】.

    What lies farther than `around` characters from any span is left out, at an ellipsis.
    Source: ours. Oracle: tests/stream/test_page.py::test_spans_stand_in_their_text
    """
    found, at = "", 0
    for first, end in sorted(spans):
        first, end = max(first, at), max(end, at)  # tokens of one character overlap
        if first - at > 2 * around:
            found += (
                document[at : at + around] * bool(at) + " … " + document[first - around : first]
            )
        else:
            found += document[at:first]
        found += f"【{document[first:end]}】"
        at = end
    rest = document[at : at + around] if spans else ""
    return found + rest + " …" * (bool(spans) and at + around < len(document))
