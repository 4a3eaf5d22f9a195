"""Messages for people, all on stderr, so that stdout is left to results (`--json`)."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Self, TextIO

LINE_EVERY_S = 5.0
LEAST_S = 15.0  # a time left is a guess before that
LEAST_ITEMS, LEAST_FRAC, ENOUGH_ITEMS = 3, 0.01, 20  # at least 3; a hundredth of all, up to 20
WINDOW_S = 60.0  # the recent past, whose rate tells the time left

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

    `total` may be None when it is unknown; `already` of it was done before this attempt and does
    not count for the rate. A time left is shown once it means something: after 15 seconds and a
    hundredth of the items, from the rate of the last minute.
    Use it in a `with`; `track` reads better there.
    Source: ours. Oracle: tests/base/test_progress.py::test_time_left_waits_until_it_means_something
    """

    def __init__(
        self,
        total: int | None,
        label: str,
        unit: str = "it",
        *,
        already: int = 0,
        file: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.label, self.unit, self.done = total, label, unit, already
        self._already = already
        self._file, self._clock = file or sys.stderr, clock
        self._bar: Any = None
        self._started = self._last_line = clock()
        self._marks = deque([(self._started, self.done)])

    def advance(self, n: int = 1) -> None:
        """Count `n` more as done."""
        self.done += n
        self._mark()
        if self._bar is not None:
            told = {"rate": self._rate(), "left": self.time_left()}
            self._bar.update(self._bar.task_ids[0], completed=self.done, **told)
        elif self._clock() - self._last_line >= LINE_EVERY_S:
            told = ", ".join(filter(None, (self._rate(), self.time_left())))
            self._line(f"{self._count()} {self.unit} ({told})")

    def note(self, text: str) -> None:
        """Print a message without disturbing the bar."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            self._line(text)

    def __enter__(self) -> Self:
        self._started = self._clock()
        self._marks = deque([(self._started, self.done)])
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
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[left]}"),
        )
        bar = Bar(*columns, console=Console(file=self._file), transient=True)
        bar.add_task(self.label, total=self.total, completed=self.done, rate=self._rate(), left="")
        return bar

    def _line(self, text: str) -> None:
        self._last_line = self._clock()
        if not _quiet:
            print(f"{self.label}: {text}", file=self._file, flush=True)

    def _count(self) -> str:
        return str(self.done) if self.total is None else f"{self.done}/{self.total}"

    def _rate(self) -> str:
        seconds = self._clock() - self._started
        num = self.done - self._already
        return f"{num / seconds:.3g} {self.unit}/s" if seconds > 0 else f"0 {self.unit}/s"

    def _mark(self) -> None:
        """Remember how far the work was, about once a second, as far back as the window goes."""
        now, marks = self._clock(), self._marks
        if now - marks[-1][0] >= 1.0:
            marks.append((now, self.done))
        while len(marks) > LEAST_ITEMS and marks[1][0] <= now - WINDOW_S:
            marks.popleft()

    def time_left(self) -> str:
        """For example "about 12 min left"; empty while it would mean nothing."""
        now, num = self._clock(), self.done - self._already
        if self.total is None or self.done >= self.total or now - self._started < LEAST_S:
            return ""
        if num < min(max(LEAST_ITEMS, LEAST_FRAC * self.total), ENOUGH_ITEMS):
            return ""
        since, before = self._marks[0]
        if self.done == before or now == since:
            return ""
        return _in_words((now - since) * (self.total - self.done) / (self.done - before))


def _in_words(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return "less than a minute left"
    if minutes < 90:
        return f"about {minutes:.0f} min left"
    if minutes < 48 * 60:
        return f"about {minutes / 60:.0f} h left"
    return f"about {minutes / 60 / 24:.0f} days left"


def track(total: int | None, label: str, unit: str = "it", *, already: int = 0) -> Progress:
    """Show progress of a block of work; it calls `advance` on what `with` gives it."""
    return Progress(total, label, unit, already=already)


def _set_quiet(on: bool) -> None:
    global _quiet
    _quiet = on
