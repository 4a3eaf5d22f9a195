"""A model is published whole or not at all."""

from pathlib import Path

import pytest

from burnish.base.errors import StorageError
from burnish.jobs import publish as module
from burnish.jobs.publish import PUBLISHING, publish, publish_file


def make_source(path: Path, text: str) -> Path:
    (path / "inner").mkdir(parents=True)
    (path / "a.txt").write_text(text)
    (path / "inner" / "b.txt").write_text(text)
    return path


def test_a_model_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    assert publish(run, make_source(tmp_path / "one", "1")) == run / "model"
    (run / f"{PUBLISHING}left").mkdir()  # by a run that was killed
    publish(run, make_source(tmp_path / "two", "2"))
    assert (run / "model" / "inner" / "b.txt").read_text() == "2"

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "link", refuse)
    monkeypatch.setattr(module.shutil, "copy2", refuse)
    with pytest.raises(StorageError, match="Free some space"):
        publish(run, make_source(tmp_path / "three", "3"))
    assert (run / "model" / "a.txt").read_text() == "2"
    assert [path.name for path in run.iterdir()] == ["model"]


def test_files_are_copied_where_they_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(module.os, "link", refuse)
    publish(tmp_path, make_source(tmp_path / "one", "1"))
    assert (tmp_path / "model" / "a.txt").read_text() == "1"


def test_no_model_takes_the_old_one_away(tmp_path: Path) -> None:
    publish(tmp_path, make_source(tmp_path / "one", "1"))
    assert publish(tmp_path, None) is None
    assert not (tmp_path / "model").exists()


def test_a_file_is_there_whole(tmp_path):
    stage = tmp_path / "stages" / "build"
    stage.mkdir(parents=True)
    (stage / "rows.jsonl").write_text("{}\n")
    assert publish_file(tmp_path, "build", "rows.jsonl").read_text() == "{}\n"
    (stage / "rows.jsonl").write_text("[]\n")
    assert publish_file(tmp_path, "build", "rows.jsonl").read_text() == "[]\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "stages"]
