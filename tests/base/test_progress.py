"""Progress and messages stay on stderr and keep to their pace."""

import io

import pytest

from burnish.base import progress as progress_module
from burnish.base.progress import Progress, say, set_quiet, track


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_plain_lines_come_at_most_every_five_seconds():
    file, clock = io.StringIO(), Clock()
    with Progress(100, "judge", "answer", file=file, clock=clock) as progress:
        for _ in range(100):
            clock.now += 0.12
            progress.advance()
        progress.note("one thing")
    assert file.getvalue().splitlines() == [
        "judge: 0/100 answer",
        "judge: 42/100 answer (8.33 answer/s)",
        "judge: 84/100 answer (8.33 answer/s)",
        "judge: one thing",
        "judge: 100/100 answer in 12.0 s (8.33 answer/s)",
    ]


def left_after(clock, progress, *, items, seconds_each):
    for _ in range(items):
        clock.now += seconds_each
        progress.advance()
    return progress.time_left()


def check_time_left(Progress):
    """1,500 answers; the first alone takes 56 seconds, the others two."""
    clock = Clock()
    with Progress(1500, "sample", "answer", file=io.StringIO(), clock=clock) as progress:
        assert left_after(clock, progress, items=1, seconds_each=56.0) == ""  # was "83,944 s left"
        assert left_after(clock, progress, items=13, seconds_each=2.0) == ""
        assert left_after(clock, progress, items=86, seconds_each=2.0) == "about 47 min left"
        assert left_after(clock, progress, items=1370, seconds_each=2.0) == "about 1 min left"
        assert left_after(clock, progress, items=10, seconds_each=2.0) == "less than a minute left"
        assert left_after(clock, progress, items=20, seconds_each=2.0) == ""


def test_time_left_waits_until_it_means_something():
    check_time_left(Progress)


def test_planted_time_left_from_the_whole_past(monkeypatch):
    class Mutant(Progress):
        def _mark(self):
            """Keep the first mark only."""

    with pytest.raises(AssertionError):
        check_time_left(Mutant)


def test_time_left_of_few_and_slow_items():
    clock = Clock()
    with Progress(10, "teach", file=io.StringIO(), clock=clock) as progress:
        assert left_after(clock, progress, items=2, seconds_each=4000.0) == ""
        assert left_after(clock, progress, items=1, seconds_each=4000.0) == "about 8 h left"
        assert left_after(clock, progress, items=1, seconds_each=400000.0) == "about 14 days left"
        clock.now += 1
    with Progress(99, "teach", file=io.StringIO(), clock=clock) as progress:
        assert left_after(clock, progress, items=50, seconds_each=0.2) == ""  # too soon
    with Progress(None, "read", file=io.StringIO(), clock=clock) as progress:
        assert left_after(clock, progress, items=50, seconds_each=9.0) == ""


def test_what_was_done_before_does_not_count_for_the_rate():
    file, clock = io.StringIO(), Clock()
    with Progress(1000, "sample", already=900, file=file, clock=clock) as progress:
        assert left_after(clock, progress, items=10, seconds_each=2.0) == "about 3 min left"
    assert file.getvalue().splitlines() == [
        "sample: 900/1000 it",
        "sample: 903/1000 it (0.5 it/s)",
        "sample: 906/1000 it (0.5 it/s)",
        "sample: 909/1000 it (0.5 it/s)",
        "sample: 910/1000 it in 20.0 s (0.5 it/s)",
    ]


def test_an_unknown_total_and_a_failure_are_told():
    file = io.StringIO()
    with pytest.raises(RuntimeError), Progress(None, "read", file=file, clock=Clock()) as progress:
        progress.advance(3)
        raise RuntimeError
    assert file.getvalue().splitlines() == ["read: 0 it", "read: stopped at 3 it in 0.0 s (0 it/s)"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_and_a_last_line(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    file, clock = Terminal(), Clock()
    with Progress(10, "teach", "step", file=file, clock=clock) as progress:
        clock.now += 2
        progress.advance(10)
        progress.note("[half] done")
    text = file.getvalue()
    assert "10/10" in text
    assert "[half] done" in text  # no markup
    assert text.endswith("teach: 10/10 step in 2.0 s (5 step/s)\n")


def test_nothing_goes_to_stdout(capsys):
    say("hello")
    with track(2, "work") as progress:
        progress.advance(2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hello\nwork: 0/2 it\n")


def test_quiet_is_quiet_until_its_end(capsys):
    with set_quiet(True):
        say("hidden")
        with track(1, "work") as progress:
            progress.advance()
            progress.note("hidden")
    say("seen")
    assert capsys.readouterr().err == "seen\n"


def test_quiet_holds_without_a_block(capsys):
    restore = set_quiet(True)
    say("hidden")
    restore.close()
    say("seen")
    assert capsys.readouterr().err == "seen\n"


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (59, "less than a minute left"), (61, "about 1 min left"), (89 * 60, "about 89 min left"),
        (90 * 60, "about 2 h left"), (47.9 * 3600, "about 48 h left"),
        (48 * 3600, "about 2 days left"), (72 * 3600, "about 3 days left"),
        (100 * 86400, "about 100 days left"),
    ],
)  # fmt: skip
def test_long_times_are_told_in_larger_units(seconds, says):
    assert progress_module._in_words(seconds) == says
