"""The pages, and the blocks of code in them."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(
    r"(?:<!--\s*([\w-]+):\s*([^\n]+?)\s*-->\n+)?^```([^\n]*)\n(.*?)^```[ \t]*$", re.M | re.S
)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block. `mark` is the comment right before it, such as `no-test: reason`."""

    language: str
    text: str
    line: int
    mark: str = ""
    reason: str = ""


def read_blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown page, in order."""
    return [
        Block(
            mark=found[1] or "",
            reason=found[2] or "",
            language=found[3].strip(),
            text=found[4],
            line=text.count("\n", 0, found.start(3)) + 1,
        )
        for found in FENCE.finditer(text)
    ]


def documentation_pages() -> list[Path]:
    """Every page that a reader may copy from."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def pytest_generate_tests(metafunc):
    """Give each test that asks for a `page` all pages, one by one."""
    if "page" in metafunc.fixturenames:
        pages = documentation_pages()
        names = [page.relative_to(ROOT).as_posix() for page in pages]
        metafunc.parametrize("page", pages, ids=names)


@pytest.fixture
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def blocks_of():
    """Return the fenced blocks of a page's text."""
    return read_blocks
