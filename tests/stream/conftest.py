"""A tiny model's folder, a text, and small settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from burnish.kv.retrieval import memory
from burnish.stream.reading import IngestSettings

WORDS = [
    "the",
    "sea",
    "rose",
    "and",
    "boats",
    "left",
    "before",
    "dawn",
    "🙂",
    "while",
    "a",
    "harbour",
    "slept",
]
SPEC = "triangle-dp:far_tokens={far},local_tokens=24,num_sinks=2,most_tokens=12,least_tokens=3"


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LEAST_ROWS", 32)


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """About 600 tokens."""
    words = [WORDS[(7 * i + i * i) % len(WORDS)] for i in range(110)]
    lines = [" ".join(words[i : i + 10]) for i in range(0, 110, 10)]
    (tmp_path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "text.txt"


@pytest.fixture
def settings_of(tiny_folder: Any, text_file: Path, tmp_path: Path) -> Callable[..., Any]:
    """Settings of an ingest of the text."""

    def make(far: int = 40, **given: Any) -> IngestSettings:
        named = {
            "model": str(tiny_folder()),
            "files": (str(text_file),),
            "index": str(tmp_path / "index"),
            "policy": SPEC.format(far=far),
            "template": "plain",
            "precision": "fp32",
        }
        return IngestSettings(**{**named, **given})

    return make
