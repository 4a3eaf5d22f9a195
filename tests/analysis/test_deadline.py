"""The deadline of an analysis: nothing begins after it, and what has begun is bounded by it."""

import math
import time

import pytest

from burnish.analysis.analyze import analyze
from burnish.analysis.deadline import NO_DEADLINE, Deadline, in_seconds
from burnish.analysis.tools import findings_of
from burnish.base.errors import SettingError
from burnish.sandbox.job import Limits


def test_limits_are_cut_to_what_is_left():
    limits = in_seconds(2).bounded(Limits(cpu_s=10, wall_s=1))
    assert 1.9 < limits.cpu_s <= 2 and limits.wall_s == 1
    assert NO_DEADLINE.bounded(Limits()) == Limits()
    assert math.isinf(NO_DEADLINE.left_s) and not NO_DEADLINE.passed


def test_after_it_nothing_begins():
    late = Deadline(at_s=time.monotonic() - 1)
    assert late.passed and late.left_s == 0
    found, fared = findings_of("x = 1\n", "python", deadline=late)
    assert found == []
    assert fared and all(
        said.startswith("not installed") or said == "not run: the deadline has passed"
        for said in fared.values()
    )


def test_tools_and_runs_end_with_it(sandbox_cache):
    analysis = analyze("int main(void) { for (;;); }\n", "c", stdins=["", ""], deadline_s=1e-3)
    assert analysis.basic is not None
    assert analysis.coverage is None
    assert "coverage: the deadline has passed" in analysis.notes
    assert all(f"{tool}: {said}" in analysis.notes for tool, said in analysis.tools.items())


@pytest.mark.parametrize("wrong", [0, -1, math.nan])
def test_a_deadline_is_some_seconds(wrong):
    with pytest.raises(SettingError, match="must be positive"):
        in_seconds(wrong)
