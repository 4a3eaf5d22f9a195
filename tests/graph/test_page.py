"""Pages: every block can be written, and says what was measured."""

from burnish.contracts.page import Page
from burnish.graph.page import MEANINGS, ask_blocks, bench_page
from burnish.graph.settings import ARMS, BenchSettings
from burnish.report.html import write_report
from burnish.report.text import page_as_text


def row(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 40}


def test_a_bench_page(tmp_path):
    told = {
        "measure": "accuracy",
        "accuracy": {"ours": row(0.7), "bm25": row(0.5), "vote": row(0.6)},
        "attribution": {"over_bm25": {**row(0.2), "meaning": "m", "by_seed": {"0": 0.2}}},
    }
    feedback = {"queries": 4, "pairs": 9, "flat_queries": 1, "tokens": 100, "same_label": 0.6,
                "other_label": 0.2}  # fmt: skip
    seeds = {"0": {"mode": "inductive", "tokens": {"ours": 50}, "feedback": feedback}}
    page = bench_page(told, seeds, BenchSettings(), "Good.", True)
    text = page_as_text(page)
    assert "inductive" in text and "copies labels" in text and "+0.200" in text
    assert set(ARMS) <= set(MEANINGS)
    write_report(page, tmp_path)


def test_a_query_on_a_drawing(tmp_path):
    kinds = [("q", "query"), ("e", "example"), ("m", "neighbour")]
    nodes = [{"id": n, "kind": k, "x": 0.1 * i, "y": 0.5} for i, (n, k) in enumerate(kinds)]
    asked = {
        "node": "q", "prompt": "Text: x\nCategory:",
        "drawing": {"nodes": nodes, "edges": [["q", "m"], ["m", "e"]]},
        "examples": [{"id": "e", "answer": "u", "score": 0.9, "hops": 2, "text": "t"}],
    }  # fmt: skip
    blocks = ask_blocks(asked)
    names = [series.name for series in blocks[0].series]
    assert names == ["edges", "query q", "example e"] and None in blocks[0].series[0].y
    page = Page(title="t", verdict="v", good=None, blocks=blocks)
    write_report(page, tmp_path)
    assert "Category:" in page_as_text(page)
