"""Tables and sentences with numbers, made from results; the pages mark where they stand.

    <!-- table: NAME -->
    ... replaced by what `benchmarks/tables/NAME.md.j2` says, and a line on where it was measured
    <!-- end of table -->

A template asks for a file of results with `load("decode")`; `has("decode")` says whether there is
one.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"<!-- table: (?P<name>[\w-]+) -->\n(?P<body>.*?)<!-- end of table -->", re.DOTALL
)


def pages(root: Path = ROOT) -> list[Path]:
    """README and all pages of the documentation."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def render(text: str, results: Path, templates: Path) -> str:
    """The text of a page with every marked block made again.

    Raises: FileNotFoundError, KeyError or jinja2's errors where a template asks for what no
    result holds.
    """
    tables = Tables(results, templates)

    def replaced(found: re.Match[str]) -> str:
        name = found["name"]
        return f"<!-- table: {name} -->\n{tables.render(name)}<!-- end of table -->"

    return BLOCK.sub(replaced, text)


class Tables:
    """Templates over a folder of results."""

    def __init__(self, results: Path, templates: Path) -> None:
        self._results = results
        self._used: dict[str, dict[str, Any]] = {}
        loader = jinja2.FileSystemLoader(templates)
        self._templates = jinja2.Environment(
            loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
            keep_trailing_newline=True, autoescape=False,  # Markdown, from files of our own
        )  # fmt: skip
        self._templates.filters |= {
            "num": number, "between": between, "times": times, "percent": percent, "points": points,
        }  # fmt: skip
        self._templates.globals |= {"load": self._load, "has": self._has}

    def render(self, name: str) -> str:
        """One block, and where its numbers were measured."""
        self._used = {}
        body = self._templates.get_template(f"{name}.md.j2").render().strip()
        sources = "\n".join(source(name, saved) for name, saved in self._used.items())
        return "\n\n".join(filter(None, [body, sources])) + "\n\n" if body else ""

    def _has(self, name: str) -> bool:
        return (self._results / f"{name}.json").exists()

    def _load(self, name: str, part: str = "") -> Any:
        """The results, or one part of them, which may have been measured apart."""
        saved = json.loads((self._results / f"{name}.json").read_text())
        results = saved["results"]
        if part:
            saved = results[part].get("measured", saved)
            results = results[part]
        self._used[f"`{name}.json`{', ' if part else ''}{part}"] = saved
        return results


def source(name: str, saved: Mapping[str, Any]) -> str:
    """One item of a list: file, date, machine, load, peers, commit and whether it was clean."""
    host, git = saved["host"], saved["git"]
    load = saved.get("load_before")
    loads = "" if load is None else f"load {load:.1f} before, "
    packages = saved.get("peers")
    if packages is None:  # saved before peers were named
        packages = {n: saved["versions"][n] for n in ("torch", "transformers")}
        packages["other peers"] = "not noted"
    peers = ", ".join(f"{peer} {version}" for peer, version in packages.items())
    cores = f"{host['num_cores']} core{'s' * (host['num_cores'] != 1)}"
    state = "clean" if not git["dirty"] else "with uncommitted changes"
    return (
        f"- {name}, {saved['when'][:10]}: {host['cpu']}, {cores}, {loads}"
        f"load {saved['load_average'][0]:.1f} after; {peers or 'no peer'}; "
        f"commit {git['commit'][:10]}, {state}"
    )


def number(value: float | Mapping[str, Any], digits: int = 1, scale: float = 1.0) -> str:
    """A value, or that of an estimate."""
    found = value["value"] if isinstance(value, Mapping) else value
    return f"{found * scale:,.{digits}f}"


def between(estimate: Mapping[str, Any], digits: int = 1, scale: float = 1.0) -> str:
    """The value with its interval; without one where it was measured once."""
    text = number(estimate, digits, scale)
    if estimate["low"] is None:
        return text
    low, high = (f"{estimate[side] * scale:,.{digits}f}" for side in ("low", "high"))
    return f"{text} [{low}, {high}]"


def times(estimate: Mapping[str, Any], digits: int = 2) -> str:
    """A ratio with its interval: `1.32x [1.25, 1.39]`."""
    value, _, rest = between(estimate, digits).partition(" ")
    return f"{value}x {rest}".strip()


def percent(estimate: float | Mapping[str, Any], digits: int = 1, *, bare: bool = False) -> str:
    """A share in percent, with its interval where it has one; `bare` leaves the interval out."""
    value = f"{number(estimate, digits, 100)}%"
    if bare or not isinstance(estimate, Mapping):
        return value
    return f"{value} [{estimate['low'] * 100:.{digits}f}, {estimate['high'] * 100:.{digits}f}]"


def points(estimate: Mapping[str, Any], digits: int = 0, unit: str = "") -> str:
    """A difference of shares in points, with its sign and interval."""
    value, low, high = (estimate[side] * 100 for side in ("value", "low", "high"))
    return f"{value:+.{digits}f}{unit} [{low:.{digits}f}, {high:.{digits}f}]"
