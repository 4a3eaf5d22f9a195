"""The planted-error bench: errors at known steps, and critics measured without a judge."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from burnish.base.rng import stream
from burnish.base.stats import wilson
from burnish.contracts.task import Task
from burnish.critique.grammar import Critique, Read, StepVerdict, steps_of
from burnish.critique.triples import NO_ERROR, Solution
from burnish.data.chains import KINDS, Chain, chain_of, plant, verify, worked


def planted_solutions(
    tasks: Sequence[Task], *, right_frac: float, seed: int, per_task: int = 1
) -> list[Solution]:
    """Solutions of chains: a share is right, the others have one error at a step drawn uniformly.

    Source: ours. Oracle: tests/critique/test_planted.py::test_places_are_uniform_and_labels_exact
    """
    found: list[Solution] = []
    for task in tasks:
        chain = chain_of(task)
        if chain is None:
            continue
        for number in range(per_task):
            rng = stream(seed, "planted", task.id, number)
            if rng.random() < right_frac:
                found.append(
                    Solution(task=task, text=worked(chain.steps()), right=True, origin="right",
                             first_error=NO_ERROR)
                )  # fmt: skip
                continue
            at, kind = int(rng.integers(len(chain.moves))), str(rng.choice(KINDS))
            found.append(labelled(task, chain, worked(plant(chain, at, kind, rng)), "inserted"))
    return found


def labelled(task: Task, chain: Chain, text: str, origin: str) -> Solution:
    """A solution with the label that the program gives it."""
    seen = verify(chain, text)
    return Solution(
        task=task, text=text, right=seen.right, origin=origin, first_error=seen.first_error,
        kind=seen.kind,
    )  # fmt: skip


def scripted_critique(solution: Solution, *, mode: str, leak: bool = False) -> Critique | None:
    """The critique by the program that verifies steps; None for a task that it cannot verify.

    `first_error` stops after the first wrong step, `full` goes on and calls all later ones wrong,
    as the released data do. `leak` adds the reference, for tests of the audit.
    Source: ours. Oracle: tests/critique/test_planted.py::test_a_scripted_critic_scores_one
    """
    chain = chain_of(solution.task)
    if chain is None:
        return None
    seen = verify(chain, solution.text)
    steps: list[StepVerdict] = []
    error = seen.first_error
    for index, step in enumerate(seen.steps):
        wrong = 0 <= error <= index
        steps.append(
            StepVerdict(
                sentence=step, right=not wrong, why=_why(chain, seen, index) if wrong else ""
            )
        )
        if wrong and mode == "first_error":
            break
    why = f"the result is {solution.task.answer}" if leak else ""
    if error == len(seen.steps) and steps:  # nothing but the end is wrong: its last step is named
        steps[-1] = StepVerdict(sentence=steps[-1].sentence, right=False, why=seen.kind)
    return Critique(steps=tuple(steps), right=seen.right, why=why)


def _why(chain: Chain, seen: Any, index: int) -> str:
    """What the first wrong line should have been."""
    if index != seen.first_error or index >= len(chain.moves):
        return "it follows from a wrong step"
    return chain.steps()[index]


def measure_critic(reads: Sequence[Read], solutions: Sequence[Solution]) -> dict[str, Any]:
    """How well critiques find first errors: each number with its interval, chance beside it.

    Localisation is over all solutions: the first wrong step is named, or a right one passed. A
    critique that cannot be used is never right. Discriminability is the balanced accuracy of the
    final verdict; the false-alarm rate is over right solutions.
    Source: ours. Oracle: tests/critique/test_planted.py::test_a_scripted_critic_scores_one
    """
    known = [(r, s) for r, s in zip(reads, solutions, strict=True) if s.first_error is not None]
    located = [_located(read, one) for read, one in known]
    wrong = [(r, s) for r, s in known if not s.right]
    right = [(r, s) for r, s in known if s.right]
    detected = sum(_flagged(read) for read, _ in wrong)
    alarms = sum(_flagged(read) for read, _ in right)
    passed = sum(r.usable and r.critique is not None and r.critique.right for r, _ in right)
    chance = [1 / (len(steps_of(one.text)) + 1) for _, one in known]
    numbers: dict[str, Any] = {
        "num": len(known),
        "states": dict(Counter(str(read.state) for read, _ in known)),
        "localisation": wilson(sum(located), len(known)).to_dict() if known else None,
        "chance": sum(chance) / len(chance) if chance else None,
        "detection": wilson(detected, len(wrong)).to_dict() if wrong else None,
        "false_alarm": wilson(alarms, len(right)).to_dict() if right else None,
        "by_place": _by_place(known),
    }
    if wrong and right:
        numbers["discriminability"] = (detected / len(wrong) + passed / len(right)) / 2
    return numbers


def _flagged(read: Read) -> bool:
    return read.usable and read.critique is not None and not read.critique.right


def _located(read: Read, solution: Solution) -> bool:
    if not read.usable or read.critique is None:
        return False
    last = len(read.critique.steps)
    error = solution.first_error
    if error == len(steps_of(solution.text)):  # only the end is wrong
        error = last - 1
    return read.critique.first_error == error and read.critique.right == solution.right


def _by_place(known: Sequence[tuple[Read, Solution]]) -> Mapping[str, Any]:
    places: dict[int, list[bool]] = {}
    for read, one in known:
        places.setdefault(one.first_error or 0, []).append(_located(read, one))
    return {
        str(place): wilson(sum(found), len(found)).to_dict()
        for place, found in sorted(places.items())
    }
