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
from burnish.sandbox.running import run_job

PYTHON = "/usr/bin/python3"
# By hand from Docker's default profile (docs.docker.com/engine/security/seccomp), x86-64: what it
# denies to everybody or gives only to those who administer, and is no mere tuning of memory.
DENIED = {
    "acct": 163,
    "add_key": 248,
    "bpf": 321,
    "clock_adjtime": 305,
    "clock_settime": 227,
    "delete_module": 176,
    "finit_module": 313,
    "fsconfig": 431,
    "fsmount": 432,
    "fsopen": 430,
    "fspick": 433,
    "init_module": 175,
    "ioperm": 173,
    "iopl": 172,
    "kcmp": 312,
    "kexec_file_load": 320,
    "kexec_load": 246,
    "keyctl": 250,
    "mount": 165,
    "mount_setattr": 442,
    "move_mount": 429,
    "open_by_handle_at": 304,
    "open_tree": 428,
    "pidfd_getfd": 438,
    "pivot_root": 155,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "ptrace": 101,
    "quotactl": 179,
    "reboot": 169,
    "request_key": 249,
    "setdomainname": 171,
    "sethostname": 170,
    "setns": 308,
    "settimeofday": 164,
    "swapoff": 168,
    "swapon": 167,
    "syslog": 103,
    "umount2": 166,
    "unshare": 272,
    "vhangup": 153,
    "adjtimex": 159,
    "chroot": 161,
}
MISSING = {  # fails as if the kernel had none
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "perf_event_open": 298, "userfaultfd": 323, "name_to_handle_at": 303, "fanotify_init": 300,
    "clone3": 435, "modify_ldt": 154,
}  # fmt: skip
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
    assert sorted(DENIED.values()) == sorted(hostile)
    assert sorted(MISSING.values()) == sorted(absent)
    assert len(hostile) > 35 and len(absent) > 7 and not {*hostile, *absent} & {*ALLOWED}
    found = answers([*hostile, *absent, *ALLOWED])
    wanted = dict.fromkeys(hostile, -int(signal.SIGSYS)) | dict.fromkeys(absent, 9)
    assert found == wanted | dict.fromkeys(ALLOWED, 0)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are of x86-64")
@pytest.mark.skipif(not Path(PYTHON).exists(), reason=f"the caller inside is {PYTHON}")
def test_planted_call_that_is_let_through(namespaces):
    """Were one of the denied calls allowed, the oracle above would see it."""
    found = answers([*DENIED.values(), *MISSING.values()])
    wrong = {**found, DENIED["unshare"]: 0}
    wanted = dict.fromkeys(DENIED.values(), -int(signal.SIGSYS))
    assert {n: found[n] for n in DENIED.values()} == wanted
    assert {n: wrong[n] for n in DENIED.values()} != wanted


ARGUMENTS = """
import ctypes, errno, fcntl, os, signal, socket
libc = ctypes.CDLL(None, use_errno=True)
def ended(call):
    child = os.fork()
    if not child:
        try:
            call()
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
def clone(flags):
    if libc.syscall(56, flags | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)
print([ended(lambda flag=flag: clone(flag)) for flag in
       (0x10000000, 0x20000000, 0x20000, 0x40000000, 0x8000000, 0x4000000, 0x2000000, 0)])
print([ended(lambda f=f: socket.socket(f, socket.SOCK_DGRAM)) for f in (1, 2, 10)],
      [ended(lambda f=f: socket.socket(f, socket.SOCK_RAW)) == errno.EAFNOSUPPORT
       for f in (17, 29, 38, 40)])
print(ended(lambda: fcntl.ioctl(0, 0x5412, b"x")) == errno.EPERM)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are of x86-64")
@pytest.mark.skipif(not Path(PYTHON).exists(), reason=f"the caller inside is {PYTHON}")
def test_arguments_decide_too(namespaces):
    """New namespaces by clone kill; odd families of sockets and typing into terminals fail."""
    done = run_job(Job(argv=(PYTHON, "-c", ARGUMENTS)))
    assert done.ok, done.stderr
    clones, sockets, typed = done.stdout.decode().splitlines()
    assert json.loads(clones) == [-31] * 7 + [0]
    assert sockets == "[0, 0, 0] [True, True, True, True]"
    assert typed == "True"
