"""Coverage of C and C++ by gcov."""

import json
import tempfile
from pathlib import Path

from burnish.analysis.coverage_task import (
    CoverageTask,
    Known,
    NotMeasured,
    bounded,
    chain_of,
    ended_well,
)
from burnish.sandbox.classify import reason_of
from burnish.sandbox.job import Job, Limits, Outcome
from burnish.sandbox.languages import find_language
from burnish.sandbox.languages.language import find_program
from burnish.sandbox.program import encode, raised
from burnish.sandbox.running import run_job

GCOV_RUN = './main; code=$?; gcov -j -t ./*.gcda >&3 2>/dev/null; exit "$code"'


def gcov_coverage(task: CoverageTask) -> list[Known | str]:
    """Each test's lines; gcov names no line without code. Raises: NotMeasured; IsolationError."""
    if find_program("gcov") is None:
        raise NotMeasured("not installed: apt-get install gcc")
    found, chain = find_language(task.language), chain_of(task.language)
    source = found.source_name(task.code)
    command = found.compile_command(chain, source) or ()
    limits = raised(found.compile_limits, found)
    with tempfile.TemporaryDirectory(prefix="burnish-gcov-") as folder:
        job = Job(
            argv=(*command, "-O0", "--coverage"), files={source: encode(task.code)},
            env=chain.env, limits=bounded(task, limits), keep=Path(folder),
            read_only=chain.read_only,
        )  # fmt: skip
        ended_well(run_job(job, isolation=task.isolation))
        files = {p.name: p.read_bytes() for p in Path(folder).iterdir() if p.is_file()}
    results: list[Known | str] = []
    for stdin in task.stdins:
        job = Job(
            argv=("/bin/sh", "-c", GCOV_RUN), files=files, executable=frozenset({"main"}),
            env={"GCOV_PREFIX": ".", "GCOV_PREFIX_STRIP": "99"}, stdin=encode(stdin),
            limits=bounded(task, task.limits or Limits()), report=True,
        )  # fmt: skip
        outcome = run_job(job, isolation=task.isolation)
        results.append(_read_gcov(outcome, source) or reason_of(outcome) or "gcov wrote nothing")
    return results


def _read_gcov(outcome: Outcome, source: str) -> Known:
    try:
        report = json.loads(outcome.report)
    except ValueError:
        return {}
    known: dict[int, bool] = {}
    for file in report.get("files", []):
        if Path(file["file"]).name == source:
            for row in file["lines"]:  # a template has its lines once for each instance
                at = row["line_number"]
                known[at] = known.get(at, False) or row["count"] > 0
    return known
