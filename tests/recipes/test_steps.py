"""A step in one file, named in the settings, takes part in `improve` and in `verify`."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from burnish.base.canonical import file_hash
from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.meter import Meter
from burnish.base.records import read_json, write_json
from burnish.base.stages import Stage, StageResult
from burnish.contracts.page import Table
from burnish.contracts.step import Cost, Told
from burnish.jobs.step import Given, Step, Verification
from burnish.recipes import planning
from burnish.recipes.gates import gate
from burnish.recipes.improve import improve
from burnish.recipes.measuring import measure_answers
from burnish.recipes.planning import Calibration, make_plan
from burnish.recipes.settings import ROUND_STEPS, STEPS
from burnish.recipes.steps import improve_steps, parts_of
from burnish.recipes.verify import verify_run

MACHINE = Calibration(flops_per_s=1e9, bytes_per_s=1e8)


@pytest.fixture(autouse=True)
def short_answers() -> Iterator[None]:
    """A registered step: the mean length of the answers after, times a weight, must stay small."""

    @improve_steps.register("short-answers")
    @dataclass(frozen=True, kw_only=True)
    class ShortAnswers(Step):
        weight: int = 1
        name: str = "short-answers"
        verified: Verification = "again"

        @property
        def reads(self) -> tuple[str, ...]:
            return ("measure-after",)

        @property
        def writes(self) -> Mapping[str, str]:
            return {"lengths": "lengths.json"}

        def cost(self, num_items: Mapping[str, int]) -> Cost:
            return Cost(generated_tokens=1000 * self.weight)

        def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
            lengths = [self.weight * record.tokens for record in given["measure-after"]]
            write_json(stage.path / "lengths.json", {"lengths": lengths})
            return {"num": len(lengths)}

        def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
            lengths = read_json(done.path / "lengths.json")["lengths"]
            records = [replace(r, tokens=n) for r, n in zip(given["measure-after"], lengths,
                                                            strict=True)]  # fmt: skip
            import numpy as np

            mean = measure_answers(records, np.random.default_rng(0)).length_tokens
            tested = gate("short", mean, margin=0.0, unit="tokens", meaning="Mean length")
            table = Table(title="Short answers", columns=["mean"], rows=[[mean.value]])
            numbers = {"short": {"mean_tokens": mean.to_dict()}}
            return (Told(numbers=numbers, gates=[tested], blocks=[table]),)

    yield
    del improve_steps._methods["short-answers"]


def test_a_toy_step_reaches_plan_result_page_and_verify(settings: Any, tmp_path: Path) -> None:
    with_toy = replace(settings, rounds=1, steps=(*STEPS, "short-answers:weight=3"))
    plain = make_plan(replace(settings, rounds=1), 10**6, MACHINE)
    plan = make_plan(with_toy, 10**6, MACHINE)
    assert plan.generated_tokens - plain.generated_tokens == 3000
    result = improve(with_toy, runs=tmp_path)
    value = result["short"]["mean_tokens"]["value"]
    assert value == pytest.approx(3 * result["after"]["length_tokens"]["value"])
    names = [g["name"] for g in result["gates"]]
    assert names[4:6] == ["short", "not more forgetful"]
    assert {"title": "Short answers", "columns": ["mean"], "rows": [[value]], "caption": "",
            "block": "table"} in result["page"]["blocks"]  # fmt: skip
    assert "Short answers" in (Path(result["run"]) / "report" / "index.html").read_text()
    run = Path(shutil.copytree(result["run"], tmp_path / "copy"))
    assert verify_run(run)["same"]
    stage = run / "stages" / "short-answers"
    write_json(stage / "lengths.json", {"lengths": [1] * 24})
    done = read_json(stage / "done.json")
    done["artefacts"][0] |= {
        "sha256": file_hash(stage / "lengths.json"),
        "num_bytes": (stage / "lengths.json").stat().st_size,
    }
    write_json(stage / "done.json", done)
    found = {c["check"] for c in verify_run(run)["checks"] if c["outcome"] == "different"}
    assert found == {"short-answers, made again", "numbers of result.json"}


def test_a_step_can_be_left_out(settings: Any, tmp_path: Path) -> None:
    steps = tuple(name for name in STEPS if name not in ("few-shot", "vote", "memory", "general"))
    result = improve(replace(settings, rounds=1, steps=steps), runs=tmp_path)
    assert "controls" not in result
    gates = ["better", "not longer", "not leaked", "not slower"]
    assert [g["name"] for g in result["gates"]] == gates
    claims = ["accuracy before", "accuracy after", "gain", "leaked"]
    assert [c["claim"] for c in result["claims"]] == claims


def test_the_default_steps_are_all_registered(settings: Any) -> None:
    assert [part.name for part in parts_of(settings)] == [
        "tasks", "measure-before", "few-shot", "graph", "scaling", "rounds", "control-vote",
        "measure-after", "stream", "shifted", "taught", "leaks", "speed", "memory", "general",
    ]  # fmt: skip
    assert ROUND_STEPS == ("sample", "critique", "select", "curate", "teach", "prefer", "dev")


@pytest.mark.parametrize(
    ("name", "part", "count", "least", "more"),
    [
        ("memory", "memory", "trials", 2, {}),
        ("general", "general", "num_texts", 1, {}),
        ("shifted", "shift", "num", 2, {"tasks": ("chain:sum",)}),
        ("scaling", "scaling", "pilot_tasks", 1, {}),
        ("graph", "graph", "num_examples", 1, {"tasks": ("graph:x",)}),
    ],
)
def test_the_least_number_switches_a_part_on(
    name: str, part: str, count: str, least: int, more: dict[str, Any], settings: Any
) -> None:
    def is_on(number: int) -> bool:
        told = replace(getattr(settings, part), **{count: number})
        parts = parts_of(replace(settings, **{part: told}, **more))
        return next(p for p in parts if p.name == name).is_on

    assert [is_on(number) for number in (0, least)] == [False, True]


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"steps": ("tasks", "befor")}, UnknownNameError, "Did you mean 'before'"),
        ({"round_steps": ("sampel",)}, UnknownNameError, "Did you mean 'sample'"),
        ({"steps": (*STEPS, "short-answers:wait=3")}, SettingError, "Did you mean 'weight'"),
        ({"steps": ("tasks", "before", "after")}, SettingError, "no earlier step writes it"),
    ],
)
def test_wrong_steps_are_refused_before_anything_runs(
    changes: dict[str, Any], error: type[Exception], says: str, settings: Any, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        improve(replace(settings, **changes), runs=tmp_path)
    assert not list(tmp_path.glob("*/stages"))


def test_planted_plan_that_forgets_a_step(settings: Any, monkeypatch: Any) -> None:
    exact = planning.total_cost
    monkeypatch.setattr(planning, "total_cost", lambda parts, known: exact(parts[:-1], known))
    plan = make_plan(replace(settings, steps=(*STEPS, "short-answers")), 10**6, MACHINE)
    assert plan.generated_tokens == make_plan(settings, 10**6, MACHINE).generated_tokens
