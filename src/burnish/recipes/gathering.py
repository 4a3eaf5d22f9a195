"""One round of critique in the loop: answers, critiques of wrong ones, right refinements."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from burnish.base.rng import derive_seed, stream
from burnish.contracts.generation import Sampling
from burnish.contracts.record import Record
from burnish.contracts.task import Task, Verdict
from burnish.critique.barrier import copies, is_shortcut
from burnish.critique.budget import allocate, smoothed
from burnish.critique.filters import gives_away, masked
from burnish.critique.grammar import read, steps_of
from burnish.critique.players import Player, Wish, Written
from burnish.critique.triples import Solution, Triple
from burnish.data.checkers import judge
from burnish.recipes.critic_settings import CriticLoopSettings
from burnish.recipes.selecting import select_right
from burnish.recipes.settings import SelectSettings


@dataclass(kw_only=True)
class Gathered:
    """What a round gathered: records to learn from, where each came from, and counts.

    `pairs` are rows of task, answer, critique and refinement; `refresh` the triples whose
    refinement was right, which a critic can learn from.
    """

    answers: list[Record] = field(default_factory=list)
    refined: list[Record] = field(default_factory=list)
    selected: list[Record] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    refresh: list[Triple] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)


def gather(
    tasks: Sequence[Task],
    actor: Player,
    critic: Player | None,
    settings: CriticLoopSettings,
    *,
    seed: int,
    shuffles: bool = False,
) -> Gathered:
    """Sample, criticise what is wrong, refine, and select what is learned from.

    Without a critic nothing is refined, and what is selected is that of rejection sampling.
    Source: WooooDyy/MathCritique, `selfimprove`.
    Oracle: tests/recipes/test_gathering.py::test_no_critic_is_rejection_sampling_exactly
    """
    done = Gathered()
    written = actor.write("answers", _sample_wishes(tasks, settings, seed))
    owners = [task for task in tasks for _ in range(settings.num_samples)]
    done.answers = [_record(t, w, actor.key) for t, w in zip(owners, written, strict=True)]
    spent = Counter(actor=_tokens(written), prefilled=_prefilled(written))
    wrong = [(t, r) for t, r in zip(owners, done.answers, strict=True) if r.verdict == "wrong"]
    if critic is not None and wrong:
        spent += _refine(done, wrong, (actor, critic), settings, seed, shuffles)
    pool = [*done.answers, *done.refined]
    done.selected = select_right(pool, SelectSettings(max_per_task=settings.max_per_task))
    if settings.feedback:
        done.selected += _feedback(done, tasks, settings)
    done.counts |= _counts(done, tasks, wrong) | {"tokens": dict(spent)}
    return done


def attempt_again(
    wrong: Sequence[tuple[Task, Record]],
    answers: Sequence[Record],
    players: tuple[Player, Player],
    settings: CriticLoopSettings,
    *,
    seed: int,
) -> Gathered:
    """Criticise and refine wrong answers, of which `answers` holds all; nothing is selected.

    Source: as `gather`. Oracle: tests/recipes/test_critiquing.py::test_revisions_join_the_pool
    """
    done = Gathered(answers=list(answers))
    spent = _refine(done, wrong, players, settings, seed, False) if wrong else Counter[str]()
    tasks = list({task.id: task for task, _ in wrong}.values())
    done.counts |= _counts(done, tasks, wrong) | {"tokens": dict(spent)}
    return done


def _sample_wishes(tasks: Sequence[Task], settings: CriticLoopSettings, seed: int) -> list[Wish]:
    return [
        Wish(
            id=f"{task.id}/{number}",
            prompt=task.prompt,
            sampling=Sampling(
                max_new_tokens=settings.max_new_tokens,
                temperature=settings.temperature,
                seed=derive_seed(seed, task.id, number),
            ),
        )
        for task in tasks
        for number in range(settings.num_samples)
    ]


def _record(task: Task, one: Written, model: str, **provenance: Any) -> Record:
    judgement = judge(one.text, task)
    return Record(
        id=one.id,
        task_id=task.id,
        group=task.group,
        prompt=task.prompt,
        answer=one.text,
        tokens=one.tokens,
        finish=one.finish,
        verdict=str(judgement.verdict),
        extracted=judgement.extracted,
        provenance={"model": model, **provenance},
    )


def _refine(
    done: Gathered,
    wrong: Sequence[tuple[Task, Record]],
    players: tuple[Player, Player],
    settings: CriticLoopSettings,
    seed: int,
    shuffles: bool,
) -> Counter[str]:
    """Add refinements of wrong answers; returns what they took."""
    actor, critic = players
    critiques = critic.write("critiques", _critic_wishes(wrong, settings, seed))
    texts = [one.text for one in critiques]
    states = [read(text, steps_of(record.answer), settings.wording.form)
              for text, (_, record) in zip(texts, wrong, strict=True)]  # fmt: skip
    done.counts["states"] = dict(Counter(str(one.state) for one in states))
    done.counts["num_leaking"] = sum(
        gives_away(text, task, record.answer)
        for text, (task, record) in zip(texts, wrong, strict=True)
    )
    if shuffles:
        texts = _exchanged(texts, wrong, seed)
    if settings.mask:
        texts = [
            masked(text, task.answer) if gives_away(text, task, record.answer) else text
            for text, (task, record) in zip(texts, wrong, strict=True)
        ]
    usable = [one.usable and one.critique is not None and not one.critique.right for one in states]
    numbers = _allocated(wrong, done.answers, usable, settings)
    wishes = [
        Wish(
            id=f"{record.id}/refined-{number}",
            prompt=settings.wording.refine_prompt(task.prompt, record.answer, text),
            sampling=Sampling(
                max_new_tokens=settings.max_new_tokens,
                temperature=settings.temperature,
                seed=derive_seed(seed, "refined", record.id, number),
            ),
        )
        for (task, record), text, num in zip(wrong, texts, numbers, strict=True)
        for number in range(num)
    ]
    written = actor.write("refinements", wishes)
    _keep(done, wrong, texts, numbers, written, settings, actor.key)
    return Counter(
        actor=_tokens(written),
        critic=_tokens(critiques),
        prefilled=_prefilled(written) + _prefilled(critiques),
    )


def _critic_wishes(
    wrong: Sequence[tuple[Task, Record]], settings: CriticLoopSettings, seed: int
) -> list[Wish]:
    return [
        Wish(
            id=record.id,
            prompt=settings.wording.critique_prompt(task.prompt, record.answer),
            sampling=Sampling(
                max_new_tokens=settings.max_critique_tokens,
                seed=derive_seed(seed, "critique", record.id),
            ),
        )
        for task, record in wrong
    ]


def _exchanged(texts: Sequence[str], wrong: Sequence[tuple[Task, Record]], seed: int) -> list[str]:
    """The placebo: each answer gets the critique of another task's answer."""
    order: list[int] = stream(seed, "shuffled").permutation(len(texts)).tolist()
    found: list[str] = []
    for place, (task, _) in enumerate(wrong):
        others = order[place:] + order[:place]
        other = next((i for i in others if wrong[i][0].id != task.id), None)
        found.append("" if other is None else texts[other])
    return found


