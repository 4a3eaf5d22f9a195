"""Work over many items: nothing is done twice, nothing finished is lost, and order is kept."""

import json
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import pytest
from fixtures.work import cell_in_a_process

from burnish.base import items as module
from burnish.base.canonical import content_hash
from burnish.base.errors import IncompleteError, InputError, ModelError
from burnish.base.items import ItemLog, Workplace, deal, do_all, finish_items, run_cells
from burnish.base.meter import Meter
from burnish.distrib.processes import ProcessLauncher

NAMES = [f"n{i}" for i in range(9)]


def squares(log, names=NAMES, *, order=None, dies_after=99, made=None, **told):
    """Rows of squares; `dies_after` so many rows the work is interrupted."""

    def work(missing, keep):
        for count, name in enumerate(sorted(missing, key=order)):
            if count == dies_after:
                raise KeyboardInterrupt
            if made is not None:
                made.append(name)
            keep({"id": name, "square": int(name[1:]) ** 2})

    return finish_items(log, names, work, **told)


def check_resumed(folder):
    """Cut off after four rows with half a row behind them, then resumed in another order."""
    straight = squares(ItemLog(folder / "a.jsonl"))
    made, path = [], folder / "b.jsonl"
    with pytest.raises(KeyboardInterrupt):
        squares(ItemLog(path), order=lambda n: n[::-1], dies_after=4, made=made)
    with path.open("a") as file:
        file.write('{"id": "half')
    assert squares(ItemLog(path), order=lambda n: -int(n[1:]), made=made) == straight
    assert [row["id"] for row in straight] == NAMES
    assert Counter(made) == Counter(NAMES)
    again = []
    assert squares(ItemLog(path), made=again) == straight
    assert again == []


def test_resumed_equals_straight(tmp_path):
    check_resumed(tmp_path)


def test_planted_log_that_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module.RecordLog, "read", lambda self: [])
    with pytest.raises(AssertionError):
        check_resumed(tmp_path)


def test_planted_rows_in_the_order_they_were_made(tmp_path, monkeypatch):
    exact = module.finish_items
    monkeypatch.setitem(
        globals(), "finish_items",
        lambda log, *given, **told: exact(log, *given, **told) and list(log.done.values()),
    )  # fmt: skip
    with pytest.raises(AssertionError):
        check_resumed(tmp_path)


def test_a_log_in_memory():
    log = ItemLog(None)
    assert [row["square"] for row in squares(log, NAMES[:3])] == [0, 1, 4]
    assert list(log.done) == NAMES[:3]


def test_keys_of_several_fields(tmp_path):
    path = tmp_path / "rows.jsonl"
    keys = [("a", 1), ("a", 2), ("b", 1)]
    for _ in range(2):
        rows = finish_items(
            ItemLog(path, fields=("side", "trial")),
            keys,
            lambda missing, keep: [keep({"side": s, "trial": t}) for s, t in missing] and None,
        )
        assert [(row["side"], row["trial"]) for row in rows] == keys
    assert len(path.read_text().splitlines()) == 3


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match="item must not be given twice, got 'n1'"):
        squares(ItemLog(None), ["n1", "n2", "n1"])
    with pytest.raises(IncompleteError, match=r"2 of 3 are not, got 'n0'.*Repeat the command"):
        finish_items(ItemLog(None), NAMES[:3], lambda missing, keep: keep({"id": "n1"}))
    with pytest.raises(AssertionError, match="was not asked for"):
        finish_items(ItemLog(None), NAMES[:1], lambda missing, keep: keep({"id": "other"}))
    with pytest.raises(AssertionError, match="kept twice"):
        finish_items(
            ItemLog(None), NAMES[:2], lambda _, keep: [keep({"id": "n1"})] * keep({"id": "n1"})
        )


def test_partial_work_is_allowed_where_it_is_asked_for():
    rows = finish_items(
        ItemLog(None), NAMES[:3], lambda missing, keep: keep({"id": "n2"}), partial=True
    )
    assert [row["id"] for row in rows] == ["n2"]
    for label, name in (("", "items"), ("answer", "answer")):
        rule = rf"^{name} must all be finished; 2 of 3 are not, got 'n0'\."
        with pytest.raises(IncompleteError, match=rule):
            finish_items(
                ItemLog(None), NAMES[:3], lambda missing, keep: keep({"id": "n1"}), label=label
            )


