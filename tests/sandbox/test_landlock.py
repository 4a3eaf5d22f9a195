"""Where namespaces are forbidden: Landlock, the filter and the limits hold, and are attested."""

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fixtures.attacking import attack
from fixtures.escapes import ATTACKS

from burnish.sandbox.job import MIB, NOT_ENFORCED, Job, Limit, Limits
from burnish.sandbox.judging import judge
from burnish.sandbox.languages.language import SYSTEM_PATH
from burnish.sandbox.probe import probe
from burnish.sandbox.problem import read_problem
from burnish.sandbox.running import run_job

NAMES_ONLY = {"read shadow and keys", "see processes of the machine"}  # that they exist, no more
BURST = "fill the disk"  # between two looks of the keeper: see test_a_burst_is_found_at_the_end
FORBIDS = """
import ctypes, json, platform, struct, sys
def rule(code, jt, jf, k): return struct.pack("HBBI", code, jt, jf, k)
number = {"x86_64": (272, 56, 308), "aarch64": (97, 220, 268)}[platform.machine()]
rules = [rule(0x20, 0, 0, 0)]
for call in (number[0], number[2]):  # unshare, setns
    rules += [rule(0x15, 0, 1, call), rule(0x06, 0, 0, 0x00050001)]
rules += [rule(0x15, 0, 3, number[1]), rule(0x20, 0, 0, 16), rule(0x45, 0, 1, 0x7e020000),
          rule(0x06, 0, 0, 0x00050001), rule(0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(rules))
fprog = struct.pack("HxxxxxxQ", len(rules), ctypes.addressof(program))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, fprog, 0, 0) == 0
sys.path[:0] = [PATH]
from burnish.sandbox.judging import judge
from burnish.sandbox.problem import read_problem
from burnish.sandbox.probe import probe
given = {"code": "print(open('/etc/shadow').read())", "language": "python",
         "tests": [{"stdin": "", "stdout": ""}]}
print(json.dumps([probe().trouble, judge(read_problem(given)).to_dict(),
                  judge(read_problem({**given, "code": "print(1)",
                                      "tests": [{"stdout": "1"}]})).to_dict()]))
"""


@pytest.fixture
def landlock(sandbox_cache):
    """Skip where this machine has no Landlock."""
    if trouble := probe().landlock_trouble:
        pytest.skip(f"no Landlock: {trouble}")


def bash(script, **limits):
    limits = Limits(**{"cpu_s": 5, "wall_s": 5, **limits})
    return run_job(Job(argv=("/bin/bash", "-c", script), limits=limits), isolation="landlock")


def places(tmp_path):
    (tmp_path / "secret").write_text("the secret")
    tmp_path.chmod(0o755)
    return {"secret": str(tmp_path / "secret"), "outside": str(tmp_path), "pid": 999999999,
            "port": 9, "abstract": "nobody-listens"}  # fmt: skip


def broken_by(attacked):
    return {
        n: said
        for n in ATTACKS
        if n not in {*NAMES_ONLY, BURST} and "BROKEN" in (said := attacked(n))
    }


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the attacks are of x86-64")
def test_no_attack_succeeds_without_namespaces(landlock, tmp_path):
    where = places(tmp_path)
    assert broken_by(lambda name: attack(name, where, "landlock")[0]) == {}


@pytest.mark.parametrize("after", ["", "; sleep 4"])
def test_a_burst_is_found_at_the_end(after, landlock):
    """What is written between two looks is not held up, but the job has gone over its limit."""
    done = bash(f"head -c 9M /dev/zero > a{after}", disk_bytes=8 << 20)
    assert (done.limit, done.exit_code, done.ok) == (Limit.DISK, None, False)
    assert bash(f"head -c 7M /dev/zero > a{after and '; true'}", disk_bytes=8 << 20).ok


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the attacks are of x86-64")
def test_planted_open_door(landlock, tmp_path):
    """Without any isolation the same attacks do succeed."""
    where = places(tmp_path)
    for name in ("read a file by its path", "follow a symbolic link out"):
        assert "BROKEN" in attack(name, where, "none")[0]