def _allocated(
    wrong: Sequence[tuple[Task, Record]],
    answers: Sequence[Record],
    usable: Sequence[bool],
    settings: CriticLoopSettings,
) -> list[int]:
    """Refinements of each wrong answer. A critique that cannot be used gets none.

    The explicit budget goes to tasks without a right answer, and there in turns to their wrong
    answers: only they can gain a first one.
    """
    if settings.budget == "implicit":
        return [settings.num_refinements * good for good in usable]
    solved = {record.task_id for record in answers if record.verdict == Verdict.RIGHT}
    places: dict[str, list[int]] = defaultdict(list)
    for place, ((task, _), good) in enumerate(zip(wrong, usable, strict=True)):
        if good and task.id not in solved:
            places[task.id].append(place)
    rates = [smoothed(0, settings.num_samples) for _ in places]
    cap = settings.num_refinements * settings.num_samples
    numbers = [0] * len(wrong)
    for own, given in zip(
        places.values(), allocate(rates, settings.num_extra, cap=cap), strict=True
    ):
        for turn in range(given):
            numbers[own[turn % len(own)]] += 1
    return numbers


def _keep(
    done: Gathered,
    wrong: Sequence[tuple[Task, Record]],
    texts: Sequence[str],
    numbers: Sequence[int],
    written: Sequence[Written],
    settings: CriticLoopSettings,
    model: str,
) -> None:
    """Keep a few right refinements of each critique, and where they came from."""
    place = 0
    outcomes = Counter[str]()
    for (task, record), text, num in zip(wrong, texts, numbers, strict=True):
        part, place = written[place : place + num], place + num
        kept = 0
        for one in part:
            new = _record(task, one, model, answer=record.id, critique=text)
            outcome = _outcome(task, record, new, kept, settings)
            outcomes[outcome] += 1
            if outcome == "kept":
                kept += 1
                done.refined.append(new)
                done.pairs.append(
                    {"task_id": task.id, "x": task.prompt, "y": record.answer, "c": text,
                     "refined": new.answer, "id": new.id}
                )  # fmt: skip
        if kept:
            solution = Solution(task=task, text=record.answer, right=False, origin="sampled")
            done.refresh.append(Triple(id=record.id, solution=solution, critique=text))
    done.counts["refinements"] = dict(outcomes)


