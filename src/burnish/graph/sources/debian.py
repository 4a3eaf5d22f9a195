"""`debian`: source packages of this machine's package lists, joined by their dependencies."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from burnish.base.errors import MissingFileError
from burnish.graph.sources import graph_sources
from burnish.graph.tag import TextGraph, make_graph

FIELDS = ("Depends", "Pre-Depends", "Recommends", "Suggests")
# sections that a package's name does not give away, as `libs`, `doc` or `python` are
APPLICATIONS = (
    *("admin", "cli-mono", "comm", "database", "devel", "editors", "education", "electronics"),
    *("embedded", "games", "gnome", "graphics", "hamradio", "httpd", "interpreters", "kde"),
    *("mail", "math", "misc", "net", "news", "otherosfs", "science", "shells", "sound", "tex"),
    *("text", "utils", "vcs", "video", "web", "x11", "xfce"),
)


@graph_sources.register("debian")
@dataclass(frozen=True, kw_only=True)
class DebianSource:
    """The package graph: text: names and synopsis of a source's packages; label: their section.

    `file`: a `Packages` file; without it `apt-cache dumpavail` is asked. Sources outside the
    application sections are unlabelled.
    Source: deb-control(5). Oracle: tests/graph/test_debian.py::test_binaries_become_sources
    """

    file: str = ""

    def load(self) -> TextGraph:
        """The graph. Raises MissingFileError where there are no package lists."""
        packages = list(read_packages(_lists(self.file)))
        source_of = {p["Package"]: source_name(p) for p in packages}
        provided = {
            name: source_of[p["Package"]] for p in packages for name in names(p.get("Provides", ""))
        }
        members: dict[str, list[Mapping[str, str]]] = {}
        for package in packages:
            members.setdefault(source_of[package["Package"]], []).append(package)
        edges = []
        for package in packages:
            own = source_of[package["Package"]]
            for field in FIELDS:
                for name in names(package.get(field, "")):
                    other = source_of.get(name) or provided.get(name)
                    if other is not None and other != own:
                        edges.append((own, other, package["Package"]))
        nodes = [node_of(name, own) for name, own in sorted(members.items())]
        return make_graph(nodes, edges)


def read_packages(text: str) -> Iterator[dict[str, str]]:
    """The paragraphs of a `Packages` file, first lines of their fields; a package comes once."""
    seen: set[str] = set()
    for paragraph in text.split("\n\n"):
        rows = [line.partition(": ") for line in paragraph.splitlines() if line[:1].strip()]
        fields = {name: value for name, _, value in rows}
        name = fields.get("Package")
        if name and name not in seen:
            seen.add(name)
            yield fields


def names(field: str) -> list[str]:
    """Package names of a dependency field, alternatives included, without versions."""
    found = re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]*)", field)
    return list(dict.fromkeys(found))


def source_name(package: Mapping[str, str]) -> str:
    """The source that a binary package was built from."""
    return package.get("Source", package["Package"]).partition(" ")[0]


def node_of(name: str, packages: list[Mapping[str, str]]) -> dict[str, str]:
    """Text and label of a source package, from its binary packages."""
    sections = [p.get("Section", "").rpartition("/")[2] for p in packages]
    found = Counter(section for section in sections if section in APPLICATIONS)
    label = min(found, key=lambda s: (-found[s], s)) if found else ""
    texts = list(dict.fromkeys(p.get("Description", "") for p in packages))
    main = sorted(packages, key=lambda p: (p["Package"] != name, p["Package"]))[0]
    first = main.get("Description", "")
    rest = [text for text in texts if text and text != first]
    return {"id": name, "text": "; ".join([f"{name}: {first}", *rest[:2]]), "label": label}


def _lists(file: str) -> str:
    if file:
        if not Path(file).is_file():
            remedy = "Name a Packages file, or leave it out"
            raise MissingFileError("Debian packages", file, "must be a file", remedy=remedy)
        return Path(file).read_text(encoding="utf-8")
    try:
        done = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=False)
        text, why = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    except OSError as error:
        text, why = "", f"apt-cache: {error.strerror}"
    if not text.strip():
        remedy = "Run apt-get update on a Debian machine, or write debian:file=Packages"
        raise MissingFileError("Debian packages", why[:80], "were not found", remedy=remedy)
    return text
