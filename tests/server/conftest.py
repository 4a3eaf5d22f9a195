"""One tiny model, served for all tests of the session, alone and with a document."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures.served import Asked, serving

WORDS = ("the", "sea", "rose", "and", "boats", "left", "before", "dawn", "<b>harbour</b>", "slept")
POLICY = "triangle-dp:far_tokens=40,local_tokens=24,num_sinks=2,most_tokens=12,least_tokens=3"


@pytest.fixture(scope="session")
def asked(tiny_folder: Callable[[str], Path]) -> Iterator[Asked]:
    """The llama-like tiny model, 32 slots."""
    with serving(tiny_folder("llama"), num_workers=32, max_waiting=64) as one:
        yield one


@pytest.fixture(scope="session")
def document(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index named `notes`, of about 330 tokens, most of them far."""
    from burnish.kv.retrieval import memory
    from burnish.stream.reading import IngestSettings, ingest

    folder = tmp_path_factory.mktemp("document")
    words = [WORDS[(7 * i + i * i) % len(WORDS)] for i in range(60)]
    lines = [" ".join(words[i : i + 10]) for i in range(0, 60, 10)]
    (folder / "notes.txt").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "LEAST_ROWS", 32)
        ingest(
            IngestSettings(
                model=str(tiny_folder("llama")), files=(str(folder / "notes.txt"),),
                index=str(folder / "notes"), policy=POLICY, precision="fp32",
            )
        )  # fmt: skip
    return folder / "notes"


@pytest.fixture(scope="session")
def reading(tiny_folder: Callable[[str], Path], document: Path) -> Iterator[Asked]:
    """The tiny model with the document attached."""
    with serving(tiny_folder("llama"), num_workers=8, indexes=(str(document),)) as one:
        yield one
