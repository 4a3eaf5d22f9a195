"""Pages say what their numbers say."""

from typing import Any

import pytest

from burnish.report.html import render
from burnish.stream.page import answer_page, audit_page, bench_page, marked_text

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
    document = "one\ntwo\nand the sea rose"
    span = {"file": "a.txt", "line": 3, "score": 0.5, "text": "the sea", "start": 12, "end": 19}
    result = {"text": "Dawn.", "spans": [span], "tokens_per_s": 9.0, "tokens": 2}
    html = render(answer_page("When?", result, document))
    assert "a.txt:3" in html and "and 【the sea】 rose" in html


def check_marked(marked: Any) -> None:
    """Spans stand where they stood; what is far from all of them is left out."""
    text = "".join(chr(97 + i % 26) for i in range(100))
    assert marked(text, [(3, 5), (8, 9)], around=4) == "abc【de】fgh【i】jklm …"
    found = marked(text, [(80, 82), (10, 12)], around=3)
    assert found == " … hij【kl】mno … zab【cd】efg …"
    assert marked(text, [(98, 100)], around=3) == " … rst【uv】"
    assert marked("🙂", [(0, 1), (0, 1)], around=3) == "【🙂】【】"
    assert marked(text, []) == ""


def test_spans_stand_in_their_text() -> None:
    check_marked(marked_text)


def test_planted_spans_one_character_late() -> None:
    with pytest.raises(AssertionError):
        check_marked(
            lambda text, spans, **n: marked_text(text, [(a + 1, b) for a, b in spans], **n)
        )
