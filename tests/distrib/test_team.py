"""Real processes as a team, with torchrun's environment."""

import sys
from pathlib import Path

import pytest
from fixtures.training import run_ranks

from burnish.base.team import Alone
from burnish.distrib.team import join_team, lost_process

SHARING = """
import time
found = [team.share({"of": rank()}), team.share([1, 2] if team.leads else None)]
if team.leads:
    time.sleep(0.5)
    written.touch()
team.wait()
print(found, team.leads, written.exists())
"""


def test_alone_without_torchrun() -> None:
    assert isinstance(join_team(), Alone)


def two_processes(program: str, written: Path) -> list[tuple[int, str]]:
    """Status and stdout of a program in each of two processes that have joined."""
    start = f"""
import atexit, sys
from pathlib import Path
from torch import distributed
atexit.register(lambda: print(distributed.is_initialized()))  # runs last
from burnish.distrib.rank import rank
from burnish.distrib.team import join_team
team, written = join_team("cpu"), Path(sys.argv[1])
{program}"""
    told = run_ranks([sys.executable, "-c", start, str(written)])
    return [(status, out.strip()) for status, out, _ in told]


@pytest.mark.slow
def test_two_processes_share(tmp_path: Path) -> None:
    told = two_processes(SHARING, tmp_path / "written")
    found = "[{'of': 0}, [1, 2]]"
    assert told == [(0, f"{found} True True\nFalse"), (0, f"{found} False True\nFalse")]


@pytest.mark.slow
@pytest.mark.parametrize("leave", ["", "distributed.destroy_process_group()"])
def test_the_group_is_left_at_the_end(leave: str, tmp_path: Path) -> None:
    """By us or by the caller: gloo's threads abort a process that ends inside a group."""
    told = two_processes(f"print(distributed.is_initialized())\n{leave}", tmp_path / "none")
    assert told == [(0, "True\nFalse")] * 2


@pytest.mark.parametrize(
    ("size", "says", "lost"),
    [
        ("2", "[pair.cc:553] Connection closed by peer [127.0.0.1]:4263", True),
        ("2", "ncclRemoteError: remote process exited or there was a network error", True),
        ("2", "mat1 and mat2 shapes cannot be multiplied", False),
        ("1", "Connection closed by peer", False),
    ],
)
def test_only_a_lost_process_is_told_as_one(
    size: str, says: str, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    found = lost_process(RuntimeError(says))
    assert (found is not None) == lost
    assert found is None or "other processes must run to the end" in str(found)