def test_a_container_that_forbids_namespaces_still_judges(landlock, tmp_path):
    source = str(Path(__file__).resolve().parents[2] / "src")
    command = [sys.executable, "-c", FORBIDS.replace("PATH", repr(source))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    trouble, spying, honest = json.loads(done.stdout)
    assert "namespaces" in trouble
    assert (honest["verdict"], spying["verdict"]) == ("accepted", "runtime_error")
    attested = honest["attestation"]
    assert attested["backend"] == "landlock"
    assert attested["files"].startswith("Landlock ABI")
    assert NOT_ENFORCED not in attested.values()


@pytest.mark.parametrize(
    ("script", "limits", "limit"),
    [
        ("yes > f", {"disk_bytes": MIB, "file_bytes": 99 * MIB}, Limit.DISK),
        ("f() { f | f & }; f; sleep 9", {"num_processes": 20}, Limit.PROCESSES),
        ("x=x; while :; do x=$x$x; done", {"memory_bytes": 64 * MIB}, Limit.MEMORY),
        ("while :; do :; done", {"cpu_s": 0.3}, Limit.CPU),
        ("sleep 30", {"wall_s": 0.3}, Limit.WALL),
        ("yes", {"output_bytes": 1000}, Limit.OUTPUT),
    ],
)
def test_limits_hold(landlock, script, limits, limit):
    done = bash(script, **limits)
    assert done.limit is limit or b"cannot allocate" in done.stderr
    assert not done.failure


@pytest.mark.parametrize(
    "script",
    [
        "cat /etc/shadow", "ls /root", "ls /home", "echo x > /tmp/planted", "ls /proc/1",
        "exec 5<>/dev/udp/1.1.1.1/53", "exec 5<>/dev/tcp/127.0.0.1/9", "mkdir /usr/planted",
        "kill -0 $PPID", "chmod 777 /usr/bin/env", "unshare -U true", "mount -t tmpfs x .",
    ],
)  # fmt: skip
def test_what_is_outside_stays_outside(landlock, script):
    done = bash(f"{script} && echo BROKEN")
    assert b"BROKEN" not in done.stdout
    assert not done.failure
    assert not Path("/tmp/planted").exists()


def test_programs_work_as_usual(landlock):
    code = "import os, tempfile\nopen('a', 'w').write('x')\nwith tempfile.TemporaryFile() as f: f.write(b'y')\nprint(os.listdir())"  # noqa: E501
    given = {"code": code, "language": "python", "tests": [{"stdout": "['main.py', 'a']"}],
             "comparator": "unordered:words=true"}  # fmt: skip
    found = judge(read_problem(given), isolation="landlock")
    assert found.verdict == "accepted", (found.tests[0].stdout, found.tests[0].stderr)
    guarded = {"code": "def f(x): return x", "language": "python", "asserts": "assert f(1) == 1"}
    assert judge(read_problem(guarded), isolation="landlock").verdict == "accepted"
    cheat = {**guarded, "code": "import os\nos._exit(0)"}
    assert judge(read_problem(cheat), isolation="landlock").verdict == "security_violation"


def test_nobody_is_confined_too(landlock, tmp_path):
    python = "/usr/bin/python3"
    if not shutil.which("setpriv") or not Path(python).exists():
        pytest.skip("needs setpriv and /usr/bin/python3")
    root, here = Path(__file__).resolve().parents[2], tmp_path / "copy"
    shutil.copytree(root / "src", here, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (tmp_path, *tmp_path.parents):  # pytest's are for their owner only
        if folder.name.startswith(("pytest-", "popen-")) or folder == tmp_path:
            folder.chmod(0o755)
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from burnish.sandbox.job import Job\nfrom burnish.sandbox.running import run_job\n"
        "done = run_job(Job(argv=('/bin/bash', '-c', 'id -u; ls /etc; echo x > f; cat f')),"
        " isolation='landlock')\n"
        "print(done.stdout, done.failure, done.attestation.mechanisms['num_processes'])"
    )
    command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", python, "-c",
               code, str(here)]  # fmt: skip
    env = {"PATH": SYSTEM_PATH, "BURNISH_CACHE": str(cache)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.stdout.startswith("b'65534\\nx\\n'"), (done.stdout, done.stderr)


BOMB = "f() { f | f & }; f; sleep 9"


def bombs() -> int:
    """Processes of the bomb that are left, whoever owns them."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += b"f() { f | f & }; f" in path.read_bytes()
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a job a user of its own")
def test_a_bomb_ends_with_whoever_asked(landlock):
    """Whoever asked is killed in the middle: the keeper outlives its supervisor and kills all."""
    code = (
        "from burnish.sandbox.job import Job, Limits\n"
        "from burnish.sandbox.running import run_job\n"
        f"run_job(Job(argv=('/bin/bash', '-c', {BOMB!r}), limits=Limits(num_processes=20)),"
        " isolation='landlock')\n"
    )
    asking = subprocess.Popen([sys.executable, "-"], stdin=subprocess.PIPE, text=True)
    asking.stdin.write(code)  # not as an argument: it would count as a bomb
    asking.stdin.close()
    end = time.monotonic() + 20
    while not bombs() and asking.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    asking.kill()
    asking.wait()
    most, end = 0, time.monotonic() + 60
    while bombs() and time.monotonic() < end:
        most = max(most, bombs())
        time.sleep(0.05)
    assert bombs() == 0 and most <= 2 * 20 + 16
