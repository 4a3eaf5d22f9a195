"""Real processes as a team, with torchrun's environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.training import ranks

from burnish.base.team import Alone
from burnish.distrib.team import join_team

PROGRAM = """
import sys, time
from pathlib import Path
from burnish.distrib.rank import rank
from burnish.distrib.team import join_team
team, written = join_team("cpu"), Path(sys.argv[1])
found = [team.share({"of": rank()}), team.share([1, 2] if team.leads else None)]
if team.leads:
    time.sleep(0.5)
    written.touch()
team.wait()
print(found, team.leads, written.exists())
"""


def test_alone_without_torchrun() -> None:
    assert isinstance(join_team(), Alone)


@pytest.mark.slow
def test_two_processes_share(tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, sys.path))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "written")],
            env=os.environ | one | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        for one in ranks(2)
    ]
    try:
        told = [process.communicate(timeout=120)[0].strip() for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert told == ["[{'of': 0}, [1, 2]] True True", "[{'of': 0}, [1, 2]] False True"]