def test_failures_are_rows_and_are_tried_again(tmp_path):
    path, tries = tmp_path / "rows.jsonl", []

    def work(missing, keep):
        for name in missing:
            tries.append(name)
            failed = name == "n1" and tries.count("n1") == 1
            keep({"id": name, "error": "full"} if failed else {"id": name, "value": 1})

    rows = finish_items(ItemLog(path), NAMES[:3], work)
    assert [row.get("error") for row in rows] == [None, "full", None]
    rows = finish_items(ItemLog(path), NAMES[:3], work)
    assert [row.get("value") for row in rows] == [1, 1, 1]
    assert tries == ["n0", "n1", "n2", "n1"]
    assert len(path.read_text().splitlines()) == 4  # the failure stays in the file


def test_progress_tells_what_was_there(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    squares(ItemLog(path), NAMES[:4])
    assert capsys.readouterr().err == ""
    squares(ItemLog(path), label="squares", unit="square")
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        "squares: 4/9 square",
        "squares: resuming: 4 of 9 are already done",
    ]
    assert lines[-1].startswith("squares: 9/9 square in ")


def check_concurrency(do_all):
    """Never more at a time than allowed, all of them used, and kept in the caller's thread."""
    lock, now, most, kept = threading.Lock(), [0], [0], {}
    together = threading.Barrier(3, timeout=10)

    def do(item):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        if item < 3:
            together.wait()
        time.sleep(0.002)
        with lock:
            now[0] -= 1
        return item * item

    def keep(item, answer):
        assert threading.current_thread() is caller
        kept[item] = answer

    caller = threading.current_thread()
    do_all(range(20), do, keep, num_workers=3)
    assert kept == {item: item * item for item in range(20)}
    assert most[0] == 3


def test_bounded_concurrency():
    check_concurrency(do_all)


def check_little_is_lost(do_all):
    """Where keeping is slow, threads do not run ahead of it: a kill loses three answers at most."""
    begun, kept = [], []

    def keep(item, _):
        time.sleep(0.005)
        kept.append(item)
        assert len(begun) - len(kept) <= 3

    do_all(range(30), begun.append, keep, num_workers=3)
    assert sorted(kept) == list(range(30))


def test_threads_do_not_run_ahead():
    check_little_is_lost(do_all)


def test_planted_room_without_end(monkeypatch):
    exact = threading.Semaphore
    monkeypatch.setattr(module.threading, "Semaphore", lambda num: exact(99))
    with pytest.raises(AssertionError):
        check_little_is_lost(do_all)


def test_planted_one_thread_too_many():
    def mutant(*given, num_workers):
        do_all(*given, num_workers=num_workers + 2)

    with pytest.raises(AssertionError):
        check_concurrency(mutant)


@pytest.mark.parametrize("num_workers", [1, 4])
def test_an_error_ends_the_work_and_what_runs_is_kept(num_workers):
    kept, begun, failing = [], [], threading.Event()

    def do(item):
        begun.append(item)
        if item == 3:
            failing.set()
            raise ModelError("model", item, "is broken", remedy="Correct it")
        if num_workers > 1 and item < 3:
            failing.wait(10)
        time.sleep(0.002)
        return item

    with pytest.raises(ModelError):
        do_all(range(100), do, lambda item, _: kept.append(item), num_workers=num_workers)
    assert set(kept) == set(begun) - {3}
    assert len(begun) < 100


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a small sweep."""

    size: int
    folder: str
    dies: bool = False


def measure(cell, place: Workplace):
    """Two halves; the first is kept in the cell's own folder."""
    half = place.folder / "half.json"
    if not half.exists():
        place.meter.add("passes", 1)
        with (Path(cell.folder) / "halves").open("a") as file:
            file.write(f"{cell.size}\n")
        half.write_text(str(cell.size))
    if cell.dies and not (Path(cell.folder) / "mended").exists():
        raise KeyboardInterrupt
    if cell.size == 13:
        raise ModelError("model size", 13, "is unlucky", remedy="Use 14")
    place.meter.add("generated", cell.size)
    return {"double": 2 * int(half.read_text())}


def cells_of(folder, sizes):
    return [Cell(size=size, folder=str(folder), dies=size == 3) for size in sizes]


def check_cells(folder):
    """The third cell is interrupted in its middle; then more cells, in another order."""
    log = folder / "sweep.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run_cells(cells_of(folder, [1, 2, 3, 4]), measure, log=log)
    (folder / "mended").touch()
    meter, sizes = Meter(), [5, 3, 4, 2, 1]
    found = run_cells(cells_of(folder, sizes), measure, log=log, meter=meter)
    assert [one.output["double"] for one in found] == [2 * size for size in sizes]
    assert [one.cell.size for one in found] == sizes
    halves = (folder / "halves").read_text().split()
    assert sorted(halves) == ["1", "2", "3", "4", "5"]  # the third's first half was not done again
    assert meter.totals()["generated"] == 15  # those of the first call, too
    names = {content_hash(cell)[:16] for cell in cells_of(folder, sizes)}
    assert {path.name for path in (folder / "sweep-cells").iterdir()} <= names


