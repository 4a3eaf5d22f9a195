"""The few-shot control: its form is chosen on the development tasks, and nowhere else."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.improving import ANSWERS, task_rows, write_tasks

from burnish.base.errors import SettingError
from burnish.base.files import read_json
from burnish.base.log import RecordLog
from burnish.base.records import read_records
from burnish.jobs.plan import total_cost
from burnish.recipes.controls import FORMS
from burnish.recipes.improve import improve
from burnish.recipes.steps import parts_of
from burnish.recipes.steps.few_shot import CONTROL, FewShotDevStep
from burnish.recipes.verify import verify_run

ITEMS = {"params": 1, "train": 32, "dev": 12, "heldout": 24}
LAYOUTS = ("turns", "message", "block")


def rows_of(run: Path, stage: str) -> list[dict[str, Any]]:
    return RecordLog(run / "stages" / stage / "answers.jsonl").peek()


def few_shot_only(settings: Any, **changes: Any) -> Any:
    return replace(settings, steps=("tasks", "few-shot"), **changes)


def check_choice(run: Path) -> None:
    """Count right answers by the colours, on prompts of the development file alone."""
    dev = {row["prompt"] for row in read_records(run / "stages/tasks/dev.jsonl")}
    counts = {}
    for layout in LAYOUTS:
        rows = rows_of(run, f"few-shot-dev-{layout}")
        assert {row["prompt"] for row in rows} == dev and len(rows) == len(dev)
        right = [row["answer"].strip() == ANSWERS[row["group"]] for row in rows]
        counts[layout] = sum(right)
    found = read_json(run / "result.json")["controls"]["few_shot"]
    assert found["forms"] == {name: {"dev_right": num} for name, num in counts.items()}
    assert found["dev_tasks"] == len(dev)
    assert found["form"] == next(n for n in LAYOUTS if counts[n] == max(counts.values()))
    key = json.loads((run / "stages" / CONTROL / "key.json").read_text())
    assert key["inputs"]["settings"]["form"] == {"layout": found["form"], "worked": False}


def test_the_form_is_chosen_on_development_tasks(finished: Path) -> None:
    check_choice(finished)
    page = (finished / "report" / "index.html").read_text()
    assert "Forms of the few-shot examples" in page


def test_planted_choice_on_held_out_tasks(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = FewShotDevStep.asks

    class Swapped(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            return self["given"]["heldout" if name == "dev" else name]

    monkeypatch.setattr(FewShotDevStep, "tasks", ("heldout", "train"))
    monkeypatch.setattr(
        FewShotDevStep, "asks", lambda step, given: exact(step, Swapped(given=given))
    )
    result = improve(few_shot_only(settings), runs=tmp_path)
    with pytest.raises(AssertionError):
        check_choice(Path(result["run"]))


def test_planted_choice_of_the_worst_form(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from burnish.recipes.steps import few_shot

    exact = few_shot.best_form
    monkeypatch.setattr(
        few_shot, "best_form", lambda found: next(f for f in found if f != exact(found))
    )
    result = improve(few_shot_only(settings), runs=tmp_path)
    with pytest.raises(AssertionError):
        check_choice(Path(result["run"]))


def test_worked_answers_are_tried_where_tasks_have_them(settings: Any, tmp_path: Path) -> None:
    rows = [row | {"metadata": {"worked": f"It is {row['group']}."}} for row in task_rows()]
    tasks = write_tasks(tmp_path / "worked.jsonl", rows)
    result = improve(few_shot_only(settings, tasks=(str(tasks),)), runs=tmp_path)
    forms = list(result["controls"]["few_shot"]["forms"])
    assert forms == [form.name for form in FORMS] == [*LAYOUTS, *(f"{x}-worked" for x in LAYOUTS)]
    (told,) = [
        b for b in result["page"]["blocks"] if b["title"] == "Forms of the few-shot examples"
    ]
    assert [row[2] for row in told["rows"]].count("chosen") == 1 and len(told["rows"]) == 6


def test_the_plan_counts_every_form(settings: Any) -> None:
    (part,) = [part for part in parts_of(settings) if part.name == "few-shot"]
    assert total_cost([part], ITEMS).generated_tokens == 16 * (24 + 12 * len(FORMS))


def test_verify_chooses_again(finished: Path, tmp_path: Path) -> None:
    """Right answers are forged for a form that was not chosen: the choice does not follow."""
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    form = read_json(run / "result.json")["controls"]["few_shot"]["form"]
    other = next(name for name in reversed(LAYOUTS) if name != form)
    stage = f"few-shot-dev-{other}"
    rows = rows_of(run, stage)
    for row in rows:
        answer = ANSWERS[row["group"]]
        row |= {"answer": answer, "extracted": answer, "verdict": "right"}
    path = run / "stages" / stage / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {c["check"] for c in verify_run(run)["checks"] if c["outcome"] == "different"}
    assert {f"{stage}, made again", f"inputs of {CONTROL}", "numbers of result.json"} <= found


def test_a_run_whose_tasks_changed_is_refused(settings: Any, tmp_path: Path) -> None:
    rows = task_rows()
    tasks = write_tasks(tmp_path / "own.jsonl", rows)
    short = replace(settings, steps=("tasks", "before"), tasks=(str(tasks),))
    run = Path(improve(short, runs=tmp_path)["run"])
    written = (run / "result.json").read_bytes()
    write_tasks(tasks, rows[:-1])
    with pytest.raises(SettingError, match="step 'measure-before' has begun with other"):
        improve(short, runs=tmp_path)
    assert (run / "result.json").read_bytes() == written
