"""A small corpus."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from burnish.recall.settings import RecallSettings


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """Four files of random words."""
    rng = np.random.default_rng(6)
    folder = tmp_path / "books"
    folder.mkdir()
    letters = list("abcdefghijklmnopqrstuvwxyz    ")
    for number in range(4):
        (folder / f"{number}.txt").write_text("".join(rng.choice(letters, 1500)))
    return folder


@pytest.fixture
def small(tiny_folder: Any, books: Path) -> Callable[..., RecallSettings]:
    """Settings of a curve that takes a moment."""

    def settings(family: str = "llama", **changes: Any) -> RecallSettings:
        fields = {"model": str(tiny_folder(family)), "corpus": str(books), "lengths": "20,40,64"}
        fields |= {"trials": 3, "cue_tokens": 4, "scored_tokens": 8, "least_tokens": 20}
        return RecallSettings(**(fields | {"precision": "fp32", "device": "cpu"} | changes))

    return settings
