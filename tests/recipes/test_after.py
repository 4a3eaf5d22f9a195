"""The verdict's words follow the numbers."""

from typing import Any

import numpy as np
import pytest

from burnish.base.stages import StageResult
from burnish.contracts.task import Task
from burnish.jobs.step import Given, constant
from burnish.recipes import gates
from burnish.recipes.measuring import measure_answers, measure_gain
from burnish.recipes.steps.after import AfterStep, verdict


def told(make_record: Any, won: int, lost: int, *, margin: float) -> tuple[str, bool | None]:
    """The verdict on 60 tasks of which so many were won and lost."""
    kinds = [("wrong", "right")] * won + [("right", "wrong")] * lost
    kinds += [("right", "right"), ("wrong", "wrong")] * ((60 - won - lost) // 2)
    before, after = (
        [make_record(pair[side], task=str(i)) for i, pair in enumerate(kinds)] for side in (0, 1)
    )
    rng = np.random.default_rng(0)
    gain = measure_gain(before, after, rng)
    tested = gates.better(gain.accuracy, margin=margin)
    return verdict(measure_answers(before, rng), measure_answers(after, rng), gain, tested)


@pytest.mark.parametrize(
    ("won", "lost", "margin", "words", "good"),
    [
        (20, 0, 0.0, " rose from ", True),
        (0, 20, 0.0, " fell from ", False),
        (0, 20, 0.9, " fell from ", None),  # inside the margin, and yet fewer are right
        (2, 2, 0.0, "no evidence of a difference", None),
        (2, 4, 0.5, "no evidence of a difference", None),  # passes, but shows no gain
    ],
)
def test_words_follow_the_interval(
    won: int, lost: int, margin: float, words: str, good: Any, make_record: Any
) -> None:
    sentence, colour = told(make_record, won, lost, margin=margin)
    assert words in sentence and colour is good
    assert sentence.startswith("Accuracy on 60 held-out tasks ")


@pytest.fixture
def page(settings: Any, make_record: Any, tmp_path: Any) -> Any:
    """What the step says where 1 of 4 answers was right before, and 3 longer ones are after."""
    tasks = [
        Task(id=str(i), prompt=f"p{i}", answer="a", checker="exact", group="g") for i in range(4)
    ]
    kinds = (("right", "wrong", "wrong", "unscored"), ("right", "right", "right", "wrong"))
    sides = [
        [make_record(kind, task=str(i), tokens=num, answer=f"{num}") for i, kind in enumerate(own)]
        for own, num in zip(kinds, (2, 5), strict=True)
    ]
    step = AfterStep.configured(settings)
    values = {"measure-before": sides[0], step.name: sides[1], "heldout": tasks}
    given = Given("x", {n: constant(v) for n, v in values.items()}, list(values))
    done = StageResult(
        name=step.name, key="k", path=tmp_path, output={}, artefacts=(), seconds=1.0, reused=False
    )
    return step.tell(done, given)


def test_before_stands_before_after(page: Any) -> None:
    (told,) = [one for one in page if one.headline]
    before, after, length = told.headline
    assert (before[:2], after[:2]) == (("Before", "25.0%"), ("After", "75.0%"))
    assert length[1] == "2.0 → 5.0"
    chart, gain, answers = told.blocks
    assert [(one.name, one.y[0]) for one in chart.series] == [("before", 0.25), ("after", 0.75)]
    assert [row[1] for row in gain.rows] == [0.5, 0.0, -0.0, 0.5]
    assert [(row[0], row[2]) for row in answers.rows] == [("before", 1), ("after", 0)]
    assert told.numbers["after"]["accuracy"]["value"] == 0.75
    assert told.numbers["gain"]["value"] == 0.5
    assert " 25.0% to 75.0%" in told.verdict[0]
    (samples,) = [b for one in page if one.section == "samples" for b in one.blocks]
    assert [(s.before, s.after) for s in samples.samples] == [("2", "5")] * 4
