"""The launcher where no compiler is: slower, and without a filter of system calls.

It reads the same description and writes the same report as the C program. It is run as a script,
without burnish.
"""

import contextlib
import ctypes
import mmap
import os
import resource
import runpy
import select
import signal
import struct
import time
import types
from pathlib import Path

SPEC_FD, RESULT_FD = 3, 4
CPU, WALL, MEMORY, OUTPUT = 1, 2, 3, 4
HARD_FACTOR = 10
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
REPORT_BYTES = 4 << 20
ROOT = types.SimpleNamespace(
    **runpy.run_path(os.path.join(os.path.dirname(__file__), "plain_root.py"))
)


class _Spec:
    """The description of the job."""

    def __init__(self, data):
        self.argv, self.env, self.options, self.binds, self.files, at = [], {}, {}, [], [], 0
        while at < len(data):
            size = struct.unpack_from("=I", data, at + 1)[0]
            kind, text = data[at : at + 1], data[at + 5 : at + 4 + size]
            at += 5 + size
            if kind == b"A":
                self.argv.append(text)
            elif kind == b"E":
                name, _, value = text.partition(b"=")
                self.env[name] = value
            elif kind == b"B":
                outside, _, inside = text.partition(b"\0")
                self.binds.append((os.fsdecode(outside), os.fsdecode(inside)))
            elif kind in (b"F", b"X"):
                name, _, content = text.partition(b"\0")
                self.files.append((os.fsdecode(name), content, kind == b"X"))
            elif kind == b"O":
                name, _, value = text.partition(b"\0")
                self.options[name.decode()] = value.decode()

    def number(self, name):
        return float(self.options.get(name, "0"))


def _processes():
    """Parent, processor seconds and resident bytes of every process here."""
    found, ticks, page = {}, os.sysconf("SC_CLK_TCK"), mmap.PAGESIZE
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            rest = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        cpu_s = sum(int(x) for x in rest[11:15]) / ticks
        found[int(entry)] = (int(rest[1]), cpu_s, int(rest[21]) * page)
    return found


def _descendants():
    found, ours = _processes(), {os.getpid()}
    while more := {p for p, (parent, _, _) in found.items() if parent in ours} - ours:
        ours |= more
    return {p: found[p] for p in ours - {os.getpid()}}


def _kill_all():
    for _ in range(10000):
        alive = _descendants()
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return


def _reaped():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def _bound(what, value):
    hard = resource.getrlimit(what)[1]
    value = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
    resource.setrlimit(what, (value, value))


