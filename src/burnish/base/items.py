"""Resumable work over many items: rows are kept as they are made, and nothing is done twice."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from burnish.base.canonical import content_hash, jsonable
from burnish.base.errors import IncompleteError, InputError
from burnish.base.files import read_json, write_json
from burnish.base.log import RecordLog
from burnish.base.meter import Meter
from burnish.base.progress import track

Row = Mapping[str, Any]
Keep = Callable[[Row], None]
Item = TypeVar("Item")
Answer = TypeVar("Answer")

CELL_FILE = "cell.json"  # the row of a finished cell, in the cell's own folder


class ItemLog:
    """Rows of items, one JSON object a line; without a path they are in memory only.

    `fields` name the columns that form a row's key. A row with an `error` is the row of a failed
    item: it is kept in the file, and the item is done again when work resumes.
    Source: ours. Oracle: tests/base/test_items.py::test_resumed_equals_straight
    """

    def __init__(self, path: Path | None, *, fields: Sequence[str] = ("id",)) -> None:
        self._log = None if path is None else RecordLog(path)
        self._fields = tuple(fields)
        rows = [] if self._log is None else self._log.read()
        self.done: dict[Hashable, Row] = {
            self.key_of(row): row for row in rows if "error" not in row
        }

    def key_of(self, row: Row) -> Hashable:
        """The row's key: the value of its one key field, or the tuple of several."""
        if len(self._fields) == 1:
            return row[self._fields[0]]
        return tuple(row[name] for name in self._fields)

    def keep(self, row: Row) -> None:
        """Append a row. Raises: StorageError; InputError for a value that is not JSON."""
        if self._log is not None:
            self._log.append(row)
        if "error" not in row:
            self.done[self.key_of(row)] = row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._log is not None:
            self._log.close()


def finish_items(
    log: ItemLog,
    keys: Sequence[Hashable],
    work: Callable[[list[Any], Keep], None],
    *,
    label: str = "",
    unit: str = "item",
    partial: bool = False,
) -> list[Row]:
    """Let `work(missing, keep)` make the rows that `log` lacks; all rows in the order of `keys`.

    `work` is not called where nothing is missing. It gives every row to `keep`, in any order;
    the row is in the log at once. `partial` allows it to leave items out. An empty `label` shows
    no progress.
    Raises: InputError for a key that is given twice; IncompleteError for an item without a row.
    Source: ours. Oracle: tests/base/test_items.py::test_resumed_equals_straight
    """
    wanted = _distinct(keys)
    rows = {key: log.done[key] for key in wanted if key in log.done}
    missing = [key for key in wanted if key not in rows]
    if missing:
        unmade = set(missing)
        shown = track(len(wanted), label, unit, already=len(rows)) if label else nullcontext()
        with log, shown as bar:
            if bar and rows:
                bar.note(f"resuming: {len(rows)} of {len(wanted)} are already done")

            def keep(row: Row) -> None:
                key = log.key_of(row)
                assert key in unmade, f"row {key!r} was not asked for, or is kept twice"
                unmade.remove(key)
                log.keep(row)
                rows[key] = row
                if bar:
                    bar.advance()

            work(missing, keep)
        if unmade and not partial:
            rule = f"must all be finished; {len(unmade)} of {len(wanted)} are not"
            remedy = "Repeat the command: finished items are kept"
            raise IncompleteError(label or "items", min(map(str, unmade)), rule, remedy=remedy)
    return [rows[key] for key in wanted if key in rows]


def do_all(
    items: Iterable[Item],
    do: Callable[[Item], Answer],
    keep: Callable[[Item, Answer], None],
    *,
    num_workers: int = 1,
) -> None:
    """Call `do` on every item, `num_workers` at a time in threads, and `keep` in this thread.

    At most `num_workers` answers are on their way and not kept yet, also where `keep` is slow.
    The first error of `do` ends the work: what other threads are in the middle of is finished
    and kept before it is raised. Ctrl-C does not wait for them.
    Source: ours. Oracle: tests/base/test_items.py::test_bounded_concurrency
    """
    if num_workers == 1:
        for item in items:
            keep(item, do(item))
        return
    todo, failed = deque(items), None
    room = threading.Semaphore(num_workers)  # for answers that are not kept yet
    done: queue.SimpleQueue[tuple[Any, Any, Exception | None] | None] = queue.SimpleQueue()
    serving = min(num_workers, len(todo))
    for _ in range(serving):
        threading.Thread(target=_serve, args=(do, todo, room, done), daemon=True).start()
    try:
        while serving:
            told = done.get()
            if told is None:
                serving -= 1
                continue
            if told[2] is not None:
                failed = failed or told[2]
            else:
                keep(told[0], told[1])
            room.release()
    finally:
        todo.clear()
        room.release(num_workers)
    if failed is not None:
        raise failed


