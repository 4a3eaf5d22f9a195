"""Flawed solutions of three kinds: sampled, with a located error, with an inserted error."""

from collections.abc import Sequence
from dataclasses import dataclass

from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.naming import suggest
from burnish.base.rng import derive_seed, stream
from burnish.contracts.generation import Sampling
from burnish.contracts.task import Task, Verdict
from burnish.critique.grammar import steps_of
from burnish.critique.planted import labelled
from burnish.critique.players import Player, Wish, Written
from burnish.critique.triples import NO_ERROR, Solution
from burnish.data.chains import KINDS, chain_of, plant, verify, worked
from burnish.data.checkers import judge


@dataclass(frozen=True, kw_only=True)
class FlawSettings:
    """How many answers of each kind a task gets and how they are sampled.

    `hot_temperature`: of the steps behind a located error's prefix. `max_resamples`: attempts to
    make it go wrong. `right_frac` is the share of right solutions among all: a critic that never
    sees one cannot say Correct. `kinds` are the types of inserted errors.
    """

    num_samples: int = 4
    num_located: int = 1
    num_inserted: int = 2
    temperature: float = 0.7
    hot_temperature: float = 1.0
    max_resamples: int = 4
    right_frac: float = 0.3
    kinds: tuple[str, ...] = KINDS
    max_new_tokens: int = 128

    def __post_init__(self) -> None:
        if not 0 <= self.right_frac < 1:
            value, remedy = self.right_frac, "0.3 is usual"
            raise SettingError("right_frac", value, "must lie in [0, 1)", remedy=remedy)
        if unknown := sorted(set(self.kinds) - set(KINDS)):
            raise UnknownNameError(
                "kind", unknown[0], "is unknown", remedy=suggest(unknown[0], KINDS)
            )
        for name in ("num_samples", "num_located", "num_inserted", "max_resamples"):
            if getattr(self, name) < 0:
                remedy = "0 leaves them out"
                raise SettingError(name, getattr(self, name), "must not be negative", remedy=remedy)
        for temperature in (self.temperature, self.hot_temperature):
            Sampling(max_new_tokens=self.max_new_tokens, temperature=temperature)  # checks both


def sampled_solutions(
    tasks: Sequence[Task], actor: Player, settings: FlawSettings, *, seed: int
) -> list[Solution]:
    """RG1: samples of the actor, right ones and wrong ones, each text of a task once.

    Source: arXiv 2411.16579, stage 1. Oracle: tests/critique/test_flaws.py::test_three_origins
    """
    wishes = [
        _wish(task, f"{task.id}/{number}", settings.temperature, seed, number, settings)
        for task in tasks
        for number in range(settings.num_samples)
    ]
    written = actor.write("sampled", wishes)
    owners = [task for task in tasks for _ in range(settings.num_samples)]
    seen: dict[tuple[str, str], Solution] = {}
    for task, one in zip(owners, written, strict=True):
        seen.setdefault((task.id, " ".join(one.text.split())), judged(task, one, "sampled"))
    return list(seen.values())


def judged(task: Task, one: Written, origin: str) -> Solution:
    """A written answer with its verdict, and its label where a program can give it."""
    chain = chain_of(task)
    if chain is not None:
        found = labelled(task, chain, one.text, origin)
        return Solution(**{**vars(found), "tokens": one.tokens})
    right = judge(one.text, task).verdict == Verdict.RIGHT
    known = NO_ERROR if right else None
    return Solution(
        task=task, text=one.text, right=right, origin=origin, first_error=known, tokens=one.tokens
    )


def located_solutions(
    solutions: Sequence[Solution], actor: Player, settings: FlawSettings, *, seed: int
) -> list[Solution]:
    """RG2: a right prefix, continued at a higher temperature until the answer goes wrong after it.

    The prefix is that of a right solution, at a step drawn at random; where a program can verify
    steps, a continuation counts only if the prefix is right and the end wrong. Others count if
    the final answer is wrong, and their first wrong step stays unknown.
    Source: arXiv 2411.16579, stage 1. Oracle: tests/critique/test_flaws.py::test_prefixes_are_right
    """
    right = [one for one in solutions if one.right and len(steps_of(one.text)) > 1]
    open_ = right * settings.num_located
    found: list[Solution] = []
    for attempt in range(settings.max_resamples):
        places = [_place(one, seed, i) for i, one in enumerate(open_)]
        wishes = [
            Wish(
                id=f"{i}/{one.task.id}/{attempt}",
                prompt=one.task.prompt,
                begin="".join(f"{step}\n" for step in steps_of(one.text)[: places[i]]),
                sampling=Sampling(
                    max_new_tokens=settings.max_new_tokens,
                    temperature=settings.hot_temperature,
                    seed=derive_seed(seed, "located", one.task.id, i, attempt),
                ),
            )
            for i, one in enumerate(open_)
        ]
        if not wishes:
            break
        written = actor.write(f"located-{attempt}", wishes)
        tried = [(o, judged(o.task, w, "located"), p)
                 for o, w, p in zip(open_, written, places, strict=True)]  # fmt: skip
        found += [new for _, new, place in tried if _goes_wrong(new, place)]
        open_ = [old for old, new, place in tried if not _goes_wrong(new, place)]
    return found


