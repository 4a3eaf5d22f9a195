"""Ranks from torchrun's environment, without torch."""

import subprocess
import sys

import pytest

from burnish.base.errors import SettingError
from burnish.distrib.rank import is_main, rank, world_size


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    return monkeypatch


def test_alone(environment: pytest.MonkeyPatch) -> None:
    assert (rank(), world_size(), is_main()) == (0, 1, True)


@pytest.mark.parametrize(("given", "main"), [("0", True), ("3", False)])
def test_under_torchrun(environment: pytest.MonkeyPatch, given: str, main: bool) -> None:
    environment.setenv("RANK", given)
    environment.setenv("WORLD_SIZE", "4")
    assert (rank(), world_size(), is_main()) == (int(given), 4, main)


@pytest.mark.parametrize(("name", "value"), [("RANK", "4"), ("RANK", "x"), ("WORLD_SIZE", "0")])
def test_environments_that_torchrun_never_makes(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv("WORLD_SIZE", "4")
    environment.setenv(name, value)
    with pytest.raises(SettingError, match=name):
        is_main()


def test_launching_needs_no_torch() -> None:
    program = (
        "import sys, burnish.distrib.rank, burnish.distrib as d; d.launchers.names();"
        "assert not {'torch', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
