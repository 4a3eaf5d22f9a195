"""Launchers that wait: jobs never meet; replaced when killed, gone when dismissed."""

import os
import signal

import pytest

from burnish.sandbox import waiting
from burnish.sandbox.job import MIB, Job, Limits
from burnish.sandbox.running import run_job
from burnish.sandbox.waiting import WAITING, Waiting

SMALL = Limits(memory_bytes=32 * MIB, disk_bytes=64 * MIB)


@pytest.fixture(autouse=True)
def _needs_namespaces(namespaces):
    pass


def pids():
    return {one.pid for rows in WAITING._ready.values() for one in rows}


def write(text):
    script = f"ls /work /tmp /dev/shm; ls -d /proc/[0-9]*; echo {text} | tee /tmp/f /dev/shm/f f"
    return run_job(Job(argv=("/bin/bash", "-c", script)))


def test_nothing_of_a_job_meets_the_next():
    WAITING.dismiss()
    seen = [write("same").stdout for _ in range(6)]
    assert len(pids()) == 2  # six jobs, two launchers that take turns
    assert len(set(seen)) == 1
    assert b"f" not in seen[0].split()


def test_a_job_without_memory_costs_the_next_nothing():
    WAITING.dismiss()
    eat = Job(argv=("/bin/bash", "-c", "x=x; while :; do x=$x$x; done"), limits=SMALL)
    keep = Job(argv=("/bin/bash", "-c", "head -c 20M /dev/zero > /tmp/f"), limits=SMALL)
    for _ in range(3):
        assert run_job(eat).limit == "memory_bytes"
        assert run_job(keep).ok
        assert write(1).ok


def test_one_that_was_killed_is_replaced():
    write(0)
    for pid in pids():
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert all(write(i).ok for i in range(3))


def test_dismissed_ones_leave_nothing():
    write(0)
    gone = pids()
    WAITING.dismiss()
    assert pids() == set()
    for pid in gone:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert write(1).ok


def test_a_fork_does_not_use_its_parents(monkeypatch):
    mine = Waiting()
    first = mine.take(())
    mine.refill(())
    monkeypatch.setattr(waiting.os, "getpid", lambda: -1)  # as after a fork
    second = mine.take(())
    assert mine._ready[()] == []
    monkeypatch.undo()
    for one in (first, second):
        mine.leave(one)
    mine.settle()


def test_not_more_wait_than_allowed(monkeypatch):
    monkeypatch.setattr(waiting, "MAX_WAITING", 2)
    mine = Waiting()
    taken = [mine.take(()) for _ in range(4)]
    mine.refill(())
    mine.refill(())
    assert len(mine._ready[()]) == 1
    for one in taken:
        mine.give_back(one, ())
    assert len(mine._ready[()]) == 2
    mine.dismiss()
    assert mine._ready == {}


def test_a_job_has_only_its_own_arguments():
    """A launcher that served a job with many arguments and variables forgets them."""
    many = tuple(f"a{i}" for i in range(40))
    script = 'echo "$# $(env | grep -c ^OLD)"'
    env = {f"OLD{i}": "x" for i in range(40)}
    for _ in range(4):
        run_job(Job(argv=("/bin/bash", "-c", script, "bash", *many), env=env))
        done = run_job(Job(argv=("/bin/bash", "-c", script, "bash", "one")))
        assert done.ok and done.stdout.split() == [b"1", b"0"]


SEEN = "find / -xdev -printf '%p %M %U %l\\n' | sort; cut -d' ' -f5,6,9 /proc/self/mountinfo | sort"


def seen(**named):
    done = run_job(Job(argv=("/bin/bash", "-c", SEEN), **named))
    assert done.ok
    return set(done.stdout.decode().splitlines())


def test_a_copied_root_is_the_root_that_a_job_alone_would_get(tmp_path):
    copied = seen()
    alone = seen(mounts={"/program": tmp_path})  # files of this machine in sight: built anew
    assert {line for line in alone - copied if "/program" not in line} == set()
    assert copied < alone
    assert any(line.startswith("/ ro,") for line in copied)


def test_what_one_job_saw_of_this_machine_the_next_does_not(tmp_path):
    WAITING.dismiss()
    inside, kept = tmp_path / "inside", tmp_path / "kept"
    inside.mkdir(), kept.mkdir()
    (inside / "a").write_text("here")
    before = seen()
    for _ in range(3):
        shown = run_job(Job(argv=("/bin/cat", "/program/a"), mounts={"/program": inside}))
        assert shown.stdout == b"here"
        saved = run_job(Job(argv=("/bin/bash", "-c", "echo kept > b"), keep=kept))
        assert saved.ok and (kept / "b").read_text() == "kept\n"
        (kept / "b").unlink()
    assert seen() == before
