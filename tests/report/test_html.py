"""The HTML page: well formed, self-contained, escaped, and every chart has its numbers."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from burnish.base.errors import InputError
from burnish.contracts.page import Chart, Page, Samples, Series, Slider
from burnish.report import html, tables
from burnish.report.cells import visible
from burnish.report.html import render, write_report

VOID = {"meta", "link", "br", "img", "input", "hr"}
FROM_OUTSIDE = ("src", "srcset", "href", "action", "formaction", "data", "poster", "background")


class Reader(HTMLParser):
    """Reads a page strictly: tags must close in order, or it fails."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.tags = [], [], []
        self.texts, self.scripts, self.pres, self.charts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in FROM_OUTSIDE]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)
        opened = {"figure": (self.charts, []), "pre": (self.pres, ""), "script": (self.scripts, "")}
        if tag in opened:
            where, empty = opened[tag]
            where.append(empty)
        if "figure" in self.open and tag == "tr":
            self.charts[-1].append([])
        if "figure" in self.open and tag in ("td", "data"):
            value = dict(attrs).get("value")
            if tag == "td":
                self.charts[-1][-1].append("")
            else:
                self.charts[-1][-1][-1] = float(value)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if "script" in self.open:
            self.scripts[-1] += data
            return
        if "pre" in self.open:
            self.pres[-1] += data
        if "td" in self.open and "figure" in self.open and self.charts[-1][-1][-1] == "":
            self.charts[-1][-1][-1] = data
        if "body" in self.open and data.strip():
            self.texts.append(data.strip())


def check_escaped(page, fn=render):
    """Hostile texts come out as they went in, and open no element of their own."""
    read = Reader(fn(page))
    assert not {"img", "b", "i"} & set(read.tags)
    for script in filter(str.strip, read.scripts):
        json.loads(script)
        assert "<" not in script
    samples = next(b for b in page.blocks if isinstance(b, Samples)).samples
    wanted = [visible(t) for s in samples for t in (s.prompt, s.before, s.after)]
    assert read.pres[: len(wanted)] == wanted


def test_hostile_text_is_escaped(page):
    assert "</script>" in next(b for b in page.blocks if isinstance(b, Samples)).samples[2].before
    check_escaped(page)
    hostile = "</script><b>&amp;\x1b\ud800{{ 7*7 }}"
    chart = replace(page.blocks[0], title=hostile, x_label=hostile, caption=hostile)
    chart = replace(chart, series=[replace(chart.series[0], name=hostile, x=[hostile] * 4)])
    check_escaped(
        replace(
            page,
            title=hostile,
            verdict=hostile,
            command=hostile,
            blocks=[chart, *page.blocks],
            provenance={hostile: hostile},
            headline=[(hostile,) * 3],
            gates=[page.gates[0] | {"name": hostile, "sentence": hostile, "unit": hostile}],
        )
    )


@pytest.fixture
def own_templates():
    """Templates of this test alone: they are compiled once, with what they call."""
    build = html.build_environment
    build.cache_clear()
    yield
    build.cache_clear()


def test_planted_page_without_autoescape(page, monkeypatch, own_templates):
    def unsafe(build=html.build_environment):
        environment = build()
        environment.autoescape = False
        return environment

    monkeypatch.setattr(html, "build_environment", unsafe)
    with pytest.raises(AssertionError):
        check_escaped(page)


def test_planted_json_that_closes_its_script(page, monkeypatch):
    chart = replace(page.blocks[0], title="</script><b>bold</b>")
    monkeypatch.setattr(
        html, "htmlsafe_json_dumps", lambda value, **_: html.Markup(json.dumps(value))
    )
    with pytest.raises(AssertionError):
        check_escaped(replace(page, blocks=[chart, *page.blocks]))


def check_chart_numbers(page, fn=render):
    """Every point of every chart is a row of that chart's table, exactly; no row is extra."""
    read = Reader(fn(page))
    charts = [block for block in page.blocks if isinstance(block, Chart)]
    assert len(read.charts) == len(charts)
    for chart, rows in zip(charts, read.charts, strict=True):
        rows = [row for row in rows if row]
        for series in chart.series:
            for index, x in enumerate(series.x):
                point = [x, series.y[index]]
                if series.low is not None:
                    point += [series.low[index], series.high[index]]
                assert any(set(point) <= set(row) for row in rows), (chart.title, point)
        shared = all(list(s.x) == list(chart.series[0].x) for s in chart.series)
        num_points = [len(series.x) for series in chart.series]
        assert len(rows) == (num_points[0] if shared else sum(num_points))


