"""The verdict's words follow the numbers."""

from typing import Any

import numpy as np
import pytest

from burnish.recipes import gates
from burnish.recipes.measuring import measure_answers, measure_gain
from burnish.recipes.steps.after import verdict


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
