"""The launcher: compiled once, one for all ways to isolate, and leaving nothing behind."""

import gc
import os
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fixtures.machine import still_running

from burnish.sandbox import launcher, waiting
from burnish.sandbox.cgroups import ROOT, group_parents, is_unified, left_behind, sweep
from burnish.sandbox.errors import IsolationError
from burnish.sandbox.job import Job, Limits
from burnish.sandbox.launcher import compiled_launcher, launcher_command
from burnish.sandbox.probe import probe
from burnish.sandbox.running import run_job
from burnish.sandbox.waiting import WAITING


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_compiled_under_the_hash_of_its_source(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "cache_folder", lambda: tmp_path)
    path = compiled_launcher()
    assert path is not None
    assert os.access(path, os.X_OK)
    before = path.stat().st_mtime_ns
    assert compiled_launcher() == path
    assert path.stat().st_mtime_ns == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    path.chmod(0o777)  # anyone could have written it: made anew
    assert compiled_launcher() == path
    assert path.stat().st_mtime_ns != before


def test_no_compiler_no_launcher(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "cache_folder", lambda: tmp_path)
    monkeypatch.setenv("CC", "/no/such/compiler")
    assert compiled_launcher() is None
    monkeypatch.setenv("CC", "/bin/false")
    assert compiled_launcher() is None
    launcher_command.cache_clear()
    with pytest.raises(IsolationError, match=r"got '/bin/false'\. apt-get install gcc"):
        launcher_command()
    launcher_command.cache_clear()


def test_what_unshare_can_the_launcher_can():
    """A launcher that is broken must not pass for a machine that forbids namespaces."""
    tool, user = shutil.which("unshare"), ["--user", "--map-root-user"] * bool(os.geteuid())
    if not tool or not shutil.which("cc"):
        pytest.skip("needs unshare(1) and a C compiler")
    flags = ["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", *user]
    words = [tool, *flags, "mount", "-t", "tmpfs", "none", "/mnt"]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("this machine forbids namespaces")
    assert probe().trouble == ""


ROWS = [
    ("cat; echo e >&2; exit 5", {}, (5, None, None)),
    ("kill -SEGV $$", {}, (None, 11, None)),
    ("while :; do :; done", {"cpu_s": 0.3}, (None, 9, "cpu_s")),
    ("sleep 30", {"wall_s": 0.3}, (None, 9, "wall_s")),
    ("yes", {"output_bytes": 1000}, (None, 9, "output_bytes")),
    ("head -c 300000 /dev/zero", {}, (0, None, None)),
    ("[ $(ulimit -s) = unlimited ]", {}, (0, None, None)),
    ("setsid sleep 4323 > /dev/null & (setsid sleep 4323 &) ; exit 0", {}, (0, None, None)),
]


@pytest.mark.parametrize(("script", "limits", "expected"), ROWS)
@pytest.mark.parametrize("isolation", ["none", "landlock", "namespaces"])
def test_limits_hold_under_each_way(isolation, script, limits, expected, sandbox_cache):
    if isolation == "namespaces" and probe().trouble:
        pytest.skip(f"no namespaces: {probe().trouble}")
    if isolation == "landlock" and probe().landlock_trouble:
        pytest.skip(f"no Landlock: {probe().landlock_trouble}")
    limits = Limits(**{"cpu_s": 5, "wall_s": 5, **limits})
    job = Job(argv=("/bin/bash", "-c", script), stdin=b"in", limits=limits)
    done = run_job(job, isolation=isolation)
    assert (done.exit_code, done.signal, done.limit) == expected
    assert not done.failure
    if script.startswith("cat"):
        assert (done.stdout, done.stderr) == (b"in", b"e\n")
    if script.startswith("head"):
        assert len(done.stdout) == 300000
    assert not still_running("sleep 4323")


