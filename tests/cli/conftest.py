"""The command line in this process, and one finished run."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fixtures.improving import finished, quick_plan, settings  # noqa: F401


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command left: exit status, stdout, stderr."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        return json.loads(self.out)


@pytest.fixture
def burnish(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run a command through `main`, as the shell does."""
    from burnish.cli.main import main

    def run(*words: Any) -> Done:
        monkeypatch.setattr(sys, "argv", ["burnish", *map(str, words)])
        capfd.readouterr()
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        found = capfd.readouterr()
        return Done(status=status, out=found.out, err=found.err)

    return run
