"""`scaling` in the job: a pilot, its plan, rounds that follow it, and a plan that is verified."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import SettingError
from burnish.base.files import read_json, write_json
from burnish.recipes import piloting
from burnish.recipes.ablating import variants
from burnish.recipes.improve import improve
from burnish.recipes.planning import Calibration, make_plan
from burnish.recipes.settings import ScalingStageSettings
from burnish.recipes.steps import scaling
from burnish.recipes.steps.measure import ANSWER_TOKENS, PROMPT_TOKENS
from burnish.recipes.steps.scaling import ANSWERS, Scaling, sentence
from burnish.recipes.verify import verify_run
from burnish.scaling.tuning import Effort, TuningPlan

PILOT = ScalingStageSettings(pilot_tasks=32)
STEPS = ("tasks", "before", "scaling", "rounds", "after")
MACHINE = Calibration(flops_per_s=1e9, bytes_per_s=1e8)


def with_pilot(settings: Any, num_tasks: int = 32) -> Any:
    """A job whose training is too short, with a budget for more, and a model that guesses."""
    return replace(
        settings,
        rounds=1,
        steps=STEPS,
        split=replace(settings.split, dev=24),
        scaling=ScalingStageSettings(pilot_tasks=num_tasks, pilot_samples=6, budget=4.0),
        sample=replace(settings.sample, num_samples=5, num_extra=0, temperature=1.2, top_k=3),
        train=replace(settings.train, epochs=2),
    )


@pytest.fixture(scope="module")
def planned(settings: Any, tmp_path_factory: Any) -> dict[str, Any]:
    """The result of a run with a pilot."""
    return improve(with_pilot(settings), runs=tmp_path_factory.mktemp("planned"))


def check_followed(result: dict[str, Any]) -> None:
    told = result["scaling"]
    assert len(told["cells"]) == 9 and told["params"] and told["why"]
    chosen = told["plan"] or told["default"]
    assert result["rounds"][1]["num_sampled"] == 32 * chosen["num_samples"]
    assert len(result["rounds"][1]["losses"]) == chosen["num_steps"]


def test_a_pilot_plans_the_rounds(planned: dict[str, Any]) -> None:
    check_followed(planned)
    assert planned["scaling"]["plan"] is not None  # eight steps are too few
    losses = {(c["steps"], c["examples"]): c["loss"] for c in planned["scaling"]["cells"]}
    assert losses[max(losses)] < losses[min(losses)]
    (claim,) = [c for c in planned["claims"] if c["claim"].startswith("scaling: regret")]
    assert claim["low"] > 0 and claim["tokens"] > 0 and claim["seconds"] > 0
    titles = {block["title"] for block in planned["page"]["blocks"]}
    assert {"Samples and steps", "Pilot: loss on development tasks"} <= titles


def test_the_plan_is_verified(planned: dict[str, Any]) -> None:
    checks = verify_run(Path(planned["run"]))["checks"]
    assert {"check": "scaling-fit, made again", "outcome": "same", "why": ""} in checks


def test_a_forged_plan_is_found(planned: dict[str, Any], tmp_path: Path) -> None:
    run = Path(shutil.copytree(planned["run"], tmp_path / "copy"))
    place = run / "stages" / "scaling-fit" / "done.json"
    done = read_json(place)
    done["output"]["plan"]["regret"]["value"] *= 2
    write_json(place, done)
    found = {c["check"] for c in verify_run(run)["checks"] if c["outcome"] == "different"}
    assert "scaling-fit, made again" in found


def test_planted_rounds_that_ignore_the_plan(
    planned: dict[str, Any], settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from burnish.recipes.steps import rounds

    monkeypatch.setattr(rounds, "as_planned", lambda settings, look: settings)
    with pytest.raises(AssertionError):
        check_followed(improve(with_pilot(settings), runs=tmp_path, reuse=Path(planned["run"])))


def test_a_pilot_that_tells_nothing_keeps_the_default(settings: Any, tmp_path: Path) -> None:
    result = improve(with_pilot(settings, 2), runs=tmp_path)
    told = result["scaling"]
    assert told["plan"] is None and told["regret"] is None and told["cells"] == []
    assert "too small for its law" in told["why"]
    assert not any(c["claim"].startswith("scaling") for c in result["claims"])
    assert not list((Path(result["run"]) / "stages").glob("scaling-*-steps-*"))


def test_off_it_costs_nothing(settings: Any) -> None:
    part = Scaling.configured(settings)
    assert part.planned() == [] and list(part.steps({}.__getitem__)) == [] and part.reads == ()
    assert part.close({})[piloting.PLAN].content is None
    plain, more = (make_plan(one, 10**6, MACHINE) for one in (
        settings, replace(settings, scaling=PILOT)))  # fmt: skip
    assert more.trained_tokens > plain.trained_tokens
    assert more.generated_tokens > plain.generated_tokens


def test_the_plan_counts_samples_of_a_part_of_the_training_tasks(settings: Any) -> None:
    (pilot,) = [s for s in Scaling.configured(with_pilot(settings)).planned() if s.name == ANSWERS]
    for num_train, num_asked in ((100, 32 + 24), (5, 5 + 24)):
        cost = pilot.cost({"train": num_train, "dev": 24})
        assert cost.generated_tokens == 6 * num_asked * ANSWER_TOKENS
        assert cost.prefilled_tokens == num_asked * PROMPT_TOKENS


def test_it_can_be_ablated(settings: Any) -> None:
    assert "scaling" not in variants(settings)
    assert variants(replace(settings, scaling=PILOT))["scaling"].scaling.pilot_tasks == 0


def test_too_few_samples_are_refused(settings: Any) -> None:
    wrong = replace(settings, scaling=ScalingStageSettings(pilot_tasks=9, pilot_samples=3))
    with pytest.raises(SettingError, match="must be 0, or at least 4"):
        Scaling.configured(wrong)


def test_words_for_each_outcome() -> None:
    one = Effort(num_samples=2, num_steps=9, num_examples=30.0, tokens=100.0, loss=0.5)
    other = replace(one, num_steps=12, loss=0.25)
    assert sentence(TuningPlan(why="because").to_dict()) == (
        "scaling: the default is kept: because")  # fmt: skip
    from burnish.base.stats import Estimate

    regret = Estimate(value=0.25, low=0.1, high=0.4, n=12)
    found = TuningPlan(why="because", default=one, best=other, plan=other, regret=regret)
    assert sentence(found.to_dict()) == (
        "scaling: 2 samples and 9 steps (default) against 2 and 12: regret 0.2500 "
        "[0.1000, 0.4000] nats a token; planned: because")  # fmt: skip
    kept = replace(found, plan=None).to_dict()
    assert "the default is kept: because" in sentence(kept)
    table = scaling.plan_table(kept)
    assert [row[0] for row in table.rows] == ["as the settings are", "best within the budget"]
