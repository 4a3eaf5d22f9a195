"""`graph`, a source that another layer brings: known by name like our own."""

from burnish.data.sources import sources
from burnish.recipes.graph import GraphTaskSource


def test_it_is_registered():
    assert sources.get("graph").from_text("folder") == GraphTaskSource(path="folder")
