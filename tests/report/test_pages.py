"""`page_from_json` undoes `asdict`, and says where a page is wrong."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.base.errors import InputError
from burnish.contracts.page import Chart, Page, Sample, Samples, Series, Slider, Table, Text
from burnish.report.html import render
from burnish.report.pages import check_page, page_from_json
from burnish.report.text import page_as_text

TEXT = st.text(max_size=8)
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9)
CELL = NUMBER | TEXT | st.none() | st.booleans()


@st.composite
def series(draw):
    num_points = draw(st.integers(0, 4))
    numbers = st.lists(NUMBER, min_size=num_points, max_size=num_points)
    xs = st.lists(TEXT | NUMBER, min_size=num_points, max_size=num_points)
    bounds = draw(st.none() | st.tuples(numbers, numbers)) or (None, None)
    values = {"x": draw(xs), "y": draw(numbers), "low": bounds[0], "high": bounds[1]}
    return Series(name=draw(TEXT), **values)


@st.composite
def tables(draw):
    columns = draw(st.lists(TEXT, min_size=1, max_size=3))
    row = st.lists(CELL, min_size=len(columns), max_size=len(columns))
    return Table(title=draw(TEXT), columns=columns, rows=draw(st.lists(row, max_size=3)))


SAMPLES = st.lists(
    st.builds(
        Sample,
        **dict.fromkeys(("prompt", "answer", "before", "after", "group"), TEXT),
        **dict.fromkeys(("before_right", "after_right"), st.booleans()),
    ),
    max_size=3,
)
CHARTS = st.builds(
    Chart,
    title=TEXT,
    kind=st.sampled_from(["line", "bar", "points"]),
    series=st.lists(series(), max_size=3),
    x_label=TEXT,
    y_label=TEXT,
    caption=TEXT,
    block=st.just("chart"),
)
BLOCKS = [
    CHARTS,
    st.builds(
        lambda rows, title: Chart(
            title=title,
            kind="heat",
            series=[Series(name=name, x=["8", "16"], y=y) for name, *y in rows],
            x_label="distance",
            y_label="position",
            x_scale="log",
        ),
        st.lists(st.tuples(TEXT, NUMBER, st.none() | NUMBER), max_size=3),
        TEXT,
    ),
    tables(),
    tables()
    .filter(lambda table: table.rows)
    .map(lambda table: Slider(title=table.title, columns=table.columns, rows=table.rows)),
    st.builds(Samples, title=TEXT, samples=SAMPLES, caption=TEXT, block=st.just("samples")),
    st.builds(Text, title=TEXT, text=TEXT, block=st.just("text")),
]
GATE = st.fixed_dictionaries(
    {
        "outcome": st.sampled_from(["pass", "fail", "undetermined"]),
        **dict.fromkeys(("name", "unit", "sentence"), TEXT),
        **dict.fromkeys(("margin", "value", "low", "high"), NUMBER),
        "n": st.integers(0, 9999),
        "n_to_decide": st.none() | st.integers(1, 9999),
    }
)
PAGES = st.builds(
    Page,
    title=TEXT,
    verdict=TEXT,
    good=st.sampled_from([True, False, None, "measured"]),
    headline=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=2),
    gates=st.lists(GATE, max_size=2),
    blocks=st.lists(st.one_of(BLOCKS), max_size=4),
    command=TEXT,
    provenance=st.dictionaries(TEXT, CELL | st.dictionaries(TEXT, CELL, max_size=2), max_size=3),
)


def check_round_trip(page, fn=page_from_json):
    """Through JSON and back, the page has the same content and the same kinds of block."""
    stored = json.loads(json.dumps(asdict(page)))
    again = fn(stored)
    assert json.loads(json.dumps(asdict(again))) == stored
    assert [type(b) for b in again.blocks] == [type(b) for b in page.blocks]
    for block in again.blocks:
        assert all(isinstance(s, Series) for s in getattr(block, "series", ()))
        assert all(isinstance(s, Sample) for s in getattr(block, "samples", ()))


@settings(max_examples=60, deadline=None)
@given(PAGES)
def test_round_trip(page):
    check_round_trip(page)


def test_planted_round_trip_that_leaves_blocks_as_mappings(page):
    with pytest.raises(AssertionError):
        check_round_trip(page, fn=lambda stored: Page(**stored))


@settings(max_examples=25, deadline=None)
@given(PAGES)
def test_every_page_can_be_drawn(page):
    assert "</html>" in render(page)
    assert page_as_text(page).endswith("\n")


def _broken(path, value):
    """The example's JSON with one place changed; `...` deletes it."""

    def change(stored):
        at = stored
        for key in path[:-1]:
            at = at[key]
        if value is ...:
            del at[path[-1]]
        else:
            at[path[-1]] = value
        return stored

    return change


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (["verdict"], ..., "page must have a field 'verdict'"),
        (["verdikt"], "x", "page.verdikt is not a field of Page"),
        (["good"], "yes", "page.good"),
        (["headline", 0], ["a", "b"], "page.headline[0]"),
        (["headline"], "abc", "page.headline must be a list"),
        (["gates", 1, "outcome"], "passed", "page.gates[1].outcome must be one of"),
        (["gates", 1, "low"], None, "page.gates[1].low must be a number"),
        (["gates", 1, "unit"], 5, "page.gates[1].unit"),
        (["gates", 0, "sentence"], None, "page.gates[0].sentence"),
        (["blocks", 0, "block"], "pie", "page.blocks[0] must have a `block`"),
        (["blocks", 0], 3, "page.blocks[0]"),
        (["gates", 0], 3, "page.gates[0] must be a mapping, got 3"),
        (["blocks", 0, "kind"], "pie", "page.blocks[0].kind"),
        (["blocks", 0, "x_scale"], "cube", "page.blocks[0].x_scale"),
        (["blocks", 0, "series", 1, "y"], [1.0], "page.blocks[0].series[1].y must have 4"),
        (["blocks", 0, "series", 1, "y", 2], "1", "page.blocks[0].series[1].y[2]"),
        (["blocks", 0, "series", 1, "low"], None, "page.blocks[0].series[1] must have both"),
        (["blocks", 3, "rows", 2], [1], "page.blocks[3].rows[2]"),
        (["blocks", 4, "samples", 0, "before"], None, "page.blocks[4].samples[0].before"),
        (["blocks", 4, "samples", 0, "after_right"], 1, "page.blocks[4].samples[0].after_right"),
        (["blocks", 5, "text"], 5, "page.blocks[5].text"),
        (["provenance"], [], "page.provenance"),
    ],
)
def test_an_error_names_the_place(page, path, value, named):
    stored = json.loads(json.dumps(asdict(page)))
    with pytest.raises(InputError) as caught:
        page_from_json(_broken(path, value)(stored))
    assert named in str(caught.value)


def test_check_page_looks_at_pages_made_in_python():
    chart = Chart(
        title="t",
        kind="bar",
        series=[Series(name="s", x=[1, 2], y=[1.0])],
        x_label="x",
        y_label="y",
    )
    with pytest.raises(InputError, match="must have 2 values"):
        check_page(Page(title="", verdict="", good=None, blocks=[chart]))


def test_rows_of_a_heat_map_share_their_columns():
    rows = [Series(name=n, x=x, y=[0.5, None]) for n, x in (("a", ["1", "2"]), ("b", ["1", "3"]))]
    chart = Chart(title="t", kind="heat", series=rows, x_label="x", y_label="y")
    with pytest.raises(InputError, match="same for all rows of a heat map"):
        check_page(Page(title="t", verdict="v", good="measured", blocks=[chart]))


def test_a_slider_starts_at_a_row_of_its_own():
    slider = Slider(title="t", columns=["a"], rows=[[1], [2]], start=2)
    with pytest.raises(InputError, match="number of a row"):
        check_page(Page(title="t", verdict="v", good=None, blocks=[slider]))
    read = page_from_json(
        asdict(Page(title="t", verdict="v", good=None, blocks=[replace(slider, start=1)]))
    )
    assert read.blocks[0].start == 1
