"""Runs and stages: found again, taken up after SIGKILL, and never run twice."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import burnish
from burnish.base import provenance, stages
from burnish.base.errors import InputError, MissingFileError, SettingError, StorageError
from burnish.base.records import RecordLog, file_hash, read_json
from burnish.base.runs import RESUMES, files_outside_runs, find_runs, load_run, open_run


@pytest.fixture
def begin(tmp_path):
    opened = []

    def begin(what="toy", *, settings=None, seed=0, **options):
        options.setdefault("root", tmp_path / "runs")
        run = open_run(what, settings=settings or {"size": 1}, seed=seed, **options)
        opened.append(run)
        return run

    yield begin
    for run in opened:
        run.close()


def kinds(run):
    return [event["kind"] for event in load_run(run.path).events()]


# --- runs ---------------------------------------------------------------------------------------


def test_a_run_tells_what_it_was_made_with(begin, tmp_path):
    run = begin(settings={"rate": 1e-4, "sizes": (1, 2)}, seed=7, command=["burnish", "toy"])
    info = read_json(run.path / "run.json")
    assert info == load_run(run.path).info == run.info
    assert (info["what"], info["seed"], info["settings"]["sizes"]) == ("toy", 7, [1, 2])
    assert info["command"] == ["burnish", "toy"]
    assert info["versions"]["burnish"] == burnish.__version__
    assert info["versions"]["numpy"]
    assert info["host"]["num_cores"] >= 1 < info["host"]["memory_bytes"]
    assert info["git"] is None or len(info["git"]["commit"]) == 40
    day = info["created"][:10]
    assert run.path.name == f"{day}-toy-{info['key'][:8]}"
    assert os.readlink(tmp_path / "runs" / "last") == run.path.name
    assert load_run(tmp_path / "runs" / "last").info == info


def test_the_same_request_takes_up_the_same_run(begin):
    first = begin(settings={"a": 1, "b": (2,)}, seed=3)
    first.close()
    again = begin(settings={"b": [2], "a": 1}, seed=3)
    assert (first.resumed, again.resumed) == (False, True)
    assert first.path == again.path
    assert kinds(again) == ["run_started", "run_resumed"]
    for other in (
        begin(settings={"a": 2, "b": [2]}, seed=3),
        begin(settings={"a": 1, "b": [2]}, seed=4),
        begin("else", settings={"a": 1, "b": [2]}, seed=3),
    ):
        assert not other.resumed
        assert other.path != first.path


def test_another_version_begins_another_run(begin, monkeypatch):
    first = begin()
    monkeypatch.setattr(burnish, "__version__", "9.9.9")
    assert begin().path != first.path


def test_a_fresh_run_is_numbered_and_becomes_the_newest(begin):
    first = begin()
    second, third = begin(fresh=True), begin(fresh=True)
    assert second.path.name == f"{first.path.name}-2"
    assert third.path.name == f"{first.path.name}-3"
    third.close()
    assert begin().path == third.path


def test_a_named_folder_holds_one_run(begin, tmp_path):
    folder = tmp_path / "here"
    run = begin(folder=folder)
    run.close()
    assert begin(folder=folder).resumed
    assert not (tmp_path / "runs").exists()
    with pytest.raises(SettingError, match="holds a run with other settings"):
        begin(folder=folder, seed=1)
    with pytest.raises(SettingError, match="already holds a run"):
        begin(folder=folder, fresh=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    with pytest.raises(SettingError, match="must be empty"):
        begin(folder=tmp_path / "full")


def test_a_run_is_written_by_one_process(begin):
    run = begin()
    with pytest.raises(StorageError, match=f"is being written by process {os.getpid()}"):
        begin()
    run.close()
    assert begin().resumed


def test_changed_code_is_noted(begin, monkeypatch):
    begin().close()
    monkeypatch.setattr(provenance, "code_hash", lambda: "edited")
    assert kinds(begin())[-1] == "code_changed"


def test_results_are_read_back(begin, tmp_path):
    run = begin()
    view = load_run(run.path)
    assert not view.complete
    with pytest.raises(MissingFileError, match="Repeat the command"):
        _ = view.result
    run.save_result({"gain": 0.5})
    assert view.complete
    assert view.result == {"gain": 0.5}


def test_runs_are_listed_newest_first_and_missing_ones_suggested(begin, tmp_path):
    first, second = begin(seed=1), begin(seed=2)
    second.close()
    time.sleep(0.005)
    third = begin("third")
    assert find_runs(tmp_path / "runs")[0].path == third.path
    assert {r.path for r in find_runs(tmp_path / "runs")} == {first.path, second.path, third.path}
    with pytest.raises(MissingFileError, match=f"Did you mean '{first.path.name}'"):
        load_run(str(first.path)[:-1] + "_")
    with pytest.raises(MissingFileError, match="is a folder that is not a run"):
        load_run(tmp_path / "runs")
    assert find_runs(tmp_path / "nowhere") == []


# --- stages -------------------------------------------------------------------------------------


def toy_stage(calls):
    def make(stage):
        calls.append(stage.resumed)
        (stage.path / "deep").mkdir(exist_ok=True)
        (stage.path / "deep" / "a.bin").write_bytes(b"abc")
        return {"count": (1, 2)}

    return make


def check_reuse(begin):
    """Equal inputs run once, also in a later process; anything else runs again."""
    calls, run = [], begin()
    first = run.stage("work", toy_stage(calls), size=1)
    again = run.stage("work", toy_stage(calls), size=1)
    assert (calls, first.reused, again.reused) == ([False], False, True)
    assert first.output == again.output == {"count": [1, 2]}
    assert (again.key, again.seconds, again.path) == (first.key, first.seconds, first.path)
    (artefact,) = again.artefacts
    assert (artefact.path, artefact.num_bytes) == ("deep/a.bin", 3)
    assert artefact.sha256 == file_hash(first.path / "deep" / "a.bin")
    other = run.stage("work", toy_stage(calls), size=2)
    assert (calls, other.reused) == ([False, False], False)
    assert other.key != first.key
    (other.path / "deep" / "a.bin").write_bytes(b"abd")  # tampered with, at equal size
    repaired = run.stage("work", toy_stage(calls), size=2)
    assert (calls, repaired.reused) == ([False] * 3, False)
    assert (repaired.path / "deep" / "a.bin").read_bytes() == b"abc"
    (repaired.path / "deep" / "a.bin").unlink()
    assert not run.stage("work", toy_stage(calls), size=2).reused


def test_a_stage_runs_once_for_equal_inputs(begin):
    check_reuse(begin)


def test_planted_trust_in_unchecked_artefacts_is_seen(begin, monkeypatch):
    def trusting(folder, key):
        path = folder / "done.json"
        done = read_json(path) if path.exists() else None
        return done if done and done["key"] == key else None

    monkeypatch.setattr(stages, "_verified", trusting)
    with pytest.raises(AssertionError):
        check_reuse(begin)


def test_planted_key_without_inputs_is_seen(begin, monkeypatch):
    monkeypatch.setattr(stages, "content_hash", lambda value: value["stage"])
    with pytest.raises(AssertionError):
        check_reuse(begin)


def test_a_failed_stage_is_noted_and_taken_up(begin):
    run = begin()

    def failing(stage):
        (stage.path / "part").write_text("kept")
        (stage.path / ".a.json.1-ab.tmp").write_text("torn")
        raise ValueError("oops")

    with pytest.raises(ValueError, match="oops"):
        run.stage("work", failing, size=1)
    assert load_run(run.path).events()[-1]["error"] == "ValueError: oops"

    def finishing(stage):
        assert stage.resumed
        assert sorted(p.name for p in stage.path.iterdir()) == ["key.json", "part"]
        stage.event("step", loss=0.5)
        return {}

    run.stage("work", finishing, size=1)
    assert kinds(run)[-3:] == ["stage_resumed", "step", "stage_done"]
    assert load_run(run.path).events()[-2]["stage"] == "work"


def test_a_part_of_other_inputs_is_not_taken_up(begin):
    run = begin()

    def failing(stage):
        (stage.path / "part").write_text("of size 1")
        raise ValueError

    with pytest.raises(ValueError):
        run.stage("work", failing, size=1)

    def check(stage):
        assert not stage.resumed
        assert [p.name for p in stage.path.iterdir()] == ["key.json"]
        return {}

    run.stage("work", check, size=2)


@pytest.mark.parametrize("name", ["", "../out", "a/b", ".hidden"])
def test_a_stage_name_is_a_folder_name(begin, name):
    with pytest.raises(SettingError, match="stage name"):
        begin().stage(name, lambda stage: {})


# --- SIGKILL ------------------------------------------------------------------------------------

WORKER = """
import sys, time
from pathlib import Path
from burnish.base.records import RecordLog
from burnish.base.runs import open_run

