"""`serial`: in this process, and no item before it is asked for."""

import os

from fixtures.work import process_id

from burnish.distrib import launchers


def test_items_run_here_and_only_when_asked_for() -> None:
    done: list[int] = []
    answers = launchers.parse("serial").map(done.append, range(5))
    assert done == []
    next(answers)
    next(answers)
    assert done == [0, 1]
    assert set(launchers.parse("serial").map(process_id, range(2))) == {os.getpid()}