def test_a_killed_launcher_takes_its_job_along(namespaces, counted):
    job = Job(argv=("/bin/bash", "-c", "setsid sleep 4324 & sleep 4324"), limits=Limits(wall_s=60))
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run_job, job)
        while not still_running("sleep 4324"):
            assert not future.done(), future.result()
            time.sleep(0.01)
        children = {
            child
            for task in Path("/proc/self/task").iterdir()
            for child in (task / "children").read_text().split()
        }
        ended = [int(pid) for pid in children & OWN]  # others are none of ours
        for child in ended:
            os.kill(child, signal.SIGKILL)
        done = future.result()
    assert done.failure == "the launcher died"
    assert (done.exit_code, done.signal) == (None, None)
    for _ in range(200):  # the kernel ends the rest
        if not still_running("sleep 4324"):
            break
        time.sleep(0.01)
    assert not still_running("sleep 4324")
    names = {f"burnish-{number}" for number in ended}
    for _ in range(200):
        sweep()
        if not (left := names & {path.name for path in left_behind()}):
            break
        time.sleep(0.01)
    assert not left


def state():
    """Descriptors, children, mounts, and what stands under our name, once all launchers left."""
    WAITING.dismiss()
    gc.collect()
    ours = {str(os.getpid()), *OWN}
    groups = [p for c in ("", "memory") for p in (ROOT / c).glob("burnish-*")]
    groups = [p for p in groups if p.name.removeprefix("burnish-") in ours]
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    mounts = len(Path("/proc/self/mounts").read_text().splitlines())
    temporary = len(list(Path(tempfile.gettempdir()).glob("burnish-*")))
    return len(os.listdir("/proc/self/fd")), len(children), mounts, len(groups), temporary


OWN = set()  # the processes of all launchers that these tests started


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """Know every launcher, and keep the work folders apart from those of others."""
    start = waiting._start

    def noted(groups):
        launcher = start(groups)
        OWN.add(str(launcher.pid))
        return launcher

    monkeypatch.setattr(waiting, "_start", noted)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    WAITING.dismiss()


def check_leaks(repeats, job=None, isolation="auto"):
    job = job or Job(argv=("/usr/bin/true",), files={"a": b"1"})
    run_job(job, isolation=isolation)
    before = state()
    for _ in range(repeats):
        run_job(job, isolation=isolation)
    for _ in range(50):  # groups of others that died just now are gone soon
        if state() == before:
            break
        time.sleep(0.05)
    assert state() == before


def test_nothing_leaks(namespaces, counted):
    check_leaks(100)
    check_leaks(10, Job(argv=("/bin/bash", "-c", "sleep 9 & yes"), limits=Limits(output_bytes=99)))
    check_leaks(3, isolation="none")


@pytest.mark.slow
def test_ten_thousand_jobs_leak_nothing(namespaces, counted):
    check_leaks(10_000)


def test_planted_leak(namespaces, counted):
    kept = []
    job = Job(argv=("/usr/bin/true",))
    with pytest.raises(AssertionError):
        before = state()
        kept.append(os.open(os.devnull, os.O_RDONLY))
        run_job(job)
        assert state() == before
    os.close(kept[0])


def test_groups_of_the_dead_are_swept(tmp_path):
    for name in ("memory", ""):
        (tmp_path / name / "burnish-999999999").mkdir(parents=True)
    (tmp_path / "memory" / f"burnish-{os.getpid()}").mkdir()
    (tmp_path / "memory" / "other").mkdir()
    assert len(left_behind(tmp_path)) == 2
    assert sweep(tmp_path) == 2
    assert sorted(p.name for p in (tmp_path / "memory").iterdir()) == [
        f"burnish-{os.getpid()}", "other"]  # fmt: skip


def test_groups_of_both_versions_are_found(tmp_path):
    assert group_parents(tmp_path) == ()
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "cgroup.procs").touch()
    assert group_parents(tmp_path) == (str(tmp_path / "memory"),)
    assert not is_unified(group_parents(tmp_path))
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    (tmp_path / "cgroup.subtree_control").write_text("cpu")
    assert group_parents(tmp_path) == ()
    (tmp_path / "cgroup.subtree_control").write_text("memory pids")
    assert is_unified(group_parents(tmp_path))