root, pause = Path(sys.argv[1]), float(sys.argv[2])

def prepare(stage):
    (stage.path / "made.txt").write_text(str(time.time_ns()))
    return {"ready": True}

def work(stage):
    with RecordLog(stage.path / "rows.jsonl") as log:
        rows = log.read()
        stage.event("found", rows=len(rows))
        for i in range(len(rows), 12):
            log.append({"i": i, "square": i * i})
            time.sleep(pause)
        return {"total": sum(row["square"] for row in log.read())}

with open_run("kill", settings={"n": 12}, seed=1, root=root) as run:
    first = run.stage("prepare", prepare)
    done = run.stage("work", work, after=first.key)
    run.save_result({"total": done.output["total"]})
"""


def killed_worker(root):
    """Start the worker and kill it, as the system would, once it has written some rows."""
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(root), "0.5"])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        logs = list(Path(root).glob("*/stages/work/rows.jsonl"))
        if logs and logs[0].read_bytes().count(b"\n") >= 3:
            break
        time.sleep(0.005)
    worker.send_signal(signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
    return logs[0]


def test_a_killed_stage_goes_on_where_it_stopped(tmp_path):
    root = tmp_path / "runs"
    log = killed_worker(root)
    survived = len(RecordLog(log).peek())
    assert 3 <= survived < 12
    with log.open("ab") as file:  # and the row that was just being written
        file.write(b'{"i": 99, "squ')
    made = (log.parents[1] / "prepare" / "made.txt").read_text()
    subprocess.run([sys.executable, "-c", WORKER, str(root), "0"], check=True)

    (run,) = find_runs(root)
    assert run.result == {"total": sum(i * i for i in range(12))}  # as of an unbroken run
    assert RecordLog(log).peek() == [{"i": i, "square": i * i} for i in range(12)]
    assert (log.parents[1] / "prepare" / "made.txt").read_text() == made  # not run again
    events = run.events()
    resumed_at = [e["kind"] for e in events].index("run_resumed")
    assert [e["kind"] for e in events[resumed_at:]] == [
        "run_resumed", "stage_reused", "stage_resumed", "found", "stage_done", "result_saved",
    ]  # fmt: skip
    assert events[resumed_at + 3]["rows"] == survived  # none was lost, none repeated


def test_a_killed_process_leaves_no_lock(tmp_path):
    log = killed_worker(tmp_path / "runs")
    assert (log.parents[2] / "lock").read_text().isdigit()
    open_run("kill", settings={"n": 12}, seed=1, root=tmp_path / "runs").close()


def test_a_run_that_could_not_begin_leaves_no_lock(begin, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("burnish.base.runs.write_json", full)
        with pytest.raises(OSError, match="No space"):
            begin()
    begin().close()


def test_a_folder_left_by_a_kill_before_run_json_is_used(begin):
    run = begin()
    run.close()
    (run.path / "run.json").unlink()
    again = begin()
    assert again.path == run.path
    assert json.loads((run.path / "run.json").read_text())["key"] == run.key


def test_a_run_inside_another_tells_once_how_to_resume(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt) as caught,
        open_run("outer", settings={}, seed=0, root=tmp_path / "outer"),
        open_run("inner", settings={}, seed=0, root=tmp_path / "inner"),
    ):
        raise KeyboardInterrupt
    assert caught.value.__notes__ == [RESUMES]


def refused(stage):
    raise InputError("row", "x", "must be read", remedy="Correct it")


def half_made(stage):
    (stage.path / "part").write_text("kept")
    refused(stage)


def fail(run, make):
    with pytest.raises((InputError, ValueError)), run:
        run.stage("work", make, size=1)


def test_wrong_input_leaves_no_run(begin, tmp_path):
    first = begin()
    first.stage("work", lambda stage: {}, size=1)
    first.close()
    fail(begin(settings={"size": 2}), refused)
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == [first.path.name, "last"]
    assert os.readlink(tmp_path / "runs" / "last") == first.path.name


def test_wrong_input_leaves_no_link(begin, tmp_path):
    fail(begin(), refused)
    assert list((tmp_path / "runs").iterdir()) == []


def test_wrong_input_leaves_a_given_folder_empty(begin, tmp_path):
    (tmp_path / "given").mkdir()
    fail(begin(folder=tmp_path / "given"), refused)
    assert list((tmp_path / "given").iterdir()) == []
    fail(begin(folder=tmp_path / "new"), refused)
    assert not (tmp_path / "new").exists()


def test_what_was_made_before_wrong_input_is_kept(begin):
    run = begin()
    fail(run, half_made)
    assert (run.path / "stages" / "work" / "part").read_text() == "kept"

    other = begin(settings={"size": 2})
    with pytest.raises(InputError), other:
        other.stage("done", lambda stage: {}, size=1)
        other.stage("work", refused, size=1)
    assert (other.path / "stages" / "done" / "done.json").exists()


def test_a_resumed_run_and_other_errors_leave_everything(begin):
    def bug(stage):
        raise ValueError("oops")

    run = begin()
    fail(run, bug)
    assert (run.path / "run.json").exists()
    again = begin()
    assert again.resumed
    fail(again, refused)
    assert (run.path / "run.json").exists()


def test_runs_inside_a_folder_are_no_data(begin, tmp_path):
    run = begin()
    (run.path / "stages").mkdir()
    for path in (
        run.path / "stages" / "rows.jsonl",
        tmp_path / "b.txt",
        tmp_path / "runs" / "a.md",
    ):
        path.write_text("{}")
    found = files_outside_runs(tmp_path)
    assert found == [tmp_path / "b.txt", tmp_path / "runs" / "a.md"]
    assert run.path / "stages" / "rows.jsonl" in files_outside_runs(run.path)


def test_a_folder_of_runs_is_no_run_and_names_them(begin, tmp_path):
    run = begin()
    with pytest.raises(MissingFileError, match=re.escape(run.path.name)):
        load_run(tmp_path / "runs")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match=r"It holds no run\.json"):
        load_run(tmp_path / "empty")


def test_a_run_without_stages_or_events_is_discarded(begin):
    run = begin()
    shutil.rmtree(run.path / "stages", ignore_errors=True)
    (run.path / "events.jsonl").unlink(missing_ok=True)
    run.discard_if_empty()
    assert not run.path.exists()
