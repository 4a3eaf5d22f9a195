"""The zip holds the report and its numbers, the same bytes each time, and no weights."""

import os
import zipfile

import pytest

from burnish.base.errors import InputError, MissingFileError
from burnish.report.archive import bundle_run


@pytest.fixture
def run(tmp_path):
    """A run folder with a model in it."""
    files = ["report/index.html", "report/assets/report.css", "result.json", "run.json"]
    for name in [*files, "events.jsonl", "model/model.safetensors", "artefacts/ab12"]:
        path = tmp_path / "runs" / "2026-11-22-improve" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "runs" / "2026-11-22-improve"


def check_contents(run, target, fn=bundle_run):
    """Exactly the five files, under the run's name, with their contents."""
    assert fn(run, target) == target
    with zipfile.ZipFile(target) as archive:
        contents = {name: archive.read(name).decode() for name in archive.namelist()}
    names = ["events.jsonl", "report/assets/report.css", "report/index.html"]
    names += ["result.json", "run.json"]
    assert contents == {f"{run.name}/{name}": name for name in names}
    assert list(contents) == sorted(contents)


def test_contents(run, tmp_path):
    check_contents(run, tmp_path / "out.zip")


def test_planted_bundle_with_the_weights(run, tmp_path):
    def everything(folder, target):
        with zipfile.ZipFile(target, "w") as archive:
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                archive.write(path, f"{folder.name}/{path.relative_to(folder)}")
        return target

    with pytest.raises(AssertionError):
        check_contents(run, tmp_path / "out.zip", fn=everything)


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    first = bundle_run(run, tmp_path / "a.zip").read_bytes()
    os.utime(run / "result.json", (1, 1))
    assert bundle_run(run, tmp_path / "b.zip").read_bytes() == first
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        infos = archive.infolist()
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr >> 16 for info in infos} == {0o644}
    assert {info.compress_type for info in infos} == {zipfile.ZIP_DEFLATED}
    assert bundle_run(run, run / "c.zip").read_bytes() == first


@pytest.mark.parametrize("name", ["report/index.html", "result.json", "run.json"])
def test_an_unfinished_run_is_refused(run, tmp_path, name):
    (run / name).unlink()
    with pytest.raises(MissingFileError, match=name):
        bundle_run(run, tmp_path / "out.zip")
    assert not list(tmp_path.glob("*.zip*"))


def test_a_run_without_events_is_bundled(run, tmp_path):
    (run / "events.jsonl").unlink()
    assert bundle_run(run, tmp_path / "out.zip").exists()


def test_a_target_inside_the_report_is_refused(run):
    with pytest.raises(InputError, match="must not lie inside the report"):
        bundle_run(run, run / "report" / "out.zip")
