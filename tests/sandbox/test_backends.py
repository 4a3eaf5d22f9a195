"""Back ends: the same program, the same result; what is asked for is had or refused."""

import dataclasses
from pathlib import Path

import pytest

from burnish.sandbox.backends import backends
from burnish.sandbox.backends.bubblewrap import SHOWN, command_inside
from burnish.sandbox.backends.namespaces import Namespaces
from burnish.sandbox.errors import IsolationError
from burnish.sandbox.job import Job, Limits
from burnish.sandbox.judging import judge
from burnish.sandbox.probe import probe
from burnish.sandbox.problem import read_problem
from burnish.sandbox.running import choose_backend, run_job

NAMES = ("namespaces", "bubblewrap", "landlock", "none")
CODE = "import sys\nn = int(input())\nprint('é' * n)\nprint('error', file=sys.stderr)\nsys.exit(n)"
SPIN = "while True: pass"


def usable(name):
    if trouble := backends.build(name).trouble(probe()):
        pytest.skip(trouble)
    return name


def test_names():
    assert sorted(NAMES) == backends.names()


@pytest.mark.parametrize("name", NAMES)
def test_backends_agree(name, sandbox_cache):
    usable(name)
    rows = [{"stdin": "0", "stdout": ""}, {"stdin": "2", "stdout": "éé"}]
    given = {"code": CODE, "language": "python", "tests": rows, "limits": {"cpu_s": 5}}
    found = judge(read_problem(given), isolation=name)
    assert [(t.status.value, t.exit_code) for t in found.tests] == [
        ("accepted", 0), ("runtime_error", 2)]  # fmt: skip
    assert found.tests[1].stdout == "éé\n"
    assert "error" in found.tests[1].stderr


@pytest.mark.parametrize("name", NAMES)
def test_time_and_output_are_watched_everywhere(name, sandbox_cache):
    usable(name)
    for code, limits, status in [
        (SPIN, {"cpu_s": 0.5}, "time_limit"),
        ("while True: print('x' * 999)", {"output_bytes": 10000}, "output_limit"),
    ]:
        given = {"code": code, "language": "python", "tests": [{"stdout": ""}], "limits": limits}
        assert judge(read_problem(given), isolation=name).verdict == status


@pytest.mark.parametrize("name", NAMES)
def test_compiled_programs_run_everywhere(name, sandbox_cache):
    usable(name)
    given = {"code": '#include <stdio.h>\nint main(void) { puts("c"); }', "language": "c",
             "tests": [{"stdout": "c"}]}  # fmt: skip
    found = judge(read_problem(given), isolation=name)
    assert found.verdict == "accepted", (found.reason, found.tests[0].stderr)


def test_strict_is_ours_or_nothing(namespaces, monkeypatch):
    assert run_job(Job(argv=("/usr/bin/true",)), isolation="strict").ok
    crippled = dataclasses.replace(
        probe(), namespaces=False, trouble="planted", bubblewrap=None, landlock_trouble="planted"
    )
    monkeypatch.setattr("burnish.sandbox.running.probe", lambda: crippled)
    choose_backend.cache_clear()
    for isolation in ("strict", "auto", "namespaces"):
        with pytest.raises(IsolationError, match="planted") as caught:
            run_job(Job(argv=("/usr/bin/true",)), isolation=isolation)
        assert caught.value.exit_code == 3
    choose_backend.cache_clear()


@pytest.mark.parametrize(
    ("script", "says"),
    [("echo 'bwrap: No permissions' >&2; exit 1", "bwrap: No permissions"),
     ("exit 3", "bwrap ended with 3")],
)  # fmt: skip
def test_a_bwrap_that_cannot_start_programs_is_not_chosen(tmp_path, monkeypatch, script, says):
    """As in a container that has bwrap and forbids namespaces: Landlock is next."""
    planted = tmp_path / "bwrap"
    planted.write_text(f"#!/bin/sh\n{script}\n")
    planted.chmod(0o755)
    machine = dataclasses.replace(
        probe(), namespaces=False, trouble="planted", bubblewrap=planted, landlock_trouble=""
    )
    assert backends.build("bubblewrap").trouble(machine) == says
    monkeypatch.setattr("burnish.sandbox.running.probe", lambda: machine)
    choose_backend.cache_clear()
    assert isinstance(choose_backend("auto"), backends.get("landlock"))
    with pytest.raises(IsolationError, match=says):
        choose_backend("bubblewrap")
    choose_backend.cache_clear()


def test_bwrap_is_asked_for_no_more_than_the_job_needs(tmp_path):
    def words(**limits):
        job = Job(argv=("/bin/true", "x"), limits=Limits(**limits), read_only=(tmp_path / "read",))
        return " ".join(command_inside(job, Path("/opt/bwrap"), tmp_path / "work"))

    closed, opened = words(), words(network=True)
    assert "--unshare-all" in closed and "--share-net" not in closed
    assert opened == closed.replace("--new-session", "--new-session --share-net")
    assert closed.startswith("/opt/bwrap ") and closed.endswith(" -- /bin/true x")
    assert f"--ro-bind {tmp_path}/read {tmp_path}/read" in closed
    assert f" --bind {tmp_path}/work /work" in closed and closed.count(" --bind ") == 1
    for path in map(Path, SHOWN):
        bound = f"--ro-bind {path} {path}" in closed
        assert bound == (path.exists() and not path.is_symlink())
        assert (f" {path} --" in closed) == (path.exists() or path.is_symlink())


@pytest.mark.parametrize("lacking", [{"seccomp": False}, {"user_ns": False, "groups": ()}])
def test_strict_misses_each_mechanism(namespaces, monkeypatch, lacking):
    crippled = dataclasses.replace(probe(), **lacking)
    monkeypatch.setattr("burnish.sandbox.running.probe", lambda: crippled)
    choose_backend.cache_clear()
    with pytest.raises(IsolationError):
        choose_backend("strict")
    choose_backend.cache_clear()


def test_without_control_groups_the_keeper_counts(namespaces, monkeypatch):
    bare = dataclasses.replace(probe(), groups=())
    monkeypatch.setattr("burnish.sandbox.running.probe", lambda: bare)
    limits = Limits(memory_bytes=64 << 20, cpu_s=5, wall_s=10)
    eat = "x=x; while :; do x=$x$x; done"
    done = run_job(Job(argv=("/bin/bash", "-c", eat), limits=limits))
    assert done.limit == "memory_bytes" or b"cannot allocate" in done.stderr
    assert done.attestation.mechanisms["memory_bytes"] == "keeper (all processes)"
    spin = "(while :; do :; done) & (while :; do :; done) & wait"
    quick = dataclasses.replace(limits, cpu_s=0.3)
    assert run_job(Job(argv=("/bin/bash", "-c", spin), limits=quick)).limit == "cpu_s"
    hide = {"code": "import os\nos.memfd_create('x')", "tests": [{"stdout": ""}]}
    found = judge(read_problem({**hide, "language": "python"}))
    assert "not implemented" in found.tests[0].stderr


def test_control_groups_are_used_unless_they_are_off(namespaces):
    groups = dataclasses.replace(probe(), groups=("/sys/fs/cgroup",))
    assert Namespaces().seen(groups) is groups
    assert Namespaces(groups=False).seen(groups) == dataclasses.replace(groups, groups=())
