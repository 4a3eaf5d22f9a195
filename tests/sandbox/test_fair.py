"""Fair time: borderline jobs run again alone, and load changes no verdict."""

import dataclasses
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import pytest

from burnish.sandbox import fair
from burnish.sandbox.fair import GRACE, Turnstile, run_fairly
from burnish.sandbox.job import Attestation, Job, Limit, Limits, Outcome
from burnish.sandbox.judging import judge
from burnish.sandbox.problem import read_problem

JOB = Job(argv=("/usr/bin/true",), limits=Limits(cpu_s=1.0, wall_s=2.0))
ENDED = Outcome(
    exit_code=0, signal=None, stdout=b"", stderr=b"", cpu_s=0.5, wall_s=0.5, memory_bytes=1,
    attestation=Attestation(backend="none", mechanisms=MappingProxyType({})),
)  # fmt: skip


def outcomes(monkeypatch, *runs):
    """Let `run_job` return these, one after another; returns the jobs it was given."""
    rows, jobs = list(runs), []

    def run_job(job, *, isolation):
        jobs.append(job)
        return dataclasses.replace(ENDED, **rows.pop(0))

    monkeypatch.setattr(fair, "run_job", run_job)
    return jobs


@pytest.mark.parametrize(
    ("runs", "limit"),
    [
        ([{"cpu_s": 0.9}], None),
        ([{"cpu_s": 1.05}, {"cpu_s": 0.95}], None),  # alone it is fast enough
        ([{"cpu_s": 1.05}, {"cpu_s": 1.01}], Limit.CPU),
        ([{"cpu_s": 1.1, "limit": Limit.CPU}], Limit.CPU),  # beyond the grace: no second look
        ([{"limit": Limit.WALL, "wall_s": 2.1}], Limit.WALL),  # it slept
        ([{"limit": Limit.WALL, "wall_s": 20.0}, {}], None),  # others held it up
        ([{"cpu_s": 5.0, "failure": "broken"}], None),
    ],
)
def test_borderline_runs_again_alone(monkeypatch, sandbox_cache, runs, limit):
    jobs = outcomes(monkeypatch, *runs)
    assert run_fairly(JOB).limit is limit
    assert len(jobs) == len(runs)
    assert all(job.limits.cpu_s == pytest.approx(GRACE) for job in jobs)


def test_alone_is_alone():
    gate, seen, inside = Turnstile(), [], []

    def many(_):
        with gate.together():
            inside.append(1)
            time.sleep(0.002)
            inside.pop()

    def one(_):
        with gate.alone():
            seen.append(len(inside))

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(one if i % 5 == 0 else many, i) for i in range(60)]:
            future.result()
    assert seen == [0] * 12
    assert threading.active_count() >= 1


def spin(until):
    while time.monotonic() < until:
        pass


def verdicts(repeats):
    rows = [
        ("n = 10**6\nwhile n: n -= 1", {"cpu_s": 0.8, "wall_s": 0.8}),
        ("while True: pass", {"cpu_s": 0.3, "wall_s": 0.5}),
        ("import time; time.sleep(9)", {"cpu_s": 0.3, "wall_s": 0.3}),
    ]
    problems = [
        read_problem({"code": c, "language": "python", "tests": [{"stdout": ""}], "limits": v})
        for c, v in rows
    ]
    return [tuple(judge(p).verdict.value for p in problems) for _ in range(repeats)]


def check_flips(found):
    assert set(found) == {("accepted", "time_limit", "time_limit")}


def test_load_flips_no_verdict(namespaces):
    """Eight spinners beside a job that needs a tenth of its budget (twenty repeats: benchmarks)."""
    until = time.monotonic() + 30
    context = multiprocessing.get_context("spawn")
    spinners = [context.Process(target=spin, args=(until,)) for _ in range(8)]
    for spinner in spinners:
        spinner.start()
    try:
        check_flips(verdicts(2))
    finally:
        for spinner in spinners:
            spinner.terminate()
            spinner.join()


def test_planted_flip():
    with pytest.raises(AssertionError):
        check_flips([("accepted", "time_limit", "time_limit"), ("time_limit",) * 3])
