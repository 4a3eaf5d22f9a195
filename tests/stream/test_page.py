"""Pages say what their numbers say."""

from burnish.report.html import render
from burnish.stream.page import answer_page, audit_page, bench_page

ONE = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}


def test_audit_page() -> None:
    told = {
        "evidence_recall": ONE,
        "mass_recall": ONE,
        "answers_right": ONE,
        "by_depth": [{"depth": 0.1, "n": 3, "evidence": 0.5, "mass": 0.2}],
    }
    differences = {"window": {"evidence_recall": ONE, "mass_recall": ONE}}
    numbers = {
        "policies": {"triangle-dp": told, "window": told},
        "first": "triangle-dp",
        "differences": differences,
    }
    page = audit_page(numbers, {"budget": 64, "length": 512})
    assert "reads 50.0% of the planted sentences' tokens" in page.verdict
    assert "0.500 (0.400 to 0.600)" in render(page)


def test_bench_and_answer_pages() -> None:
    rows = [{"length": 8192, "decode_ms": 12.5, "anonymous_bytes": 3e8}]
    assert "12.5 ms" in bench_page({"lengths": rows}).verdict
    span = {"file": "a.txt", "line": 3, "score": 0.5, "text": "the sea"}
    result = {"text": "Dawn.", "spans": [span], "tokens_per_s": 9.0, "tokens": 2}
    html = render(answer_page("When?", result))
    assert "a.txt:3" in html and "the sea" in html
