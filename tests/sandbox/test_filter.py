"""The filter of system calls, number by number: what is hostile dies, what is absent is absent."""

import json
import platform
import re
import signal
import subprocess
from pathlib import Path

import pytest

from burnish.sandbox.job import Job
from burnish.sandbox.launcher import SOURCE
from burnish.sandbox.run import run_job

PYTHON = "/usr/bin/python3"
ALLOWED = (24, 39, 63, 96, 99, 100, 102, 104, 110, 121, 162, 186, 187, 247, 302, 309, 322, 434)
CALLING = """
import ctypes, json, os
call, found = ctypes.CDLL(None, use_errno=True).syscall, {}
for number in json.loads(NUMBERS):
    child = os.fork()
    if not child:
        missing = call(number, 0, 0, 0, 0, 0) < 0 and ctypes.get_errno() == 38
        os._exit(9 if missing else 0)
    status = os.waitpid(child, 0)[1]
    found[number] = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
print(json.dumps(found))
"""


def listed(name: str) -> list[int]:
    """The numbers of a list in the launcher's source, as the compiler reads them."""
    text = (SOURCE / "confine.c").read_text()
    found = re.search(rf"static const int {name}\[\] = {{(.*?)}};", text, re.DOTALL)
    assert found is not None
    program = f"#include <sys/syscall.h>\nstart {re.sub('/[*].*?[*]/', '', found[1])}"
    done = subprocess.run(
        ["cc", "-E", "-P", "-"], input=program, capture_output=True, text=True, check=True
    )
    return [int(number) for number in re.findall(r"\d+", done.stdout.rpartition("start")[2])]


def answers(numbers: list[int]) -> dict[int, int]:
    """How each call ended inside: -31 killed by the filter, 9 absent, 0 neither."""
    code = CALLING.replace("NUMBERS", repr(json.dumps(numbers)))
    done = run_job(Job(argv=(PYTHON, "-c", code)))
    assert done.ok, done.stderr
    return {int(number): ended for number, ended in json.loads(done.stdout).items()}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the allowed numbers are of x86-64")
@pytest.mark.skipif(not Path(PYTHON).exists(), reason=f"the caller inside is {PYTHON}")
def test_every_number_is_answered_as_listed(namespaces):
    hostile, absent = listed("HOSTILE"), listed("ABSENT")
    assert len(hostile) > 35 and len(absent) > 7 and not {*hostile, *absent} & {*ALLOWED}
    found = answers([*hostile, *absent, *ALLOWED])
    wanted = dict.fromkeys(hostile, -int(signal.SIGSYS)) | dict.fromkeys(absent, 9)
    assert found == wanted | dict.fromkeys(ALLOWED, 0)
