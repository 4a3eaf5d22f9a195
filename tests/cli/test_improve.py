"""`burnish improve` as a user types it: its exit status follows the gates that there are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures.improving import write_tasks

Burnish = Callable[..., Any]

CASES = [
    ({"better": "pass", "not longer": "pass"}, 0),
    ({"better": "pass", "not longer": "undetermined"}, 0),
    ({"better": "pass", "not longer": "fail"}, 1),
    ({"better": "undetermined"}, 1),
    ({"not longer": "pass"}, 0),
    ({"not longer": "fail"}, 1),
    ({}, 0),
]


@pytest.mark.parametrize(("outcomes", "status"), CASES)
def test_the_exit_status_follows_the_gates(
    outcomes: dict[str, str],
    status: int,
    burnish: Burnish,
    tiny_folder: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from burnish.recipes import improve

    found: dict[str, Any] = {"run": str(tmp_path), "model": "m"}
    if outcomes:  # a result without gates has no such entry
        found["gates"] = [{"name": n, "outcome": o} for n, o in outcomes.items()]
    monkeypatch.setattr(improve, "improve", lambda settings, **named: found)
    tasks = write_tasks(tmp_path / "tasks.jsonl")
    done = burnish("improve", tiny_folder(), "--tasks", tasks, "--json")
    assert (done.status, done.json["run"]) == (status, str(tmp_path))


def test_a_job_without_its_last_steps_ends_well(
    burnish: Burnish, settings: Any, tmp_path: Path
) -> None:
    words = ("improve", settings.model, "--tasks", settings.tasks[0], "--runs", tmp_path, "--json")
    sets = ["steps=[tasks,few-shot]", "split.train=32", "split.dev=12", "split.heldout=24"]
    sets += ["measure.max_new_tokens=3", "batch_size=16"]
    done = burnish(*words, *(word for one in sets for word in ("--set", one)))
    assert done.status == 0, done.err
    assert done.json["controls"]["few_shot"]["dev_tasks"] == 12 and "gates" not in done.json