def test_interrupted_cells_resume_inside(tmp_path):
    check_cells(tmp_path)


def test_planted_folder_of_another_cell(tmp_path, monkeypatch):
    exact = module._run_cell

    def mutant(job):
        import dataclasses

        return exact(dataclasses.replace(job, folder=job.folder.with_name("same")))

    monkeypatch.setattr(module, "_run_cell", mutant)
    with pytest.raises(AssertionError):
        check_cells(tmp_path)


def test_failed_cells(tmp_path):
    log, cells = tmp_path / "sweep.jsonl", cells_of(tmp_path, [1, 13, 2])
    for _ in range(2):
        found = run_cells(cells, measure, log=log, failures=(ModelError,))
        why = "ModelError: model size is unlucky, got 13. Use 14."
        assert [one.error for one in found] == ["", why, ""]
        assert found[1].output is None
    with pytest.raises(ModelError):
        run_cells(cells, measure, log=log)


def test_cells_may_be_mappings_and_equal_ones_are_refused(tmp_path):
    found = run_cells([{"a": 1}, {"a": 2}], lambda cell, _: {"b": cell["a"]}, log=tmp_path / "s")
    assert [one.output for one in found] == [{"b": 1}, {"b": 2}]
    with pytest.raises(InputError, match="twice"):
        run_cells([{"a": 1}, {"a": 1}], lambda cell, _: {}, log=tmp_path / "s")


class LosesItsParent:
    """A launcher whose collecting process is killed before it has the last row."""

    def map(self, fn, items):
        rows = [fn(item) for item in items]
        yield from rows[:-1]
        raise KeyboardInterrupt


def test_a_row_that_was_not_collected_is_not_made_again(tmp_path):
    log, cells = tmp_path / "sweep.jsonl", cells_of(tmp_path, [1, 2])
    with pytest.raises(KeyboardInterrupt):
        run_cells(cells, measure, log=log, launcher=LosesItsParent())
    assert len(log.read_text().splitlines()) == 1
    found = run_cells(cells, lambda *_: pytest.fail("made again"), log=log)
    assert [one.output["double"] for one in found] == [2, 4]


def sweep(folder):
    import signal

    def killed(cell, place):
        if cell.size == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return measure(cell, place)

    run_cells(cells_of(folder, [1, 2, 4]), killed, log=folder / "sweep.jsonl")


def test_a_killed_sweep_keeps_its_cells(tmp_path):
    process = get_context("fork").Process(target=sweep, args=(tmp_path,))
    process.start()
    process.join(30)
    assert process.exitcode == -9
    assert len((tmp_path / "sweep.jsonl").read_text().splitlines()) == 1
    found = run_cells(cells_of(tmp_path, [1, 2, 4]), measure, log=tmp_path / "sweep.jsonl")
    assert [one.output["double"] for one in found] == [2, 4, 8]
    assert (tmp_path / "halves").read_text().split() == ["1", "2", "4"]
    rows = [json.loads(line) for line in (tmp_path / "sweep.jsonl").read_text().splitlines()]
    assert rows[0]["cell"] == {"size": 1, "folder": str(tmp_path), "dies": False}


def test_cells_under_a_launcher(tmp_path):
    """The same outputs and counts as in this process, each cell in a folder of its own."""
    cells = [{"size": size} for size in (1, 2, 3)]
    meters = [Meter(), Meter()]
    here = run_cells(cells, cell_in_a_process, log=tmp_path / "here.jsonl", meter=meters[0])
    there = run_cells(
        cells, cell_in_a_process, log=tmp_path / "there.jsonl", meter=meters[1],
        launcher=ProcessLauncher(workers=1),
    )  # fmt: skip
    assert [one.output["double"] for one in there] == [one.output["double"] for one in here]
    assert meters[0].totals() == meters[1].totals()
    assert {one.output["process"] for one in here} == {os.getpid()}
    assert os.getpid() not in {one.output["process"] for one in there}
    assert len(list((tmp_path / "there-cells").glob("*/seen"))) == 3


@pytest.mark.parametrize("num", [1, 3, 9, 20])
def test_every_item_is_dealt_once(num):
    shards = deal(NAMES, num)
    assert sorted(name for shard in shards for name in shard) == NAMES
    assert len(shards) == min(num, 9) and all(shards)


def test_a_cell_takes_the_time_between_its_start_and_its_end(tmp_path, monkeypatch):
    ticks = iter(range(100, 200, 7))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    run_cells([{"a": 1}], lambda cell, _: cell, log=tmp_path / "s.jsonl")
    (row,) = map(json.loads, (tmp_path / "s.jsonl").read_text().splitlines())
    assert row["seconds"] == 7
