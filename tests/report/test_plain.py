"""Every result has a page, also one that was saved without."""

from dataclasses import asdict

import pytest

from burnish.base.errors import MissingFileError
from burnish.contracts.page import Page
from burnish.report.html import render
from burnish.report.plain import result_page
from burnish.report.text import page_as_text


def test_a_saved_page_is_the_page() -> None:
    page = Page(title="t", verdict="v", good=True)
    assert result_page({"page": asdict(page)}, {}).verdict == "v"


def test_a_result_without_a_page_shows_its_numbers() -> None:
    result = {
        "model": "m",
        "fine": {"value": 12.0, "low": 8.0, "high": 16.0, "n": 5, "at_least": False},
        "cost": {"seconds": 1.5},
        "rows": [1, 2],
        "half": {"value": 3.0, "low": 2.0, "high": None, "n": 4},
    }
    page = result_page(result, {"what": "recall-curve", "seed": 3, "command": ["burnish", "x"]})
    measured, numbers = page.blocks
    assert [row[0] for row in measured.rows] == ["fine"] and measured.rows[0][2] == 5
    assert numbers.rows == [["model", "m"], ["cost.seconds", 1.5]]
    assert page.command == "burnish x" and page.provenance == {"seed": 3}
    assert "kept no page" in page_as_text(page) and "recall-curve: m" in render(page)


def test_a_result_of_nothing_is_refused() -> None:
    with pytest.raises(MissingFileError, match=r"holds no numbers, got \['a', 'rows'\]"):
        result_page({"rows": [], "a": []}, {})


def test_a_long_text_is_cut_to_120_characters() -> None:
    (numbers,) = result_page({"a": "x" * 300}, {}).blocks
    assert numbers.rows == [["a", "x" * 120]]


def test_the_title_names_the_model_where_the_result_does() -> None:
    result = {"accuracy": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8}}
    named = result_page({**result, "model": "tiny"}, {"what": "train"})
    assert named.title == "burnish train: tiny"
    assert result_page(result, {"what": "train"}).title == "burnish train"
