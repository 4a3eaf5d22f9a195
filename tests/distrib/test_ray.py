"""Ray when it is absent; what it does when present is in the contract suite."""

import sys

import pytest
from fixtures.work import square

from burnish.base.errors import MissingExtraError, SettingError
from burnish.distrib.ray import RayLauncher


def test_without_ray_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r'pip install "burnish\[ray\]"'):
        RayLauncher().map(square, [1])


def test_settings() -> None:
    with pytest.raises(SettingError, match="in_flight"):
        RayLauncher(in_flight=-1)
