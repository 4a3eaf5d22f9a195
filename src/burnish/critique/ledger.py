"""What revisions changed: flips by round, the chain that forecasts them, and when to stop."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.errors import SettingError
from burnish.base.stats import wilson

FLIPS = ("WR", "RW", "WW", "RR", "WW'", "RR'")  # a dash: right or wrong still, another answer


@dataclass(frozen=True, kw_only=True)
class Gated:
    """The probabilities of one gated round.

    `right`: of an answer before; `passes`: a right one is passed; `flags`: a wrong one is flagged;
    `stays`: a flagged right one is right after; `fixes`: a flagged wrong one is right after.
    Ungated rounds have passes 0 and flags 1.
    """

    right: float
    passes: float
    flags: float
    stays: float
    fixes: float

    @property
    def loss(self) -> float:
        """Chance that a right answer becomes wrong in a round."""
        return (1 - self.passes) * (1 - self.stays)

    @property
    def gain(self) -> float:
        """Chance that a wrong answer becomes right in a round."""
        return self.flags * self.fixes

    def after(self, rounds: int) -> float:
        """Accuracy after so many rounds."""
        return forecast(self.right, self.gain, self.loss, rounds)


def forecast(right: float, gain: float, loss: float, rounds: int) -> float:
    """Accuracy of a two-state chain after `rounds` steps.

    Source: ours: p_t = p_inf + (p_0 - p_inf)(1 - a - g)^t with p_inf = g / (a + g).
    Oracle: tests/critique/test_ledger.py::test_the_closed_form_equals_a_simulation
    """
    for name, value in (("right", right), ("gain", gain), ("loss", loss)):
        if not 0 <= value <= 1:
            raise SettingError(name, value, "must lie in [0, 1]", remedy="Give a probability")
    if gain + loss == 0:
        return right
    limit = gain / (gain + loss)
    return limit + (right - limit) * (1 - gain - loss) ** rounds


def flip(before_right: bool, after_right: bool, same: bool) -> str:
    """The name of a round's effect on an answer."""
    name = ("R" if before_right else "W") + ("R" if after_right else "W")
    return name if same or before_right != after_right else f"{name}'"


def count_flips(rounds: Sequence[Sequence[tuple[bool, bool, bool]]]) -> list[dict[str, int]]:
    """Flips of each round; its rows are (right before, right after, same answer)."""
    counted = []
    for rows in rounds:
        seen = Counter(flip(*row) for row in rows)
        counted.append({name: seen[name] for name in FLIPS})
    return counted


def estimate_chain(flips: Sequence[Mapping[str, int]]) -> dict[str, Any]:
    """Gain and loss of a round with intervals, and the accuracy that rounds tend to."""
    total = {name: sum(one[name] for one in flips) for name in FLIPS}
    wrong = total["WR"] + total["WW"] + total["WW'"]
    right = total["RW"] + total["RR"] + total["RR'"]
    found: dict[str, Any] = {
        "fix_rate": wilson(total["WR"], wrong).to_dict() if wrong else None,
        "break_rate": wilson(total["RW"], right).to_dict() if right else None,
        "limit": None,
    }
    gain = total["WR"] / wrong if wrong else 0.0
    loss = total["RW"] / right if right else 0.0
    if wrong and right and gain + loss > 0:
        found["limit"] = gain / (gain + loss)
    return found


def should_stop(right: float, flips: Sequence[Mapping[str, int]], *, margin: float) -> bool:
    """Whether the next round is forecast to bring less than `margin` of accuracy."""
    total = estimate_chain(flips)
    gain = total["fix_rate"]["value"] if total["fix_rate"] else 0.0
    loss = total["break_rate"]["value"] if total["break_rate"] else 0.0
    return forecast(right, gain, loss, 1) - right < margin
