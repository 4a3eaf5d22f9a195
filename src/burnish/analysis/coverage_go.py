"""Coverage of Go: `go tool cover` puts counters into the program, we print them when it ends."""

import re
from collections.abc import Mapping, Sequence

from burnish.analysis.coverage_task import (
    CoverageTask,
    Known,
    bounded,
    chain_of,
    ended_well,
    prepared,
    runs,
)
from burnish.analysis.instrument import GO_COVER, frame
from burnish.sandbox.classify import reason_of
from burnish.sandbox.job import Job
from burnish.sandbox.languages import find_language
from burnish.sandbox.program import encode, raised
from burnish.sandbox.running import run_job

GO_BLOCK = re.compile(r"^\t+(\d+), (\d+), 0x([0-9a-f]+), // \[(\d+)\]$", re.M)


def go_coverage(task: CoverageTask) -> list[Known | str]:
    """Each test's lines, by the counts of blocks. Raises: NotMeasured; IsolationError."""
    found, chain = find_language("go"), chain_of("go")
    limits = raised(found.compile_limits, found)
    source = found.source_name(task.code)
    job = Job(
        argv=(str(chain.programs["compile"]), "tool", "cover", "-mode=count", "-var=BurnishCover",
              source),
        files={source: encode(task.code)}, env={**chain.env, **found.env(limits)},
        limits=bounded(task, limits), read_only=chain.read_only, data_limit=False,
    )  # fmt: skip
    covered = ended_well(run_job(job, isolation=task.isolation)).stdout.decode("utf-8", "replace")
    blocks = [_go_block(match) for match in GO_BLOCK.finditer(covered)]
    program = prepared(frame(covered, "go", GO_COVER), task)
    results: list[Known | str] = []
    for outcome in runs(program, task):
        rows = [row.split() for row in outcome.report.decode("ascii", "replace").splitlines()]
        counts = {int(a): int(b) for a, b in (row for row in rows if len(row) == 2)}
        known = _go_lines(task, blocks, counts) if counts else reason_of(outcome)
        results.append(known or "no counts were reported")
    return results


def _go_block(match: re.Match[str]) -> tuple[tuple[int, int], tuple[int, int], int]:
    """First and last position of a block, as (line, column in bytes), and its number."""
    columns = int(match[3], 16)
    start, end = (int(match[1]), columns & 0xFFFF), (int(match[2]), columns >> 16)
    return start, end, int(match[4])


def _go_lines(task: CoverageTask, blocks: Sequence[tuple], counts: Mapping[int, int]) -> Known:
    texts, known = task.code.encode("utf-8", "replace").split(b"\n"), {}
    for line in task.lines:
        text = texts[line - 1]
        at = (line, len(text) - len(text.lstrip()) + 1)
        around = [(end[0] - start[0], end[1] - start[1], number)
                  for start, end, number in blocks if start <= at <= end]  # fmt: skip
        if around:
            known[line] = counts.get(min(around)[2], 0) > 0
    return known