def _serve(
    do: Callable[[Any], Any],
    todo: deque[Any],
    room: threading.Semaphore,
    done: "queue.SimpleQueue[tuple[Any, Any, Exception | None] | None]",
) -> None:
    """One thread of `do_all`: puts (item, answer, error) until nothing is left to do, then None."""
    while room.acquire():
        try:
            item = todo.popleft()
        except IndexError:
            break
        try:
            done.put((item, do(item), None))
        except Exception as error:  # raised again in the thread that called
            todo.clear()
            done.put((item, None, error))
    room.release()
    done.put(None)


@runtime_checkable
class Launcher(Protocol):
    """What `run_cells` needs of a launcher: see `burnish.contracts.launcher`."""

    def map(self, fn: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Yield `fn(item)` in the order of `items`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """What a cell's function works with.

    `folder` is the cell's own and is there again when an interrupted cell resumes; `meter`
    counts what the cell spends.
    """

    folder: Path
    meter: Meter


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """A cell with what its function returned, or with the `error` that it failed with.

    `seconds` is the time of the attempt that ended.
    """

    cell: Any
    key: str
    output: Mapping[str, Any] | None
    error: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class _Job:
    cell: Any
    key: str
    fn: Callable[[Any, Workplace], Mapping[str, Any]]
    folder: Path
    failures: tuple[type[Exception], ...]


def run_cells(
    cells: Sequence[Any],
    fn: Callable[[Any, Workplace], Mapping[str, Any]],
    *,
    log: Path,
    launcher: Launcher | None = None,
    failures: tuple[type[Exception], ...] = (),
    label: str = "cells",
    meter: Meter | None = None,
) -> list[CellResult]:
    """Call `fn(cell, workplace)` for every cell of a sweep; results in the order of the cells.

    A cell is a frozen dataclass or a mapping; its key is the hash of its content, so adding
    cells or changing their order repeats none. `fn` returns a JSON object. It must be importable
    where `launcher` starts processes; each of those writes in its cell's folder only.
    An exception among `failures` becomes the result of its cell, which is tried again when the
    same cells are run again; any other ends the sweep. `meter` gets the counts of all cells, also
    of those done before.
    Raises: InputError for two equal cells; what `fn` and the launcher raise.
    Source: ours. Oracle: tests/base/test_items.py::test_interrupted_cells_resume_inside
    """
    by_key = dict(zip(_distinct([content_hash(cell) for cell in cells]), cells, strict=True))
    folder = log.parent.absolute() / f"{log.stem}-cells"

    def work(missing: list[str], keep: Keep) -> None:
        jobs = [
            _Job(cell=by_key[key], key=key, fn=fn, folder=folder / key[:16], failures=failures)
            for key in missing
        ]
        for row in launcher.map(_run_cell, jobs) if launcher else map(_run_cell, jobs):
            keep(row)

    rows = finish_items(ItemLog(log), list(by_key), work, label=label, unit="cell")
    if meter is not None:
        for row in rows:
            meter.merge(Meter.from_dict(row.get("metered", {})))
    return [
        CellResult(
            cell=by_key[row["id"]],
            key=row["id"],
            output=row.get("output"),
            error=row.get("error", ""),
            seconds=row["seconds"],
        )
        for row in rows
    ]


def deal(items: Sequence[Item], num_shards: int) -> list[tuple[Item, ...]]:
    """Items in turns to at most `num_shards` shards, none of them empty."""
    num = min(num_shards, len(items))
    return [tuple(items[number::num]) for number in range(num)]


def _run_cell(job: _Job) -> Row:
    """One cell in whatever process it runs in; its row is in its own folder before it returns."""
    saved = job.folder / CELL_FILE
    if saved.is_file():  # the process that collects the rows was killed before it had this one
        return read_json(saved)
    job.folder.mkdir(parents=True, exist_ok=True)
    meter, started = Meter(), time.monotonic()
    row: dict[str, Any] = {"id": job.key, "cell": jsonable(job.cell)}
    try:
        row["output"] = jsonable(job.fn(job.cell, Workplace(folder=job.folder, meter=meter)))
    except job.failures as error:
        row["error"] = f"{type(error).__name__}: {error}"
    row |= {"metered": meter.to_dict(), "seconds": round(time.monotonic() - started, 3)}
    if "error" not in row:
        write_json(saved, row)
    return row


def _distinct(keys: Sequence[Any]) -> list[Any]:
    seen: set[Any] = set()
    for key in keys:
        if key in seen:
            raise InputError("item", key, "must not be given twice", remedy="Give each item once")
        seen.add(key)
    return list(keys)
