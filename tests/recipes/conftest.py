"""What tests of recipes share: records written by hand, and one finished run."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from fixtures.improving import finished, quick_plan, settings  # noqa: F401

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
