"""Progress and messages stay on stderr and keep to their pace."""

import io

import pytest

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
        "judge: 42/100 answer (8.33 answer/s, 7 s left)",
        "judge: 84/100 answer (8.33 answer/s, 2 s left)",
        "judge: one thing",
        "judge: 100/100 answer in 12.0 s (8.33 answer/s)",
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
