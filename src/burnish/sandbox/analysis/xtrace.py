"""Lines and their times out of what `bash -x` writes."""

import re

from burnish.sandbox.analysis.schema import LineCost

XTRACE_PROMPT = "+burnish $LINENO $EPOCHREALTIME "

_MARK = re.compile(r"^\++burnish (\d+) (\d+)[.,](\d+) ", re.MULTILINE)


def read_xtrace(report: str) -> tuple[LineCost, ...]:
    """One row per line of the script. The last command's time is unknown, and counts as none.

    A command traced several times on one line in a row (a pipeline, a list) is one hit each.
    """
    marks = [(int(m[1]), int(m[2]) + int(m[3]) / 1e6) for m in _MARK.finditer(report)]
    hits: dict[int, int] = {}
    time_s: dict[int, float] = {}
    for i, (line, at) in enumerate(marks):
        after = marks[i + 1][1] if i + 1 < len(marks) else at
        hits[line] = hits.get(line, 0) + 1
        time_s[line] = time_s.get(line, 0.0) + max(after - at, 0.0)
    return tuple(LineCost(line=x, hits=hits[x], time_s=time_s[x]) for x in sorted(hits))
