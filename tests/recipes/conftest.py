"""What tests of recipes share: records written by hand, a tiny model, one finished run."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.improving import SETTINGS, guessing_model, write_tasks

from burnish.contracts.record import Record


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """A record by what matters for it."""
    numbers = itertools.count()

    def make(verdict: str = "right", **fields: Any) -> Record:
        task = fields.pop("task", "t")
        name = fields.pop("name", f"{task}/{next(numbers)}")
        base = {"group": "g", "prompt": "p", "answer": "a", "tokens": 1, "finish": "eos"}
        return Record(id=name, task_id=task, verdict=verdict, **{**base, **fields})

    return make


@pytest.fixture(scope="session")
def guessing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the model that guesses."""
    return guessing_model(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def settings(guessing: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Settings of a run of a second or two."""
    tasks = write_tasks(tmp_path_factory.mktemp("tasks") / "colours.jsonl")
    return replace(SETTINGS, model=str(guessing), tasks=(str(tasks),))


@pytest.fixture(scope="session")
def finished(settings: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an undisturbed run; never write into it."""
    from burnish.recipes.improve import improve

    return Path(improve(settings, runs=tmp_path_factory.mktemp("runs"))["run"])
