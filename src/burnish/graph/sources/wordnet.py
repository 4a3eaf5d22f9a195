"""`wordnet`: English nouns, joined by every relation but the hierarchy that gives the label away.

The files are found on this machine (`WNSEARCHDIR`, Debian's folder, the cache), or fetched once
with the ordinary Debian client from the package `wordnet-base`.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from burnish.base.errors import InputError, MissingFileError
from burnish.base.files import cache_folder
from burnish.base.progress import say
from burnish.graph.sources import graph_sources
from burnish.graph.tag import TextGraph, make_graph

PACKAGE = "wordnet-base"
HIERARCHY = {"@", "~", "@i", "~i"}  # hypernyms and hyponyms, of classes and of instances
CLASSES = (
    *("Tops", "act", "animal", "artifact", "attribute", "body", "cognition", "communication"),
    *("event", "feeling", "food", "group", "location", "motive", "object", "person"),
    *("phenomenon", "plant", "possession", "process", "quantity", "relation", "shape", "state"),
    *("substance", "time"),
)
FIRST_NOUN_FILE = 3  # lexicographer files 03 to 28 hold nouns


@graph_sources.register("wordnet")
@dataclass(frozen=True, kw_only=True)
class WordNetSource:
    """Noun synsets that another noun is joined to; text: words and gloss; label: its file.

    Without the hierarchy: hypernym edges agree with the label in 95 of 100 cases and leak it.
    Source: WordNet 3.0, wndb(5WN) and lexnames(5WN).
    Oracle: tests/graph/test_wordnet.py::test_relations_but_the_hierarchy
    """

    folder: str = ""

    def load(self) -> TextGraph:
        """The graph. Raises MissingFileError; InputError for a file in another format."""
        path = (Path(self.folder) if self.folder else find_wordnet()) / "data.noun"
        if not path.is_file():
            remedy = f"Install the Debian package {PACKAGE}"
            raise MissingFileError("WordNet", str(path), "must be a file", remedy=remedy)
        nodes: dict[str, dict[str, str]] = {}
        edges: list[tuple[str, str, str]] = []
        for name, row, targets, where in read_nouns(path):
            nodes[name] = row
            edges += [(name, target, where) for target in targets]
        joined = {end for a, b, _ in edges if a in nodes and b in nodes for end in (a, b)}
        kept = [row for name, row in nodes.items() if name in joined]
        return make_graph(kept, [e for e in edges if e[0] in joined and e[1] in joined])


def read_nouns(path: Path) -> Iterator[tuple[str, dict[str, str], list[str], str]]:
    """Offset, node row, offsets of related nouns, and line, of every synset of `data.noun`."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("  "):  # the licence
            continue
        try:
            data, _, gloss = line.partition(" | ")
            cells = data.split()
            offset, file, num_words = cells[0], int(cells[1]), int(cells[3], 16)
            words = [word.replace("_", " ") for word in cells[4 : 4 + 2 * num_words : 2]]
            begin = 4 + 2 * num_words
            pointers = cells[begin + 1 : begin + 1 + 4 * int(cells[begin])]
            quads = zip(*(pointers[i::4] for i in range(4)), strict=True)
            targets = [to for sign, to, pos, _ in quads if pos == "n" and sign not in HIERARCHY]
            label = CLASSES[file - FIRST_NOUN_FILE]
        except (IndexError, ValueError) as error:
            rule, remedy = "must be a line of data.noun", "Fetch WordNet 3.0 again"
            raise InputError(f"{path}:{number}", line[:60], rule, remedy=remedy) from error
        text = f"{', '.join(words)}: {gloss.strip()}"
        yield offset, {"id": offset, "text": text, "label": label}, targets, f"line {number}"


def find_wordnet() -> Path:
    """The folder of WordNet's files; fetched once where there is none. Raises MissingFileError."""
    kept = cache_folder() / "wordnet-3.0"
    places = [os.environ.get("WNSEARCHDIR"), "/usr/share/wordnet", str(kept)]
    for place in places:
        if place and (Path(place) / "data.noun").is_file():
            return Path(place)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".wordnet-") as scratch:
        say(f"wordnet: fetching 6.5 MB (Debian package {PACKAGE})")
        _run(["apt-get", "download", PACKAGE], scratch)
        package = next(iter(Path(scratch).glob("*.deb")), None)
        if package is None:
            _refuse("no package came")
        _run(["dpkg-deb", "-x", str(package), "x"], scratch)
        (Path(scratch) / "x/usr/share/wordnet").rename(kept)
    return kept


def _run(words: list[str], folder: str) -> None:
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        _refuse(f"{words[0]}: {error.strerror}")
        return
    if done.returncode:
        _refuse((done.stderr.strip().splitlines() or ["no message"])[-1])


def _refuse(why: str) -> None:
    remedy = f"Install it (apt-get install {PACKAGE}), or set WNSEARCHDIR to its folder"
    raise MissingFileError("WordNet", why, "is not on this machine", remedy=remedy)
