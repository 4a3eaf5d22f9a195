"""Attacks from inside, as root and as nobody: none succeeds."""

import ctypes
import json
import os
import platform
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from fixtures.attacking import attack
from fixtures.escapes import ATTACKS

from burnish.sandbox.languages.language import SYSTEM_PATH

NOBODY = 65534
AS_NOBODY = """
import json, sys
sys.path[:0] = [{path!r}]
from fixtures.attacking import attack
names = json.loads(sys.argv[1])
print(json.dumps({{name: attack(name, json.loads(sys.argv[2]), "namespaces") for name in names}}))
"""


@pytest.fixture
def places(namespaces, tmp_path, monkeypatch):
    """What an attack may reach for; it all exists and is open to everyone on this machine."""
    if platform.machine() != "x86_64":
        pytest.skip("the attacks name system calls by their numbers on x86-64")
    shown = tmp_path
    while shown != shown.parent:  # pytest closes its folders to others
        shown.chmod(shown.stat().st_mode | 0o055) if shown.owner() == "root" else None
        shown = shown.parent
        if shown == Path("/tmp"):
            break
    tmp_path.chmod(0o777)
    (tmp_path / "secret").write_text("the secret")
    monkeypatch.setenv("PLANTED_SECRET", "planted secret")
    abstract = f"burnish-{os.getpid()}"
    sleeper = subprocess.Popen(["sleep", "600"], preexec_fn=_as_nobody)
    libc = ctypes.CDLL(None)
    segment = libc.shmget(0x5EED, 4096, 0o1000 | 0o666)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as named,
    ):
        unix.bind("\0" + abstract)
        unix.listen()
        named.bind(str(tmp_path / "socket"))
        named.listen()
        (tmp_path / "socket").chmod(0o777)
        yield {
            "secret": str(tmp_path / "secret"), "outside": str(tmp_path), "pid": sleeper.pid,
            "port": server.getsockname()[1], "abstract": abstract,
        }  # fmt: skip
    libc.shmctl(segment, 0, None)
    assert sleeper.poll() is None, "an attack killed a process of this machine"
    assert not (tmp_path / "planted").exists()
    sleeper.kill()
    sleeper.wait()


def _as_nobody():
    if os.geteuid() == 0:
        os.setuid(NOBODY)


def check_attacks(attacked):
    broken = {n: said for n in ATTACKS if "BROKEN" in (said := attacked(n)[0])}
    assert broken == {}
    failed = {n: why for n in ATTACKS if (why := attacked(n)[1])}
    assert failed == {}


def test_the_suite_is_large_enough():
    assert len(ATTACKS) >= 40


def test_no_attack_succeeds(places):
    results = {name: attack(name, places, "namespaces") for name in ATTACKS}
    check_attacks(results.get)


def test_no_attack_succeeds_as_nobody(places, tmp_path, sandbox_cache):
    if os.geteuid() != 0:
        pytest.skip("the tests run unprivileged already")
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    here = tmp_path / "copy"
    root = Path(__file__).resolve().parents[2]
    shutil.copytree(root / "src", here, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "tests" / "fixtures", here / "fixtures")
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    python = "/usr/bin/python3"
    recent = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    if not Path(python).exists() or subprocess.run(recent, check=False).returncode:
        pytest.skip("nobody needs a Python of at least 3.11 as /usr/bin/python3")
    command = [
        "setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
        "--bounding-set=-all", python, "-c", AS_NOBODY.format(path=str(here)),
        json.dumps(list(ATTACKS)), json.dumps(places),
    ]  # fmt: skip
    env = {"PATH": SYSTEM_PATH, "BURNISH_CACHE": str(cache), "PLANTED_SECRET": "planted secret"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=here)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    check_attacks(results.get)


def test_planted_open_door(places):
    """Without isolation the same attacks do succeed: the suite would notice."""
    harmless = [
        "read a file by its path", "follow a symbolic link out", "see processes of the machine",
        "connect to the machine", "an abstract socket", "a socket by its path",
    ]  # fmt: skip
    for name in harmless:
        assert "BROKEN" in attack(name, places, "none")[0], name


def test_stopping_or_starving_the_keeper_only_costs_time(places):
    start = time.monotonic()
    attack("stop the keeper", places, "namespaces")
    attack("time out the reaper", places, "namespaces")
    assert time.monotonic() - start < 60
