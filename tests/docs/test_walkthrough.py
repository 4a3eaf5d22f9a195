"""CONTRIBUTING.md's "add a method in one file", done to a copy of the source as it is written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def walked(root, blocks_of, tmp_path):
    """A copy of the project with the two files of the walk-through in place."""
    for name in ("pyproject.toml", "src/burnish"):
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy(root / name, tmp_path / name)
    blocks = blocks_of((root / "CONTRIBUTING.md").read_text())
    files = [b for b in blocks if b.language == "python"]
    assert [b.mark for b in files] == ["file", "file"]
    for block in files:
        path = tmp_path / block.reason
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
    return tmp_path


def run(folder, *words):
    """Run a module of Python on the copied project."""
    shapes = Path(__file__).parents[1]  # the checker that pytest's options name
    environment = os.environ | {"PYTHONPATH": f"{folder / 'src'}{os.pathsep}{shapes}"}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_the_new_method_joins_and_passes(walked):
    done = run(walked, "pytest", "-q", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    new = [*walked.rglob("unordered.py"), *walked.rglob("test_unordered.py")]
    for words in (["check"], ["format", "--check"]):
        done = run(walked, "ruff", *words, *map(str, new))
        assert done.returncode == 0, done.stdout + done.stderr


def test_planted_bug_in_the_new_method(walked):
    path = walked / "src/burnish/data/checkers/unordered.py"
    text = path.read_text()
    assert "sorted(" in text
    path.write_text(text.replace("sorted(", "list("))
    assert run(walked, "pytest", "-q", "tests").returncode == 1
