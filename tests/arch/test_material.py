"""The corpus of a run: manifest, duplicates, parts, refusals."""

from pathlib import Path
from typing import Any

import pytest
from fixtures.pretraining import tiny_settings

from burnish.arch.pretrain_job import pretrain_job
from burnish.base.errors import BurnishError, StorageError
from burnish.base.files import read_json
from burnish.data import shards
from burnish.jobs.job import Place, run_job
from burnish.jobs.step import Step


def run(folder: Path, **settings: Any) -> dict[str, Any]:
    """The steps before the plan."""
    job = pretrain_job(tiny_settings(**settings))
    first = [part for part in job.parts if isinstance(part, Step)][:3]
    return run_job(type(job)(**{**vars(job), "parts": first}), Place(folder=folder))


def test_manifest_by_hand(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("one\n\ntwo\n\none")
    (texts / "b.jsonl").write_text('{"text":"three"}\n{"text":""}')
    (texts / "c.md").write_text("four\r\n")
    told = run(tmp_path / "run", corpus=str(texts), vocab=257)["corpus"]
    assert (told["num_files"], told["num_documents"], told["num_duplicates"]) == (3, 5, 1)
    assert (told["num_empty"], told["num_line_ends"], told["num_heldout_documents"]) == (1, 1, 2)
    folder = tmp_path / "run" / "stages" / "shards" / "shards"
    manifest = read_json(folder / "manifest.json")
    sides = {name: 0 for name in ("num_train_documents", "num_heldout_documents")}
    for counts in manifest["files"].values():
        for name in sides:
            sides[name] += counts.get(name, 0)
    assert sum(sides.values()) == 5 and set(manifest["files"]) == {"a.txt", "b.jsonl", "c.md"}
    held = shards.read_heldout(folder, manifest)
    assert len({row["text"] for row in held}) == len(held) == 2  # each distinct one once
    train = b"".join(path.read_bytes() for path in folder.glob("*.bin"))
    assert len(train) == 2 * manifest["num_tokens"]
    size = {"one": 3, "two": 3, "three": 5, "four": 4}
    out = {row["text"] for row in held}
    copies = {"one": 2}
    wanted = sum((n + 1) * copies.get(t, 1) for t, n in size.items() if t not in out)
    assert manifest["num_tokens"] == wanted


def test_bad_files_are_listed(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("one\n\ntwo\n\nthree")
    (texts / "b.txt").write_bytes(b"P\0\x1f\xff")
    with pytest.raises(BurnishError, match="holds a NUL byte, got 'byte 1'"):
        run(tmp_path / "run", corpus=str(texts), vocab=257)
    given = {"corpus": str(texts), "vocab": 257, "skip_bad_files": True}
    told = run(tmp_path / "other", **given)["corpus"]
    assert list(told["skipped_files"]) == ["b.txt"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "three distinct documents"),
        ("x" * 1_000_000, "1 documents, 1 distinct.*units=lines"),
        ("a\n\nb\n\na\n\na", "4 documents, 2 distinct"),
    ],
)
def test_corpora_that_are_too_small(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(BurnishError, match=says):
        run(tmp_path / "run", corpus=str(tmp_path / "a.txt"))


def test_a_full_disk(tmp_path: Path, monkeypatch: Any) -> None:
    """One sentence; what is there is whole, and the same command goes on."""
    import errno

    (tmp_path / "a.txt").write_text("\n\n".join(f"text {i}" for i in range(30)))
    given = {"corpus": str(tmp_path / "a.txt"), "vocab": 257}
    exact, files = shards.atomic_write, []

    def full(path: Path, mode: str = "w") -> Any:
        files.append(path)
        raise StorageError("file", str(path), "could not be written (full)", remedy="Free space")

    monkeypatch.setattr(shards, "atomic_write", full)
    with pytest.raises(StorageError, match="could not be written"):
        run(tmp_path / "run", **given)
    assert files and errno.ENOSPC
    assert not list((tmp_path / "run" / "stages" / "shards").rglob("*.bin"))
    monkeypatch.setattr(shards, "atomic_write", exact)
    assert run(tmp_path / "run", **given)["corpus"]["num_documents"] == 30
