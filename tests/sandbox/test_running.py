"""One job: what goes in, what comes out, and what each limit does."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fixtures.machine import still_running

from burnish.base.errors import SettingError, UnknownNameError
from burnish.sandbox.job import MIB, Job, Limit, Limits
from burnish.sandbox.running import run_job

BASH = "/bin/bash"


@pytest.fixture(autouse=True)
def _needs_namespaces(namespaces):
    pass


def shell(script, isolation="auto", stdin=b"", **fields):
    return run_job(Job(argv=(BASH, "-c", script), stdin=stdin, **fields), isolation=isolation)


def test_what_goes_in_comes_out():
    files = {"a/b.txt": b"\0\xff", "run.sh": b"#!/bin/sh\necho ran"}
    done = shell(
        "cat; od -An -tx1 a/b.txt; ./run.sh; echo err >&2; exit 7",
        files=files, executable=frozenset({"run.sh"}), stdin=b"in\n",
    )  # fmt: skip
    assert done.stdout.split() == [b"in", b"00", b"ff", b"ran"]
    assert (done.stderr, done.exit_code, done.signal, done.limit) == (b"err\n", 7, None, None)
    assert not done.failure


def test_the_environment_is_empty(monkeypatch):
    monkeypatch.setenv("TOKEN", "planted secret")
    done = shell("env; cat /proc/self/environ", env={"A": "1"})
    names = {line.partition(b"=")[0] for line in done.stdout.replace(b"\0", b"\n").split(b"\n")}
    assert names - {b""} <= {b"A", b"HOME", b"LANG", b"PATH", b"TMPDIR", b"PWD", b"SHLVL", b"_"}
    assert b"planted secret" not in done.stdout


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 192_000, 1_000_003])
def test_large_output_neither_blocks_nor_is_lost(size):
    done = shell(f"head -c {size} /dev/zero; head -c {size} /dev/zero >&2")
    assert (len(done.stdout), len(done.stderr), done.exit_code) == (size, size, 0)


def test_large_input_arrives():
    data = os.urandom(3 * MIB)
    assert shell("cat", stdin=data).stdout == data


def test_standard_streams_can_be_opened_by_name():
    done = shell("cat /dev/stdin > /dev/stdout; echo e > /dev/stderr", stdin=b"in")
    assert (done.stdout, done.stderr) == (b"in", b"e\n")


def test_unread_input_is_no_trouble():
    assert shell("exit 0", stdin=b"x" * MIB).ok


def test_signals_are_told_from_exit_codes():
    assert shell("kill -SEGV $$").signal == 11
    assert shell("exit 139").exit_code == 139
    assert shell("kill -KILL $$").limit is None


LIMITED = [
    ("while :; do :; done", Limit.CPU, {"cpu_s": 0.3}),
    ("sleep 60", Limit.WALL, {"wall_s": 0.3}),
    ("(while :; do :; done) & (while :; do :; done) & wait", Limit.CPU, {"cpu_s": 0.3}),
    ("x=x; while :; do x=$x$x; done", Limit.MEMORY, {"memory_bytes": 64 * MIB}),
    ("yes", Limit.OUTPUT, {"output_bytes": 100_000}),
    ("yes >&2", Limit.OUTPUT, {"output_bytes": 100_000}),
    ("exec head -c 9000000 /dev/zero > f", Limit.FILE, {"file_bytes": MIB}),
]


@pytest.mark.parametrize(("script", "limit", "values"), LIMITED)
def test_each_limit_ends_the_job_and_is_named(script, limit, values):
    done = shell(script, limits=Limits(**{"cpu_s": 5, "wall_s": 10, **values}))
    assert done.limit is limit
    assert done.exit_code is None
    assert not done.ok
    if limit is Limit.OUTPUT:
        assert len(done.stdout) + len(done.stderr) == 100_000
        assert done.stdout_truncated or done.stderr_truncated


def test_memory_of_many_processes_is_one_sum():
    part = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); sleep 3"
    done = shell(f"for i in 1 2 3 4 5 6; do ({part}) & done; wait",
                 limits=Limits(memory_bytes=64 * MIB, wall_s=10))  # fmt: skip
    assert done.limit is Limit.MEMORY
    alone = shell(f"({part.replace('sleep 3', 'true')})", limits=Limits(memory_bytes=200 * MIB))
    assert alone.ok


def test_processes_are_counted_per_job():
    """Bash waits 15 s for a process that it may not start; none of its children ends earlier."""
    script = "for i in {1..50}; do sleep 60 & echo $i; done"
    job = Job(argv=(BASH, "-c", script), limits=Limits(num_processes=20, wall_s=2))
    with ThreadPoolExecutor(3) as pool:  # neighbours do not share the count
        results = list(pool.map(lambda _: run_job(job), range(3)))
    assert [r.limit for r in results] == [Limit.WALL] * 3
    assert all(b"fork: retry" in r.stderr for r in results)
    assert [r.stdout.split()[-1] for r in results] == [b"19"] * 3  # and bash itself
    assert shell(script, limits=Limits(num_processes=64)).stdout.split()[-1] == b"50"


def test_open_files_and_disk():
    done = shell("ulimit -n; ulimit -c; head -c 9M /dev/zero > a; head -c 9M /dev/zero > b",
                 limits=Limits(num_files=33, disk_bytes=10 * MIB))  # fmt: skip
    assert done.stdout.split() == [b"33", b"0"]
    assert b"No space left" in done.stderr


def test_sleeping_is_cheap_and_running_is_counted():
    slept = shell("sleep 0.3")
    ran = shell("i=0; while [ $i -lt 60000 ]; do i=$((i + 1)); done")
    assert slept.cpu_s < 0.1 <= slept.wall_s
    assert ran.cpu_s > slept.cpu_s
    assert ran.memory_bytes > MIB


def test_a_daemon_dies_with_its_job():
    start = time.monotonic()
    done = shell("setsid sleep 4322 >/dev/null & (setsid sleep 4322 &) ; echo here")
    assert done.stdout == b"here\n"
    assert time.monotonic() - start < 20
    assert still_running("sleep 4322") == []


def test_files_are_kept_but_links_are_not(tmp_path):
    script = "mkdir d; echo 1 > d/f; chmod 755 d/f; ln -s /etc/passwd l; mkfifo p; echo 2 > g"
    done = shell(script, keep=tmp_path)
    assert done.ok
    kept = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")}
    assert kept == {"d", "d/f", "g"}
    assert (tmp_path / "d/f").read_text() == "1\n"
    assert os.access(tmp_path / "d/f", os.X_OK)


def test_the_report_is_a_channel_of_its_own():
    done = shell("echo out; echo told >&3", report=True)
    assert (done.stdout, done.report) == (b"out\n", b"told\n")
    assert shell("echo told >&3").exit_code != 0


def test_what_cannot_start_is_a_failure():
    done = run_job(Job(argv=("/no/such/program",)))
    assert (done.exit_code, done.signal) == (None, None)
    assert "/no/such/program could not be started" in done.failure
    assert done.attestation.missing


def test_mounts_are_read_only(tmp_path):
    tmp_path.chmod(0o755)  # as root, a job is another user
    (tmp_path / "f").write_text("seen")
    script = "cat /program/f; echo x > /program/f; echo x > /program/g; rm /program/f"
    done = shell(script, mounts={"/program": tmp_path})
    assert done.stdout == b"seen"
    assert done.stderr.count(b"Read-only file system") == 3


def test_wrong_settings_are_named():
    with pytest.raises(SettingError, match="cpu_s"):
        Limits(cpu_s=0)
    with pytest.raises(SettingError, match="argv"):
        Job(argv=("true",))
    with pytest.raises(UnknownNameError, match="namespaces"):
        run_job(Job(argv=("/bin/true",)), isolation="namespace")


def test_threads_may_share_the_launcher():
    def one(i):
        return run_job(Job(argv=(BASH, "-c", f"echo {i}; exit {i}")))

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(one, range(24)))
    assert [(r.stdout, r.exit_code) for r in results] == [
        (f"{i}\n".encode(), i) for i in range(24)]  # fmt: skip
    assert threading.active_count() < 20


def test_waiting_for_a_processor_is_not_wall_time():
    """Six spinners on few cores: each waits far longer than it may sleep, and none is ended."""
    limits = Limits(cpu_s=2, wall_s=0.6)
    job = Job(argv=(BASH, "-c", "i=0; while [ $i -lt 45000 ]; do i=$((i+1)); done"), limits=limits)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: run_job(job), range(6)))
    assert [r.limit for r in results] == [None] * 6
