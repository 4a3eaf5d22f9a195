"""The gate "not slower": by planted times, and on a model that is really slowed."""

from pathlib import Path
from typing import Any

import pytest

from burnish.base.errors import SettingError
from burnish.base.meter import Meter
from burnish.base.records import read_json
from burnish.data.tasks import make_task
from burnish.draft.choice import choose
from burnish.recipes.settings import SpeedSettings
from burnish.recipes.steps.measure import PROMPT_TOKENS
from burnish.recipes.steps.speed import (
    SpeedStep,
    _Served,
    drafter_fate,
    not_slower,
    speed_change,
    tokens_per_s,
)


def turns_of(before: list[float], after: list[float]) -> list[dict[str, Any]]:
    rows = []
    for old, new in zip(before, after, strict=True):
        rows += [{"side": "before", "seconds": old, "tokens": 60}]
        rows += [{"side": "after", "seconds": new, "tokens": 60}]
    return rows


def outcome(before: list[float], after: list[float], *, same: bool = True) -> str:
    turns = turns_of(before, after)
    rates = {side: tokens_per_s(turns, side) for side in ("before", "after")}
    return not_slower(speed_change(rates, seed=0), margin=0.1, same=same).outcome


def test_equal_speed_passes() -> None:
    assert outcome([1.0, 1.01, 0.99, 1.02, 1.0], [1.0, 1.0, 1.01, 1.01, 1.0]) == "pass"


def test_a_slowed_model_fails() -> None:
    assert outcome([1.0, 1.01, 0.99, 1.02, 1.0], [1.5, 1.51, 1.45, 1.55, 1.5]) == "fail"


def test_noise_decides_nothing() -> None:
    assert outcome([1.0, 2.0, 0.5], [2.0, 1.0, 0.6]) == "undetermined"


def test_a_changed_text_cannot_pass() -> None:
    assert outcome([1.0, 1.01, 0.99], [1.0, 1.0, 1.0], same=False) == "undetermined"


def test_turns_alternate_and_write_as_much(finished: Path, settings: Any) -> None:
    done = read_json(finished / "stages" / "speed" / "done.json")["output"]
    assert [turn["side"] for turn in done["turns"]] == ["before", "after", "after", "before"]
    assert {turn["tokens"] for turn in done["turns"]} == {2 * 3}
    assert done["decoding"] == {"before": "plain", "after": "plain"} and done["same_text"]
    assert read_json(finished / "result.json")["speed"]["change_frac"]["n"] == 2


def test_drafts_that_change_a_text_are_noticed(tiny_model: Any) -> None:
    model = tiny_model("llama")
    tasks = [make_task("the abc", "1", group="g", checker="number")]
    served = _Served(model, choose(model, "ngram"), tasks, 9)
    served.decode(Meter())
    assert served.same_text()
    served._texts = [(1, *served._texts[0][1:])]
    assert not served.same_text()


@pytest.mark.parametrize(("repeats", "num"), [(3, 2 * 4 * 5), (0, 0)])
def test_the_cost_counts_the_turn_that_warms_up(repeats: int, num: int) -> None:
    speed = SpeedSettings(repeats=repeats, num_prompts=5, new_tokens=7)
    cost = SpeedStep(speed=speed, draft="off", seed=0, precision="fp32").cost({})
    assert (cost.generated_tokens, cost.prefilled_tokens) == (7 * num, PROMPT_TOKENS * num)


def test_one_turn_is_refused() -> None:
    with pytest.raises(SettingError, match="One turn"):
        SpeedSettings(repeats=1)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("plain", "plain", "alike"),
        ("firp", "firp", "alike"),
        ("firp", "plain", "Drafting with firp was dropped for the trained model: no maps."),
        ("firp", "ngram", "drafts with ngram in place of firp"),
        ("plain", "ngram", "drafts with ngram in place of plain decoding"),
    ],
)
def test_the_page_says_what_became_of_drafters(before: str, after: str, says: str) -> None:
    found = drafter_fate({"before": before, "after": after}, {"after": "no maps"})
    assert says in found
