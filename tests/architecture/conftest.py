"""The trees that the checks read. Each check is a function of a path that returns findings."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def package() -> Path:
    """The package's source."""
    return ROOT / "src" / "burnish"


@pytest.fixture
def plant(tmp_path):
    """Write a file of a small planted tree, and return the tree."""

    def write(path: str, text: str) -> Path:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return tmp_path

    return write
