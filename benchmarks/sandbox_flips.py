"""Claim: load flips no verdict. 20 repeats alone and beside 8 spinners per core: 0 flips.

The same programs are also judged the usual way, by a wall clock around a subprocess.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter

from recording import save

from burnish.sandbox.judging import judge
from burnish.sandbox.problem import Problem, read_problem

CPU_S, WALL_S = 0.4, 0.8
PROGRAMS = {  # code, verdict; the budget is CPU_S
    "quick": ("print(1)", "accepted"),
    "half of the budget": ("n = 3 * 10**6\nwhile n: n -= 1\nprint(1)", "accepted"),
    "wrong": ("print(2)", "wrong_answer"),
    "crash": ("1 / 0", "runtime_error"),
    "spin": ("while True: pass", "time_limit"),
    "sleep": ("import time\ntime.sleep(60)", "time_limit"),
    "memory": ("x = []\nwhile True: x.append(bytearray(b'x' * 2**20))", "memory_limit"),
    "output": ("while True: print('x' * 999)", "output_limit"),
}


def spin() -> None:
    """Take one processor, as far as it is given."""
    while True:
        pass


def problem(code: str) -> Problem:
    """One program with one test."""
    limits = {"cpu_s": CPU_S, "wall_s": WALL_S, "memory_bytes": 128 << 20, "output_bytes": 1 << 20}
    tests = [{"stdin": "", "stdout": "1"}]
    return read_problem({"code": code, "language": "python", "tests": tests, "limits": limits})


def by_wall_clock(code: str) -> str:
    """The verdict of a judge that gives each program CPU_S of wall time."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=CPU_S
        )
    except subprocess.TimeoutExpired:
        return "time_limit"
    if done.returncode:
        return "runtime_error"
    return "accepted" if done.stdout == "1\n" else "wrong_answer"


def count(repeats: int, load: int) -> dict[str, dict]:
    """How often each verdict was given, under `load` spinners per core."""
    context = multiprocessing.get_context("spawn")
    cores = len(os.sched_getaffinity(0))  # fewer under taskset, and so is the load
    spinners = [context.Process(target=spin) for _ in range(load * cores)]
    for spinner in spinners:
        spinner.start()
    try:
        time.sleep(1 if spinners else 0)
        found = {}
        for name, (code, truth) in PROGRAMS.items():
            ours = Counter(judge(problem(code)).verdict.value for _ in range(repeats))
            row = {"truth": truth, "burnish": dict(ours), "flips": repeats - ours[truth]}
            if name not in {"memory", "output"}:  # nothing would end these
                theirs = Counter(by_wall_clock(code) for _ in range(repeats))
                row |= {"wall_clock": dict(theirs), "wall_clock_flips": repeats - theirs[truth]}
            found[name] = row
            print(f"load {load}: {name}: {row}", flush=True)
        return found
    finally:
        for spinner in spinners:
            spinner.terminate()
            spinner.join()


def main() -> None:
    """Count, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    rows = {f"load_{load}": count(options.repeats, load) for load in (0, 8)}
    flips = sum(row["flips"] for rows_ in rows.values() for row in rows_.values())
    theirs = sum(row.get("wall_clock_flips", 0) for r in rows.values() for row in r.values())
    print(f"flips: ours {flips}, wall clock {theirs}")
    save("sandbox_flips", {"repeats": options.repeats, "flips": flips,
                           "wall_clock_flips": theirs, **rows})  # fmt: skip


if __name__ == "__main__":
    main()