def _outcome(
    task: Task, record: Record, new: Record, kept: int, settings: CriticLoopSettings
) -> str:
    """What becomes of a refinement."""
    if new.verdict != Verdict.RIGHT:
        return str(new.verdict)
    if copies(new.answer, record.answer):
        return "copied"
    worked = task.metadata.get("worked")
    if settings.barrier and is_shortcut(new.answer, record.answer, worked):
        return "short cut"
    return "kept" if kept < settings.max_kept else "enough"


def _feedback(done: Gathered, tasks: Sequence[Task], settings: CriticLoopSettings) -> list[Record]:
    """Revisions with the critique in their context."""
    chosen = {record.id for record in done.selected}
    by_id = {record.id: record for record in done.refined}
    return [
        replace(
            by_id[pair["id"]],
            id=f"{pair['id']}/feedback",
            prompt=settings.wording.refine_prompt(pair["x"], pair["y"], pair["c"]),
        )
        for pair in done.pairs
        if pair["id"] in chosen
    ]


def _counts(
    done: Gathered, tasks: Sequence[Task], wrong: Sequence[tuple[Task, Record]]
) -> dict[str, Any]:
    solved = {record.task_id for record in done.answers if record.verdict == Verdict.RIGHT}
    won = {record.task_id for record in done.refined} - solved
    per_task: dict[str, int] = defaultdict(int)
    for _, record in wrong:
        per_task[record.task_id] += 1
    return {
        "num_answers": len(done.answers),
        "num_right": sum(record.verdict == Verdict.RIGHT for record in done.answers),
        "verdicts": dict(Counter(record.verdict for record in done.answers)),
        "num_criticised": len(wrong) if done.counts.get("states") else 0,
        "num_refined_kept": len(done.refined),
        "num_selected": len(done.selected),
        "num_tasks": len(tasks),
        "num_solved_by_answers": len(solved),
        "num_solved_by_refinement_only": len(won),
    }


def _tokens(written: Sequence[Written]) -> int:
    return sum(one.tokens for one in written)


def _prefilled(written: Sequence[Written]) -> int:
    return sum(one.prompt_tokens for one in written)
