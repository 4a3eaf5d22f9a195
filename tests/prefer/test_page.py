"""The page says what the result says, and draws it."""

from typing import Any

import numpy as np
import pytest

from burnish.prefer.alpha_curve import alpha_curve
from burnish.prefer.measure import Scores, measure_margins
from burnish.prefer.page import make_page, verdict_sentence
from burnish.prefer.pulls import Pulls
from burnish.report.html import render
from burnish.report.pages import check_page


def scores() -> Scores:
    rng = np.random.default_rng(1)
    return Scores(
        lengths=rng.integers(3, 30, (25, 2)),
        public=rng.normal(size=(25, 2)),
        tail=rng.normal(size=(25, 2)),
    )


def result_of(found: Scores, **changed: Any) -> dict[str, Any]:
    written = {"length_tokens": {"value": 31.24, "low": 30.0, "high": 33.0, "n": 9},
               "num_capped": 2, "cap_tokens": 64}  # fmt: skip
    longer = written | {"length_tokens": {"value": 40.0, "low": 38.0, "high": 41.0, "n": 9}}
    step = {"step": 0, "loss": 0.69, "margin": 0.0, "chosen_drift_nats": 0.0,
            "rejected_drift_nats": -0.1}  # fmt: skip
    base = {
        "base": "tiny", "loss": {"name": "ld-dpo", "alpha": 0.5}, "num_steps": 2,
        "margins": measure_margins(found).to_dict(),
        "lengths": {"before": written, "after": longer},
        "evaluations": [{"step": 0, "generated": written}, {"step": 2, "generated": longer}],
        "curve": alpha_curve(found).to_dict(),
        "steps": [step, step | {"step": 1, "loss": 0.5}],
        "problems": [{"row": 3, "problem": "must not be <empty>", "got": "''"}],
        "num_undecided": 4, "truncated": 1,
    }  # fmt: skip
    return base | changed


def drawn(result: dict[str, Any]) -> str:
    pulls = [([("Blue", "No"), (".", "")], Pulls(chosen=(0.05, 0.05), rejected=(-0.05,)))]
    page = make_page(result, scores(), pulls=pulls)
    check_page(page)
    return render(page)


def check_drawn(draw: Any) -> None:
    html = draw(result_of(scores()))
    shown = ("went from 31.2 to 40.0 tokens", "Length-neutral alpha", "must not be &lt;empty")
    for text in (*shown, "Weights of tokens, example 1", "states no win rate", "cut at the cap"):
        assert text in html, text


def test_the_page_shows_what_was_measured() -> None:
    check_drawn(drawn)


def test_planted_lengths_turned() -> None:
    def turned(result: dict[str, Any]) -> str:
        before, after = result["lengths"].values()
        return drawn(result | {"lengths": {"before": after, "after": before}})

    with pytest.raises(AssertionError):
        check_drawn(turned)


def test_what_was_not_measured_is_left_out() -> None:
    nothing = {"before": None, "after": None}
    rows = [{"step": 0, "generated": None}]
    result = result_of(scores(), lengths=nothing, evaluations=rows, curve=None)
    assert verdict_sentence(result).endswith("no answers were generated.")
    assert "Length-neutral" not in drawn(result).split("How to read")[0]
