"""Instructions made harder in rounds, by operators that need no model."""

from collections.abc import Callable, Sequence

import numpy as np

from burnish.base.rng import stream

NUM_LEVELS = 6  # 0 to 5: as many rounds of evolution
OPERATORS: dict[str, tuple[str, ...]] = {
    "constraint": (
        "Do not use any library function for the main step.",
        "The solution must run in O(n log n) time.",
        "Use constant extra memory.",
        "It must work on a stream that does not fit into memory.",
        "Do not change the arguments.",
        "Avoid recursion; the input may be nested very deeply.",
        "Results must not depend on the order of the input.",
    ),
    "input": (
        "The input may be empty, and may hold None.",
        "Inputs may be as large as 10^9.",
        "Some values are given as strings that have to be parsed first.",
        "Negative values count as missing.",
        "The input may hold duplicates, which count once.",
        "Values arrive as nested lists of any depth.",
    ),
    "deepen": (
        "Explain why the approach is correct, and give its worst-case cost.",
        "Raise a descriptive error for each kind of invalid input.",
        "Return the positions as well as the values.",
        "If there are several answers, return the lexicographically smallest one.",
        "Also handle updates: after each change, answer again without recomputing everything.",
        "Count all possible results modulo 1000000007.",
    ),
    "reason": (
        "First decide which of two competing strategies is better, and use that one.",
        "Combine it with a graph search over the dependent elements.",
        "Use dynamic programming over subsets of the elements.",
        "Minimise the largest cost over all ways to divide the elements into k groups.",
        "Use a priority queue to serve the elements by deadline.",
    ),
    "concrete": (
        "Instead of numbers, the elements are intervals with a start and an end.",
        "The elements are nodes of a binary tree, given in level order.",
        "The elements are cells of a grid with obstacles.",
        "The elements are edges of a weighted graph.",
    ),
}


def evolve(instruction: str, level: int, *, seed: int = 0) -> str:
    """The instruction after `level` rounds; each adds a demand of another kind than the last.

    Source: in-depth evolution as in WizardCoder, arXiv 2306.08568, which asks a model.
    Departure: operators of ours, so that nothing but permissive text is used, and six levels.
    Oracle: tests/curate/test_evolve.py::test_each_round_adds_one_demand
    """
    rng = stream(seed, "evolve", instruction)
    kinds = list(OPERATORS)
    text, used, last = instruction.strip(), set[str](), ""
    for _ in range(level):
        kind = str(rng.choice([k for k in kinds if k != last]))
        free = [s for s in OPERATORS[kind] if s not in used]
        sentence = str(rng.choice(free or [s for some in OPERATORS.values() for s in some]))
        text, last = f"{text}\n{sentence}", kind
        used.add(sentence)
    return text


def evolve_by_model(
    instructions: Sequence[str], levels: int, ask: Callable[[int, Sequence[str]], list[str]]
) -> list[list[str]]:
    """Each instruction after 0, 1, ... rounds in which a model makes it harder.

    `ask(round, prompts)` answers all prompts of a round. Where the model writes nothing, or the
    same again, the instruction has no further levels, so a list may be short.
    Source: WizardCoder, arXiv 2306.08568; the wording is ours.
    Oracle: tests/curate/test_evolve.py::test_a_model_is_asked_once_a_round
    """
    found = [[text] for text in instructions]
    going = list(range(len(found)))
    for level in range(1, levels):
        prompts = [MAKE_HARDER.format(instruction=found[i][-1]) for i in going]
        texts = [text.strip() for text in ask(level, prompts)] if prompts else []
        good = [(i, t) for i, t in zip(going, texts, strict=True) if t and t != found[i][-1]]
        for i, text in good:
            found[i].append(text)
        going = [i for i, _ in good]
    return found


MAKE_HARDER = """\
Rewrite this programming task so that it is somewhat harder to solve. Add one demand: a
constraint, an unusual input, another kind of reasoning, or a more specific setting. Keep it
solvable, add at most twenty words, and write only the new task.

Task:
{instruction}

New task:
"""


def evolved_set(
    instructions: Sequence[str], *, levels: int = NUM_LEVELS, seed: int = 0
) -> tuple[list[str], np.ndarray]:
    """Every instruction at every level, with the levels."""
    texts = [evolve(text, level, seed=seed) for text in instructions for level in range(levels)]
    return texts, np.tile(np.arange(levels), len(instructions))