def _isolate(spec, status_pipe, fds):
    """Build the walls; what returns is the program. Others stay here as its keeper."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    keep = os.open(spec.options["keep"], os.O_RDONLY) if "keep" in spec.options else None
    ROOT.enter_namespaces(spec.number("network"))
    ROOT.build_root(spec.binds, int(spec.number("disk_bytes")))
    keeper = os.fork()
    if keeper:
        os.waitpid(keeper, 0)
        os._exit(0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    ROOT.finish_root()
    program = os.fork()
    if not program:
        os.chdir("/work")
        for name, content, executable in spec.files:
            os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
            Path(name).write_bytes(content)
            os.chmod(name, 0o755 if executable else 0o644)
        return
    for fd in fds:
        os.close(fd)
    status = None
    while status is None:
        pid, found = os.wait()
        status = found if pid == program else None
    os.write(status_pipe, struct.pack("=i", status))
    with contextlib.suppress(ProcessLookupError):  # nobody is left
        os.kill(-1, signal.SIGKILL)
    if keep is not None:
        ROOT.copy_out(os.open("/work", os.O_RDONLY), keep, int(spec.number("disk_bytes")))
    os._exit(0)


def _run(spec, status_pipe, out, err, report):
    if spec.number("namespaces"):
        _isolate(spec, status_pipe, [fd for fd in (out, err, report) if fd is not None])
    os.dup2(out, 1)
    os.dup2(err, 2)
    if report is not None:
        os.dup2(report, 3)
    os.setsid()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if not spec.number("namespaces"):
        os.chdir(spec.options["folder"])
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_CPU, spec.number("cpu_s") + 2)
    _bound(resource.RLIMIT_FSIZE, spec.number("file_bytes"))
    _bound(resource.RLIMIT_NOFILE, spec.number("num_files"))
    if spec.number("data"):
        _bound(resource.RLIMIT_DATA, 2 * spec.number("memory_bytes") + (256 << 20))
    if spec.number("namespaces"):
        ROOT.confine(int(spec.number("num_processes")))
    os.execve(spec.argv[0], spec.argv, spec.env)


class _Supervision:
    """Drains the pipes and watches the limits until the program ends, or has to."""

    def __init__(self, spec, program, fds):
        self.spec, self.program, self.limit, self.status = spec, program, 0, None
        self.names = dict(zip(fds, ("stdout", "stderr", "report"), strict=False))
        self.data = {name: bytearray() for name in ("stdout", "stderr", "report")}
        self.truncated = dict.fromkeys(self.data, 0)
        self.start, self.cpu_s, self.peak = time.monotonic(), 0.0, 0

    def drain(self, timeout_ms):
        poll = select.poll()
        for fd in self.names:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(timeout_ms):
            block, name = os.read(fd, 1 << 16), self.names[fd]
            if not block:
                del self.names[fd]
                continue
            used = len(self.data["stdout"]) + len(self.data["stderr"])
            room = int(self.spec.number("output_bytes")) - used
            if name == "report":
                room = REPORT_BYTES - len(self.data[name])
            self.data[name] += block[: max(room, 0)]
            if len(block) > room:
                self.truncated[name] = 1
                self.limit = self.limit or (OUTPUT if name != "report" else 0)

    def look(self):
        found = _descendants()
        own = {self.program} if self.spec.number("namespaces") else set()  # and its only child
        rows = [row for pid, row in found.items() if not {pid, row[0]} & own]
        reaped_s, peak = _reaped()
        self.cpu_s = max(self.cpu_s, sum(r[1] for r in rows) + reaped_s)
        memory = sum(r[2] for r in rows)
        self.peak = max(self.peak, memory, peak)
        elapsed = time.monotonic() - self.start
        if self.cpu_s > self.spec.number("cpu_s"):
            self.limit = self.limit or CPU
        elif memory > self.spec.number("memory_bytes"):
            self.limit = self.limit or MEMORY
        elif elapsed > self.spec.number("wall_s"):
            self.limit = self.limit or WALL

    def watch(self):
        while not self.limit and self.status is None:
            self.drain(20)
            self.look()
            while self.status is None:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                self.status = status if pid == self.program else None
        wall_s = time.monotonic() - self.start
        _kill_all()
        while self.names:
            self.drain(0)
        reaped_s, peak = _reaped()
        self.cpu_s, self.peak = max(self.cpu_s, reaped_s), max(self.peak, peak)
        return wall_s


def _report(values, data, truncated):
    values |= {name: f"{len(text)},{truncated[name]}" for name, text in data.items()}
    header = "".join(f"{name}={value}\n" for name, value in values.items()).encode() + b"\n"
    with os.fdopen(RESULT_FD, "wb") as file:
        file.write(header + b"".join(data.values()))


def _walls(spec):
    """What held for this job, as the report says it; root is not counted in a namespace."""
    inside = int(bool(spec.number("namespaces")))
    return {"user_ns": inside, "capabilities": inside,
            "limited_processes": int(inside and os.geteuid() != 0)}  # fmt: skip


def main():
    """Supervise one job; the report says what came of it."""
    os.closerange(RESULT_FD + 1, 4096)
    os.set_inheritable(RESULT_FD, False)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with os.fdopen(SPEC_FD, "rb") as file:
        spec = _Spec(file.read())
    pipes = [os.pipe() for _ in range(3 if spec.number("report") else 2)]
    status_pipe, trouble_pipe = os.pipe(), os.pipe()
    program = os.fork()
    if not program:
        try:
            _run(spec, status_pipe[1], *[w for _, w in pipes], *([None] * (3 - len(pipes))))
        except OSError as error:
            os.write(trouble_pipe[1], f"{error.errno}\n{error.strerror}".encode())
        os._exit(127)
    for pipe in (status_pipe, trouble_pipe):
        os.close(pipe[1])
    for _, writing in pipes:
        os.close(writing)
    supervision = _Supervision(spec, program, [r for r, _ in pipes])
    wall_s = supervision.watch()
    status = supervision.status or 0
    if spec.number("namespaces") and (told := os.read(status_pipe[0], 4)):
        status = struct.unpack("=i", told)[0]
    values = {"done": 1, "status": status, "limit": supervision.limit} | _walls(spec)
    if trouble := os.read(trouble_pipe[0], 1 << 12).decode():
        number, _, words = trouble.partition("\n")
        values |= {"exec_error": number} if words == os.strerror(int(number)) else {
            "done": 0, "failure": words}  # fmt: skip
    values |= {"cpu_s": supervision.cpu_s, "wall_s": wall_s, "memory_bytes": supervision.peak}
    _report(values, supervision.data, supervision.truncated)


if __name__ == "__main__":
    main()
