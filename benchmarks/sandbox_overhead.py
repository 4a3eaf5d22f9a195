"""Claims: isolation costs at most 5 ms a job, and compiling once makes ten C++ tests 5x as fast.

Python one-liners keep at least 80 % of their bare throughput.
Sides take turns, and each starts the same program with the same Python call: bare `posix_spawn`,
ours (all of it: spec, supervision, attestation), `bwrap` with the same view of the machine, and
`sandlock` through its Python package. A launcher that waits has done its work before the clock
starts: sides that were started before (`burnish`, `bwrap_warm`) are compared with each other, and
sides that start with the job (`burnish_cold`, `bwrap`, `sandlock`) with each other. Throughput
counts all of it on every side. Peers that are not installed are left out by name.
"""

import argparse
import functools
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from recording import median, save

from burnish.sandbox import program as programs
from burnish.sandbox.job import Job
from burnish.sandbox.judging import judge
from burnish.sandbox.probe import probe
from burnish.sandbox.problem import read_problem
from burnish.sandbox.running import run_job
from burnish.sandbox.waiting import WAITING

PYTHON = "/usr/bin/python3"
TRUE = ("/usr/bin/true",)
ONE_LINER = (PYTHON, "-c", "print(sum(range(10)))")
BWRAP = (
    *("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
    *("--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"),
    *("--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev"),
    *("--tmpfs", "/tmp", "--tmpfs", "/work", "--chdir", "/work", "--"),
)
ADD = "#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }\n//"
Command = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Side:
    """How a side runs a command to its end; `prepare` comes before the clock starts."""

    run: Callable[[Command], None]
    prepare: Callable[[Command], None] = lambda command: None


def sides() -> dict[str, Side]:
    """All sides that this machine has, with output in a pipe or nowhere."""
    found = {
        "bare": Side(run=_bare),
        "burnish": Side(run=_ours),
        "burnish_cold": Side(run=_ours, prepare=lambda command: WAITING.dismiss()),
    }
    if probe().groups:
        without = functools.partial(_ours, isolation="namespaces:groups=false")
        found["burnish_without_group"] = Side(run=without)
    if bwrap := shutil.which("bwrap"):
        found["bwrap"] = Side(run=lambda command: _bare((bwrap, *BWRAP, *command)))
        warm = WarmBubblewrap(bwrap)
        found["bwrap_warm"] = Side(run=warm.run, prepare=warm.prepare)
    if importlib.util.find_spec("sandlock"):
        found["sandlock"] = Side(run=_sandlock)
    return found


class WarmBubblewrap:
    """Bubblewrap with its namespaces and mounts made, whose shell waits for a command."""

    def __init__(self, bwrap: str) -> None:
        self._command = (bwrap, *BWRAP, "/bin/sh", "-c", "echo; read line; eval exec $line")

    def prepare(self, command: Command) -> None:
        """Start it, and wait until it waits."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(self._command, bufsize=0, **pipes)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"\n"

    def run(self, command: Command) -> None:
        """Tell it the command, and wait for the end."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{shlex.join(command)}\n".encode())
        assert self._process.wait() == 0
        self._process.stdin.close()
        self._process.stdout.close()  # type: ignore[union-attr]


def _bare(command: Command) -> None:
    actions = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(command[0], command, {"PATH": "/usr/bin:/bin"}, file_actions=actions)
    assert os.waitpid(pid, 0)[1] == 0


def _ours(command: Command, isolation: str = "namespaces") -> None:
    assert run_job(Job(argv=command), isolation=isolation).ok


def _sandlock(command: Command) -> None:
    from sandlock import Sandbox

    readable = ["/usr", "/lib", "/lib64", "/bin", "/proc", "/dev/null", "/dev/urandom"]
    readable += [path for path in ("/etc/ld.so.cache", "/etc/alternatives") if os.path.exists(path)]
    result = Sandbox(fs_readable=readable).run(list(command))
    assert result.success, result


def latency(repeats: int) -> dict[str, dict]:
    """Milliseconds of one `true`, the sides taking turns."""
    every = sides()
    times: dict[str, list[float]] = {name: [] for name in every}
    for i in range(repeats + 3):
        for name, side in every.items():
            side.prepare(TRUE)
            start = time.perf_counter()
            side.run(TRUE)
            if i >= 3:
                times[name].append(1000 * (time.perf_counter() - start))
    rows = {f"{name}_ms": median(values) for name, values in times.items()}
    for name in sorted(set(times) - {"bare"}):
        pairs = zip(times[name], times["bare"], strict=True)
        rows[f"{name}_above_bare_ms"] = median([a - b for a, b in pairs])
    return rows


def throughput(workers: int, num_jobs: int, repeats: int) -> dict[str, dict]:
    """Python one-liners per second on some threads, the sides taking turns."""
    every = {n: side for n, side in sides().items() if n not in ("burnish_cold", "bwrap_warm")}
    rates: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(repeats):
        for name, side in every.items():
            with ThreadPoolExecutor(workers) as pool:
                start = time.perf_counter()
                list(pool.map(lambda _, side=side: side.run(ONE_LINER), range(num_jobs)))
                rates[name].append(num_jobs / (time.perf_counter() - start))
    rows = {f"{name}_per_s": median(values) for name, values in rates.items()}
    for name in sorted(set(rates) - {"bare"}):
        pairs = zip(rates[name], rates["bare"], strict=True)
        rows[f"{name}_share_of_bare"] = median([a / b for a, b in pairs])
    return rows


def compiling(repeats: int) -> dict[str, dict]:
    """Seconds for ten C++ tests: compiled once, and compiled for each."""
    tests = [{"stdin": f"{i} {i}", "stdout": str(2 * i)} for i in range(10)]
    once, each = [], []
    for i in range(repeats):
        for times, codes in ((once, [f"{ADD}{time.time_ns()}"]), (each, None)):
            start = time.perf_counter()
            if codes:
                given = {"code": codes[0], "language": "cpp", "tests": tests}
                assert judge(read_problem(given)).passed == 10
            else:
                for test in tests:  # new code each time: the cache cannot help
                    code = f"{ADD}{time.time_ns()} {i}"
                    given = {"code": code, "language": "cpp", "tests": [test]}
                    assert judge(read_problem(given)).passed == 1
            times.append(time.perf_counter() - start)
    ratio = median([b / a for a, b in zip(once, each, strict=True)])
    return {"once_s": median(once), "each_s": median(each), "ratio": ratio}


def peer_versions() -> list[str]:
    """The peers that are here, as `recording.header` takes them."""
    if not (bwrap := shutil.which("bwrap")):
        return ["sandlock"]
    told = subprocess.run([bwrap, "--version"], capture_output=True, text=True, check=True).stdout
    return ["sandlock", told.strip()]  # `bubblewrap 0.8.0`


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    if not os.path.exists(PYTHON):
        sys.exit(f"{PYTHON} is needed: it is what every side can see")
    rows = {"isolation": run_job(Job(argv=TRUE)).attestation.to_dict()}
    rows["true"] = latency(options.repeats)
    rows["python"] = throughput(options.workers, 60, max(3, options.repeats // 20))
    programs.find_chain.cache_clear()
    rows["cpp"] = compiling(max(2, options.repeats // 40))
    for part in ("true", "python", "cpp"):
        for name, found in rows[part].items():
            print(f"{part} {name}: {found['value']:.3g} [{found['low']:.3g}, {found['high']:.3g}]")
    told = {"repeats": options.repeats, "workers": options.workers, **rows}
    save("sandbox_overhead", told, peers=peer_versions())


if __name__ == "__main__":
    main()
