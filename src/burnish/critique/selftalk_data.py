"""Self-talk rows of planted errors: the chain, its parts, and two other corrections."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from burnish.critique.planted import scripted_critique
from burnish.critique.selftalk import Thought, corrected, spans, weave
from burnish.critique.triples import Solution
from burnish.data.chains import chain_of


def talk_rows(solutions: Iterable[Solution]) -> list[dict[str, Any]]:
    """A row for each solution of a chain: `answer` is the self-talk, `spans` its parts.

    `step` has the wrong step replaced in place, `trajectory` the wrong attempt and then the right
    solution. A part that is not `learned` holds a wrong step.
    Source: ours, after arXiv 2411.16579. Oracle: tests/critique/test_selftalk_data.py::test_rows
    """
    rows: list[dict[str, Any]] = []
    for one in solutions:
        thoughts = thoughts_of(one)
        if thoughts is None:
            continue
        rows.append(
            {
                "prompt": one.task.prompt,
                "answer": corrected(thoughts, "self-talk"),
                "spans": [asdict(span) for span in spans(thoughts)],
                "step": corrected(thoughts, "step"),
                "trajectory": corrected(thoughts, "trajectory"),
            }
        )
    return rows


def thoughts_of(one: Solution) -> list[Thought] | None:
    """A solution with its first error checked and revised, and the right steps from there.

    None for a task whose steps no program verifies, and where nothing replaces the last step.
    """
    chain = chain_of(one.task)
    critique = scripted_critique(one, mode="first_error")
    if chain is None or critique is None:
        return None
    done = len(critique.steps) - (critique.first_error >= 0)
    rest = chain.steps()[done:]
    if critique.first_error >= 0 and not rest:
        return None  # steps too many
    return weave(critique, rest)
