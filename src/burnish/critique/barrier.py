"""The barrier against shortcuts: a refinement that states a result without working is refused."""

from burnish.data.numbers import clean_text, find_numbers

SLACK = 2


def num_numbers(text: str) -> int:
    """How many numbers a text contains."""
    return sum(1 for _ in find_numbers(clean_text(text)))


def is_shortcut(refined: str, first: str, reference: str | None = None) -> bool:
    """Whether a refinement has far fewer numbers than the answer and the worked reference.

    Source: WooooDyy/MathCritique: fewer than the smaller of the two counts, less two. Without a
    worked reference the answer alone counts.
    Oracle: tests/critique/test_barrier.py::test_planted_short_cuts
    """
    counts = [num_numbers(first)] + ([num_numbers(reference)] if reference else [])
    return num_numbers(refined) < min(counts) - SLACK


def copies(refined: str, first: str) -> bool:
    """Whether a refinement repeats the answer."""
    return refined.split() == first.split()
