"""The parts of a report page. Disciplines fill them in; `burnish.report` only draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line or set of bars; `low` and `high` (same length) draw intervals."""

    name: str
    x: Sequence[float | str]
    y: Sequence[float | None]  # None: a gap
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A plot, always shown with the table of its numbers behind it.

    A heat map has one series per row: its name is the row's, `x` the columns, `y` the colours.
    """

    title: str
    kind: Literal["line", "bar", "points", "heat"]
    series: Sequence[Series]
    x_label: str
    y_label: str
    caption: str = ""
    x_scale: Literal["linear", "log"] = "linear"
    block: Literal["chart"] = "chart"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under named columns; cells are strings or numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    block: Literal["table"] = "table"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One prompt with two answers; `*_right` colours them."""

    prompt: str
    answer: str
    before: str
    after: str
    before_right: bool
    after_right: bool
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """A browser of samples, filterable by what changed."""

    title: str
    samples: Sequence[Sample]
    caption: str = ""
    block: Literal["samples"] = "samples"


@dataclass(frozen=True, kw_only=True)
class Slider:
    """One row of a table at a time, chosen with a slider; the whole table is below it.

    The first column names the stops, in order; `start` is the row that is shown first.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    start: int = 0
    caption: str = ""
    block: Literal["slider"] = "slider"


@dataclass(frozen=True, kw_only=True)
class Text:
    """A paragraph under a heading."""

    title: str
    text: str
    block: Literal["text"] = "text"


Block = Chart | Table | Samples | Slider | Text


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole report: the verdict sentence first, then gates, blocks and provenance.

    `gates` are `Gate` rows as mappings; `headline` are (label, value, detail) tiles;
    `command` reproduces the run; `provenance` is shown as a two-column table.
    """

    title: str
    verdict: str
    good: bool | Literal["measured"] | None  # colours the verdict: True gain shown, False harm,
    # None undecided; "measured" where nothing was to be decided
    headline: Sequence[tuple[str, str, str]] = ()
    gates: Sequence[Mapping[str, Any]] = ()
    blocks: Sequence[Block] = ()
    command: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