def _place(solution: Solution, seed: int, number: int) -> int:
    rng = stream(seed, "place", solution.task.id, number)
    return int(rng.integers(1, len(steps_of(solution.text))))


def _goes_wrong(solution: Solution, place: int) -> bool:
    if solution.right:
        return False
    return solution.first_error is None or solution.first_error >= place


def inserted_solutions(
    tasks: Sequence[Task], settings: FlawSettings, *, seed: int
) -> list[Solution]:
    """RG3: an error of a named type at a step of a task that a program can verify.

    Source: arXiv 2411.16579, stage 1; the types are ours. Departure: the program continues, so
    that the label is exact. Oracle: tests/critique/test_flaws.py::test_three_origins
    """
    found: list[Solution] = []
    for task in tasks:
        chain = chain_of(task)
        if chain is None:
            continue
        for number in range(settings.num_inserted):
            rng = stream(seed, "inserted", task.id, number)
            at, kind = int(rng.integers(len(chain.moves))), str(rng.choice(settings.kinds))
            text = worked(plant(chain, at, kind, rng))
            if not verify(chain, text).right:
                found.append(labelled(task, chain, text, "inserted"))
    return found


def inserted_by(
    solutions: Sequence[Solution], editor: Player, settings: FlawSettings, *, seed: int
) -> list[Solution]:
    """RG3 by a model: it is asked for an error of a named type in one step of a right solution.

    Kept where the steps before are unchanged and the final answer is wrong.
    Source: arXiv 2411.16579, stage 1. Oracle: tests/critique/test_flaws.py::test_an_editor_inserts
    """
    right = [one for one in solutions if one.right and steps_of(one.text)]
    wishes: list[Wish] = []
    for number, one in enumerate(right):
        rng = stream(seed, "edited", one.task.id, number)
        at = int(rng.integers(len(steps_of(one.text)))) + 1
        kind = str(rng.choice(settings.kinds))
        prompt = (
            f"{one.task.prompt}\n\n{one.text}\n\nWrite this solution again with an error of the "
            f"type '{kind}' in step {at}; continue from the wrong step. Do not mention the error."
        )
        wishes.append(_wish_of(f"{number}/{at - 1}/{kind}", prompt, seed, settings))
    found: list[Solution] = []
    for one, wish, new in zip(right, wishes, editor.write("inserted", wishes), strict=True):
        _, place, kind = wish.id.split("/")
        solution = judged(one.task, new, "inserted")
        before = steps_of(one.text)[: int(place)]
        if not solution.right and steps_of(new.text)[: int(place)] == before:
            label = solution.first_error if solution.first_error is not None else int(place)
            kept = {**vars(solution), "first_error": label, "kind": solution.kind or kind}
            found.append(Solution(**kept))
    return found


def mixed(
    flawed: Sequence[Solution], right: Sequence[Solution], right_frac: float, *, seed: int
) -> list[Solution]:
    """All flawed solutions with the wanted share of right ones, in random order."""
    wanted = round(len(flawed) * right_frac / (1 - right_frac))
    rng = stream(seed, "mixed")
    picked = [right[i] for i in rng.permutation(len(right))[:wanted]]
    both = [*flawed, *picked]
    return [both[i] for i in rng.permutation(len(both))]


def _wish(
    task: Task, name: str, temperature: float, seed: int, number: int, settings: FlawSettings
) -> Wish:
    sampling = Sampling(
        max_new_tokens=settings.max_new_tokens,
        temperature=temperature,
        seed=derive_seed(seed, task.id, number),
    )
    return Wish(id=name, prompt=task.prompt, sampling=sampling)


def _wish_of(name: str, prompt: str, seed: int, settings: FlawSettings) -> Wish:
    sampling = Sampling(
        max_new_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        seed=derive_seed(seed, name),
    )
    return Wish(id=name, prompt=prompt, sampling=sampling)
