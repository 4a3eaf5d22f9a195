"""Annotators: who writes the critiques that a critic learns from."""

from collections.abc import Sequence

from burnish.base.rng import derive_seed
from burnish.contracts.generation import Sampling
from burnish.critique.grammar import render
from burnish.critique.planted import scripted_critique
from burnish.critique.players import Player, Wish, Written
from burnish.critique.triples import Solution
from burnish.critique.wording import Wording

SCRIPTED = "scripted"


def annotate(
    solutions: Sequence[Solution],
    annotator: Player | None,
    wording: Wording,
    *,
    name: str,
    max_new_tokens: int = 512,
    hints: bool = True,
    seed: int = 0,
) -> list[Written | None]:
    """A critique of each solution; None where the program cannot verify its task.

    Without an annotator the program verifies the steps. With `hints` a model is told the
    reference answer, and where they are known the wrong step and the type of its error, as the
    paper's annotator was: for training tasks only.
    Source: arXiv 2411.16579, stage 2. Oracle: tests/critique/test_annotate.py::test_hints_by_origin
    """
    if annotator is None:
        return [_scripted(number, one, wording) for number, one in enumerate(solutions)]
    wishes = [
        Wish(
            id=f"{number}/{one.task.id}",
            prompt=wording.critique_prompt(one.task.prompt, one.text)
            + (hint(one) if hints else ""),
            sampling=Sampling(max_new_tokens=max_new_tokens, seed=derive_seed(seed, one.task.id)),
        )
        for number, one in enumerate(solutions)
    ]
    return list(annotator.write(name, wishes))


def hint(solution: Solution) -> str:
    """What the annotator is told, by the origin of the solution and what is known about it."""
    told = f"\n\nThe reference answer is {solution.task.answer}. Do not tell it."
    error = -1 if solution.first_error is None else solution.first_error
    if solution.origin in ("located", "inserted") and error >= 0:
        told += f" The first wrong step is number {error + 1}."
    if solution.origin == "inserted" and solution.kind:
        told += f" The type of the error is {solution.kind}."
    return told


def _scripted(number: int, solution: Solution, wording: Wording) -> Written | None:
    critique = scripted_critique(solution, mode=wording.mode)
    if critique is None:
        return None
    text = render(critique, wording.form)
    length = len(text.split())
    return Written(id=f"{number}/{solution.task.id}", text=text, tokens=length, prompt_tokens=0)
