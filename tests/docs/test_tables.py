"""Numbers in README and docs come from `benchmarks/results`, and are those of today's files."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest
from fixtures.pages import ROOT

BENCHMARKS = ROOT / "benchmarks"
RESULTS, TEMPLATES = BENCHMARKS / "results", BENCHMARKS / "tables"
SOURCE = re.compile(r"^- `(\w+)\.json`, .*commit \w+, (?:clean|with)", re.MULTILINE)
PICTURE = re.compile(r"(?P<name>\w+)\.json of (?P<when>\S+), commit")
MEASURED = re.compile(r"\d[\d.,]*x( |$|\[)|\[-?\d[\d.]*, [-+]?\d[\d.]*\]|\d ?tokens/s")


def recording(name: str) -> ModuleType:
    """A module of the benchmarks, which are no package."""
    spec = importlib.util.spec_from_file_location(
        f"recording_{name}", BENCHMARKS / "recording" / name
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


made = recording("pages.py")


def stale(results: Path) -> list[str]:
    """Blocks of all pages that are not what their results say."""
    found = []
    for page in made.pages():
        old, new = page.read_text(), made.render(page.read_text(), results, TEMPLATES)
        pairs = zip(made.BLOCK.finditer(old), made.BLOCK.finditer(new), strict=True)
        found += [f"{page.name}: {a['name']}" for a, b in pairs if a["body"] != b["body"]]
    return found


def test_no_table_is_stale() -> None:
    assert stale(RESULTS) == [], "run `make docs`"


def test_every_template_stands_on_a_page() -> None:
    used = {m["name"] for page in made.pages() for m in made.BLOCK.finditer(page.read_text())}
    assert used == {path.name.removesuffix(".md.j2") for path in TEMPLATES.glob("*.md.j2")}


def test_planted_table_by_hand() -> None:
    for row in ("| 1.3x [1.2, 1.4] |", "| peer | 2x |", "| 97 [95, 99] |", "| 118 tokens/s |"):
        assert MEASURED.search(row), row
    for row in ("| `x` | 3 |", "| `--limit` | 25 ms, 8 MiB |", "| (0x1F) | [a, b] |"):
        assert not MEASURED.search(row), row


def test_planted_number_in_a_result(tmp_path: Path) -> None:
    for path in RESULTS.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    saved = json.loads((tmp_path / "decode.json").read_text())
    saved["results"]["batch_1"]["whole"]["ratio"]["value"] += 0.1
    (tmp_path / "decode.json").write_text(json.dumps(saved))
    assert stale(tmp_path) == ["README.md: readme-speed"]


def test_every_block_says_where_it_was_measured() -> None:
    for page in made.pages():
        for block in made.BLOCK.finditer(page.read_text()):
            if not block["body"].strip():
                continue  # not measured yet
            lines = SOURCE.findall(block["body"])
            assert lines, block["name"]
            assert all((RESULTS / f"{name}.json").exists() for name in lines), block["name"]


def check_pictures(folder: Path) -> None:
    for path in folder.glob("*.svg"):
        found = PICTURE.search(path.read_text())
        assert found is not None, path.name
        saved = json.loads((RESULTS / f"{found['name']}.json").read_text())
        assert found["when"] == saved["when"], f"{path.name}: run benchmarks/pictures.py"


def test_pictures_show_the_results_of_today(tmp_path: Path) -> None:
    check_pictures(ROOT / "docs" / "papers")
    (tmp_path / "old.svg").write_text("decode.json of 2025-01-01T00:00:00+00:00, commit 0")
    with pytest.raises(AssertionError, match=r"old\.svg: run"):
        check_pictures(tmp_path)


def test_measured_numbers_stand_in_no_other_table() -> None:
    """Tables outside the marked blocks hold settings, symbols and what others published."""
    found = []
    for page in made.pages():
        outside = made.BLOCK.sub("", page.read_text())
        rows = [line for line in outside.splitlines() if line.startswith("|")]
        found += [f"{page.name}: {row[:80]}" for row in rows if MEASURED.search(row)]
    assert found == [], "write a template in benchmarks/tables, and mark the block"


SAVED: dict[str, Any] = {
    "when": "2026-01-02T03:04:05+00:00",
    "host": {"cpu": "A CPU", "num_cores": 3},
    "load_before": 0.25,
    "load_average": [1.5, 0, 0],
    "versions": {"torch": "2", "transformers": "5"},
    "peers": {"trl": "1.2"},
    "git": {"commit": "0123456789abcdef", "dirty": False},
    "results": {"rate": {"value": 1234.56, "low": 1000.0, "high": 2000.04}, "share": 0.1234},
}


def rendered(tmp_path: Path, template: str, saved: dict[str, Any] = SAVED) -> str:
    (tmp_path / "a.json").write_text(json.dumps(saved))
    (tmp_path / "t.md.j2").write_text(template)
    page = "before\n<!-- table: t -->\nold\n<!-- end of table -->\nafter"
    return made.render(page, tmp_path, tmp_path)


def test_a_block_by_hand(tmp_path: Path) -> None:
    template = "{% set a = load('a') %}\n| {{ a.rate|between }} | {{ a.share|percent }} |\n"
    assert rendered(tmp_path, template) == (
        "before\n<!-- table: t -->\n| 1,234.6 [1,000.0, 2,000.0] | 12.3% |\n\n"
        "- `a.json`, 2026-01-02: A CPU, 3 cores, load 0.2 before, load 1.5 after; trl 1.2; "
        "commit 0123456789, clean\n\n<!-- end of table -->\nafter"
    )


def test_a_part_says_for_itself_where_it_was_measured(tmp_path: Path) -> None:
    own = SAVED | {"when": "2026-03-04T00:00:00+00:00", "peers": {}}
    parts = {"x": {"n": 7, "measured": own}, "y": {"n": 8}}
    template = "{{ load('a', 'x').n }} and {{ load('a', 'y').n }}"
    text = rendered(tmp_path, template, SAVED | {"results": parts})
    assert text.splitlines()[2] == "7 and 8"
    assert "- `a.json`, x, 2026-03-04: A CPU, 3 cores" in text and "after; no peer; commit" in text
    assert "- `a.json`, y, 2026-01-02: A CPU, 3 cores" in text


def test_an_older_file_and_an_edited_tree_are_named(tmp_path: Path) -> None:
    older = {k: v for k, v in SAVED.items() if k not in ("peers", "load_before")}
    older["git"] = {"commit": "0123456789abcdef", "dirty": True}
    text = rendered(tmp_path, "{{ load('a').share }}", older)
    assert "cores, load 1.5 after; torch 2, transformers 5, other peers not noted;" in text
    assert "commit 0123456789, with uncommitted changes" in text


def test_a_number_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(jinja2.UndefinedError):
        rendered(tmp_path, "{{ load('a').speed|num }}")
    with pytest.raises(FileNotFoundError):
        rendered(tmp_path, "{{ load('b').speed|num }}")
    assert "<!-- table: t -->\n<!-- end" in rendered(tmp_path, "{% if has('b') %}x{% endif %}")


def test_filters_by_hand() -> None:
    one = {"value": 0.125, "low": -0.5, "high": 2.0}
    assert made.times(one) == "0.12x [-0.50, 2.00]"
    assert made.times(one | {"low": None, "high": None}, 1) == "0.1x"
    assert made.percent(one) == "12.5% [-50.0, 200.0]"
    assert made.percent(one, 0, bare=True) == "12%"
    assert made.points(one) == "+12 [-50, 200]"
    assert made.points(one, 1, "%") == "+12.5% [-50.0, 200.0]"
    assert made.number(3_000_000, 0, 1e-3) == "3,000"
    assert made.between(one, 2, 10) == "1.25 [-5.00, 20.00]"
