"""Namespaces by ctypes, for `plain.py`: the root of a job, and the last steps before it.

The same walls as those of the C launcher, but for the filter of system calls and Landlock; what is
missing is missing in the report, too.
"""

import ctypes
import os
import platform
import resource
import stat
import struct
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
NEW_MOUNT, NEW_UTS, NEW_IPC, NEW_USER, NEW_PROCESS, NEW_NETWORK = (
    0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)  # fmt: skip
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
DEVICES = ("null", "zero", "full", "random", "urandom")
TEXTS = {
    "/etc/passwd": "root:x:0:0::/:/bin/false\njob:x:1000:1000::/work:/bin/sh\n",
    "/etc/group": "root:x:0:\njob:x:1000:\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
}
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE = 24, 38, 4


def enter_namespaces(network):
    """Leave the caller's namespaces; a process forked after this is pid 1. Raises: OSError."""
    user, group = os.geteuid(), os.getegid()
    flags = NEW_USER | NEW_MOUNT | NEW_PROCESS | NEW_IPC | NEW_UTS
    _check(LIBC.unshare(flags | (0 if network else NEW_NETWORK)), "namespaces")
    _map(f"0 {user} 1", f"0 {group} 1")


def build_root(binds, disk_bytes):
    """A read-only root with what the tool chain needs, and a capped work disk. Raises: OSError."""
    _mount(None, "/", None, REC | PRIVATE)
    _mount("root", "/tmp", "tmpfs", NOSUID | NODEV, "size=4m,mode=0755")
    os.chdir("/tmp")
    os.mkdir(".old", 0o700)
    _check(LIBC.syscall(PIVOT_ROOT[platform.machine()], b".", b".old"), "pivot_root")
    os.chdir("/")
    _bind("/usr", "/usr")
    for name in SYSTEM:
        old = Path(f"/.old{name}")
        if old.is_symlink():
            os.symlink(os.readlink(old), name)
        elif old.exists():
            _bind(name, name)
    os.mkdir("/etc")
    for path in ("/etc/ld.so.cache", "/etc/alternatives"):
        if os.path.exists(f"/.old{path}"):
            _bind(path, path)
    for path, text in TEXTS.items():
        Path(path).write_text(text)
    for outside, inside in binds:
        _bind(outside, inside)
    _show_devices()
    _make_disk(disk_bytes)


def finish_root():
    """The rest, as pid 1: its own /proc, and no way back. Raises: OSError."""
    os.mkdir("/proc")
    _mount("proc", "/proc", "proc", NOSUID | NODEV | NOEXEC)
    _check(LIBC.umount2(b"/.old", 2), "old root")
    os.rmdir("/.old")
    _mount(None, "/", None, BIND | REMOUNT | RDONLY | NOSUID | NODEV)
    LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def confine(num_processes):
    """The program's own user namespace, without capabilities. Raises: OSError."""
    LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    _check(LIBC.unshare(NEW_USER), "user namespace of the program")
    _map("1000 0 1", "1000 0 1")
    resource.setrlimit(resource.RLIMIT_NPROC, (num_processes, num_processes))
    for number in range(64):
        LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _check(LIBC.capset(header, none), "capabilities")
    _check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def copy_out(source, target, bytes_left):
    """Copy plain files and folders, by descriptor; returns how many bytes may still come."""
    for name in os.listdir(source):
        mode = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        if stat.S_ISDIR(mode):
            os.mkdir(name, 0o755, dir_fd=target)
            inner = os.open(name, flags | os.O_DIRECTORY, dir_fd=source)
            outer = os.open(name, flags | os.O_DIRECTORY, dir_fd=target)
            bytes_left = copy_out(inner, outer, bytes_left)
            os.close(inner)
            os.close(outer)
        elif stat.S_ISREG(mode):
            writing = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            out = os.open(name, writing, 0o755 if mode & 0o100 else 0o644, dir_fd=target)
            with os.fdopen(os.open(name, flags, dir_fd=source), "rb") as file:
                while bytes_left > 0 and (block := file.read(min(1 << 16, bytes_left))):
                    bytes_left -= os.write(out, block)
            os.close(out)
    return bytes_left


def _show_devices():
    os.mkdir("/dev")
    for name in DEVICES:
        Path(f"/dev/{name}").touch()
        _mount(f"/.old/dev/{name}", f"/dev/{name}", None, BIND)
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(f"/proc/self/{target}", f"/dev/{name}")


def _make_disk(disk_bytes):
    os.mkdir("/.disk")
    options = f"size={disk_bytes},nr_inodes={1024 + disk_bytes // 8192},mode=0755"
    _mount("disk", "/.disk", "tmpfs", NOSUID | NODEV, options)
    for number, place in enumerate(("/work", "/tmp", "/dev/shm")):
        part = f"/.disk/{number}"
        os.mkdir(part)
        os.makedirs(place, exist_ok=True)
        _mount(part, place, None, BIND)
    _check(LIBC.umount2(b"/.disk", 2), "work disk")


def _bind(outside, inside):
    source = f"/.old{outside}"
    if os.path.isdir(source):
        os.makedirs(inside, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(inside), exist_ok=True)
        Path(inside).touch()
    _mount(source, inside, None, BIND | REC)
    _mount(None, inside, None, BIND | REMOUNT | RDONLY | NOSUID | NODEV)


def _mount(source, target, kind, flags, options=None):
    texts = [None if t is None else os.fsencode(t) for t in (source, target, kind, options)]
    done = LIBC.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])
    _check(done, f"mount {target}")


def _map(user, group):
    for name, text in (("setgroups", "deny"), ("uid_map", user), ("gid_map", group)):
        Path(f"/proc/self/{name}").write_text(text)


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
