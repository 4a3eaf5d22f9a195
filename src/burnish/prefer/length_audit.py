"""What pairs teach about length, before any training."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from burnish.base.errors import IncompleteError
from burnish.base.rng import stream
from burnish.base.stats import Estimate, wilson
from burnish.prefer.association import estimate, paired_auc
from burnish.prefer.pairs import Pair
from burnish.prefer.reading import PairSet


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Length in the labels. Lengths are tokens of the answers, end token included.

    `chosen_longer_frac`: share of pairs; `length_auc`: how well the length difference alone tells
    which was chosen; `excess_tokens_frac`: tokens past the public length, of all.
    """

    num_pairs: int
    chosen_longer_frac: Estimate
    equal_length_frac: Estimate
    length_auc: Estimate
    excess_tokens_frac: Estimate
    chosen_tokens: Estimate
    rejected_tokens: Estimate
    truncated: int
    missing_end: int
    num_undecided: int
    problems: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """Numbers by name; their intervals under `intervals`."""
        fields = asdict(self)
        intervals = {name: value for name, value in fields.items() if isinstance(value, dict)}
        numbers = {name: value["value"] for name, value in intervals.items()}
        rows = {"problems": list(self.problems), "num_problems": len(self.problems)}
        return fields | numbers | rows | {"intervals": intervals}


def audit_pairs(found: PairSet, *, seed: int = 0) -> Audit:
    """Measure what the labels say about length. Raises IncompleteError for fewer than two pairs.

    Source: ours. Oracle: tests/prefer/test_length_audit.py::test_numbers_by_hand
    """
    check_enough(found.pairs, len(found.problems))
    sizes = np.array([pair.lengths for pair in found.pairs], dtype=float)
    excess = sizes[:, 0] - sizes[:, 1]
    num = len(sizes)

    def measured(name: str, statistic: Any) -> Estimate:
        return estimate(statistic, num, stream(seed, "audit", name))

    def excess_frac(drawn: np.ndarray) -> float:
        return float(np.abs(excess[drawn]).sum() / sizes[drawn].sum())

    return Audit(
        num_pairs=num,
        chosen_longer_frac=wilson(int((excess > 0).sum()), num),
        equal_length_frac=wilson(int((excess == 0).sum()), num),
        length_auc=measured("auc", lambda drawn: paired_auc(excess[drawn])),
        excess_tokens_frac=measured("excess", excess_frac),
        chosen_tokens=measured("chosen", lambda drawn: float(sizes[drawn, 0].mean())),
        rejected_tokens=measured("rejected", lambda drawn: float(sizes[drawn, 1].mean())),
        truncated=found.num_truncated,
        missing_end=found.num_without_end,
        num_undecided=found.num_undecided,
        problems=tuple(problem.to_dict() for problem in found.problems),
    )


def check_enough(pairs: Sequence[Pair], num_problems: int) -> None:
    """Raise IncompleteError where fewer than two pairs are left: one has no interval."""
    check_enough_pairs(len(pairs), num_problems)


def check_enough_pairs(num_pairs: int, num_problems: int) -> None:
    """As `check_enough`, for a number of pairs."""
    if num_pairs < 2:
        told = f"Correct the rows that had problems ({num_problems}), or give"
        remedy = f"{told if num_problems else 'Give'} more pairs"
        raise IncompleteError("usable pairs", num_pairs, "must be at least two", remedy=remedy)
