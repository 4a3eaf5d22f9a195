"""Messages for people, all on stderr, so that stdout is left to results (`--json`)."""

import contextlib
import sys
import time
from collections.abc import Callable
from typing import Any, Self, TextIO

LINE_EVERY_S = 5.0

_quiet = False


def set_quiet(on: bool) -> contextlib.ExitStack:
    """Silence `say` and progress from now on; used in a `with`, only until its end."""
    global _quiet
    restore = contextlib.ExitStack()
    restore.callback(_set_quiet, _quiet)
    _set_quiet(on)
    return restore


def say(text: str) -> None:
    """Print one message to stderr, unless quiet."""
    if not _quiet:
        print(text, file=sys.stderr, flush=True)


class Progress:
    """How far a piece of work is: a bar on a terminal, else a line at most every five seconds.

    `total` may be None when nobody knows it. Use it in a `with`; `track` reads better there.
    """

    def __init__(
        self,
        total: int | None,
        label: str,
        unit: str = "it",
        *,
        file: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.label, self.unit, self.done = total, label, unit, 0
        self._file, self._clock = file or sys.stderr, clock
        self._bar: Any = None
        self._started = self._last_line = clock()

    def advance(self, n: int = 1) -> None:
        """Count `n` more as done."""
        self.done += n
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self.done, rate=self._rate())
        elif self._clock() - self._last_line >= LINE_EVERY_S:
            self._line(f"{self._count()} {self.unit} ({self._rate()}{self._left()})")

    def note(self, text: str) -> None:
        """Print a message without disturbing the bar."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            self._line(text)

    def __enter__(self) -> Self:
        self._started = self._clock()
        if self._file.isatty() and not _quiet:
            self._bar = self._make_bar()
            self._bar.start()
        else:
            self._line(f"{self._count()} {self.unit}")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        ending = "" if kind is None else "stopped at "
        seconds = self._clock() - self._started
        self._line(f"{ending}{self._count()} {self.unit} in {seconds:.1f} s ({self._rate()})")

    def _make_bar(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        bar = Bar(*columns, console=Console(file=self._file), transient=True)
        bar.add_task(self.label, total=self.total, rate=self._rate())
        return bar

    def _line(self, text: str) -> None:
        self._last_line = self._clock()
        if not _quiet:
            print(f"{self.label}: {text}", file=self._file, flush=True)

    def _count(self) -> str:
        return str(self.done) if self.total is None else f"{self.done}/{self.total}"

    def _rate(self) -> str:
        seconds = self._clock() - self._started
        return f"{self.done / seconds:.3g} {self.unit}/s" if seconds > 0 else f"0 {self.unit}/s"

    def _left(self) -> str:
        if not self.total or not self.done:
            return ""
        seconds = (self._clock() - self._started) * (self.total - self.done) / self.done
        return f", {seconds:.0f} s left"


def track(total: int | None, label: str, unit: str = "it") -> Progress:
    """Show progress of a block of work; it calls `advance` on what `with` gives it."""
    return Progress(total, label, unit)


def _set_quiet(on: bool) -> None:
    global _quiet
    _quiet = on