def test_every_chart_has_a_table_of_its_numbers(page):
    check_chart_numbers(page)


def test_planted_chart_table_with_shifted_values(page, monkeypatch, own_templates):
    def shifted(chart, right=tables.chart_table):
        moved = [replace(s, y=[*s.y[1:], s.y[0]]) for s in chart.series]
        return right(replace(chart, series=moved))

    monkeypatch.setattr(html, "chart_table", shifted)
    with pytest.raises(AssertionError):
        check_chart_numbers(page)


def test_planted_chart_table_without_its_last_series(page, monkeypatch, own_templates):
    monkeypatch.setattr(
        html,
        "chart_table",
        lambda chart: tables.chart_table(replace(chart, series=chart.series[:1])),
    )
    with pytest.raises(AssertionError):
        check_chart_numbers(page)


def check_self_contained(text):
    """Nothing is fetched but files of the folder: no address outside, no import by style."""
    read = Reader(text)
    assert {"assets/report.css", "assets/report.js"} <= set(read.links)
    for link in read.links:
        assert link.startswith(("assets/", "#")) or link == "data:,", link
    assert "style" not in read.tags and "iframe" not in read.tags


def test_nothing_comes_from_outside(page, tmp_path):
    write_report(page, tmp_path)
    check_self_contained((tmp_path / "index.html").read_text())
    for name in ("report.css", "report.js"):
        asset = (tmp_path / "assets" / name).read_text()
        assert "//cdn" not in asset and "http" not in asset and "@import" not in asset


def test_planted_script_from_a_network(page):
    text = render(page).replace('src="assets/plotly', 'src="https://cdn.example/plotly')
    with pytest.raises(AssertionError):
        check_self_contained(text)


def test_the_verdict_is_first_in_the_body(page):
    texts = Reader(render(page)).texts
    assert texts[0] == page.verdict
    assert texts.index("✓ gain shown") < 5


@pytest.mark.parametrize(
    ("good", "words"),
    [
        (True, "✓ gain shown"),
        (False, "✗ harm shown"),
        (None, "? undecided"),
        ("measured", "measured"),
    ],
)
def test_the_verdict_is_told_in_words_too(page, good, words):
    assert words in Reader(render(replace(page, good=good))).texts


def test_gates_show_symbol_and_word(page):
    text = render(page)
    for mark in ("✓ pass", "✗ fail", "? undetermined"):
        assert f">{mark}</span>" in text
    assert "About n = 1480 would decide." in text
    assert "8.10 [5.50, 10.75]" in text


def test_the_folder_is_complete(page, tmp_path):
    index = write_report(page, tmp_path / "deep" / "report")
    assert index == tmp_path / "deep" / "report" / "index.html"
    names = {p.relative_to(index.parent).as_posix() for p in index.parent.rglob("*") if p.is_file()}
    assets = {"assets/plotly.min.js", "assets/report.css", "assets/report.js"}
    assert names == {"index.html"} | assets
    assert set(Reader(index.read_text()).links) >= assets
    first = index.read_bytes()
    write_report(page, index.parent)
    assert index.read_bytes() == first


def test_a_page_without_charts_needs_no_plotly(tmp_path):
    index = write_report(Page(title="t", verdict="Nothing was run.", good=None), tmp_path)
    assert "plotly" not in index.read_text()
    assert not (tmp_path / "assets" / "plotly.min.js").exists()


def test_a_page_that_cannot_be_drawn_writes_nothing(page, tmp_path):
    with pytest.raises(InputError, match=r"page\.good"):
        write_report(replace(page, good="maybe"), tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_what_is_not_finite_is_a_gap(page):
    series = [Series(name="s", x=[1, 2, 3], y=[1.0, float("nan"), float("inf")])]
    chart = Chart(title="t", kind="line", series=series, x_label="x", y_label="y")
    read = Reader(render(replace(page, blocks=[chart])))
    specs = [json.loads(script) for script in read.scripts if script.strip()]
    assert specs[0]["series"][0]["y"] == [1.0, None, None]
    assert "not a number" in read.texts


def test_a_slider_is_a_whole_table_without_scripts():
    slider = Slider(
        title="Budgets", columns=["flops", "n"], rows=[[1e18, 2e8], [1e19, 6e8]], start=1
    )
    text = render(Page(title="t", verdict="v", good="measured", blocks=[slider]))
    Reader(text)
    assert 'data-slider data-start="1"' in text
    assert text.count("<data value=") == 4
