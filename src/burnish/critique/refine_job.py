"""`burnish critique refine`: answers, critiques and revisions of tasks, against majority votes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from burnish.base.canonical import jsonable
from burnish.base.errors import InputError, MissingFileError
from burnish.base.files import nearest_paths
from burnish.base.meter import Meter
from burnish.base.records import content_hash, write_records
from burnish.base.rng import derive_seed
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Told
from burnish.contracts.task import Task
from burnish.critique.build_job import handle_value
from burnish.critique.critics import (
    ITSELF,
    NOBODY,
    SCRIPTED,
    check_verifiable,
    checked,
    model_player,
    scripted_critic,
    tasks_of,
)
from burnish.critique.frontier import compare, levels_of, plain_needed, summarise
from burnish.critique.page import refine_page
from burnish.critique.players import Player
from burnish.critique.refinement import Turn, first_answers, refine
from burnish.critique.scorer import CriticScorer, RewardModel, Scorer, check_reward_model
from burnish.critique.selection import Scoring, compare_selection, votes_at_equal_tokens
from burnish.critique.settings import CritiqueRefineSettings
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value, constant
from burnish.models.handle import folder_key

WHAT = "critique-refine"
TURNS_FILE, SCORES_FILE = "turns.jsonl", "scores.jsonl"
CRITIC = "critic"
MAX_SHOWN = 60


def refine_answers(settings: CritiqueRefineSettings, place: Place | None = None) -> dict[str, Any]:
    """Answer, criticise and revise; the result is what `result.json` holds.

    Raises: SettingError, for a scripted critic of tasks that it cannot verify; what models raise.
    Source: arXiv 2411.16579.
    Oracle: tests/critique/test_refine_job.py::test_a_run_holds_turns_and_a_ledger
    """
    tasks = tasks_of(settings.tasks, seed=settings.seed, limit=settings.limit)
    if settings.critic == SCRIPTED:
        check_verifiable(tasks)
    if len(tasks) < 2:
        rule, remedy = "must be two or more, for an interval over them", "Add tasks"
        raise InputError("tasks", len(tasks), rule, remedy=remedy)
    return run_job(checked(refine_job(settings)), place or Place())


def refine_job(settings: CritiqueRefineSettings) -> Job:
    """The job of `critique refine`."""
    tasks = Value(
        lambda: content_hash(tasks.content),
        lambda: tasks_of(settings.tasks, seed=settings.seed, limit=settings.limit),
    )
    critic = settings.model if settings.critic == ITSELF else settings.critic
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[RefineStep(settings=settings)],
        given={
            "tasks": tasks,
            "actor": handle_value(settings.model, settings),
            "critic": handle_value("" if critic in (SCRIPTED, NOBODY) else critic, settings),
            "scorer": scorer_value(settings),
        },
        header=Header(title=f"burnish critique refine: {settings.model} with {settings.critic}"),
    )


@dataclass(frozen=True, kw_only=True)
class RefineStep(Step):
    """Runs all turns, and measures flips, states, and votes at equal tokens.

    Source: arXiv 2411.16579.
    Oracle: tests/critique/test_refine_job.py::test_a_run_holds_turns_and_a_ledger
    """

    settings: CritiqueRefineSettings
    name: str = "refine"

    @property
    def reads(self) -> tuple[str, ...]:
        """Tasks, players and the scorer."""
        return ("tasks", "actor", "critic", "scorer")

    @property
    def writes(self) -> Mapping[str, str]:
        """Every turn."""
        return {"turns": TURNS_FILE}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Run the rounds, sample plain votes at equal tokens, compare."""
        settings, tasks = self.settings, given["tasks"]
        actor = model_player(given["actor"], stage.path / "actor", settings.place, meter)
        critic = self._critic(stage.path / "critic", tasks, given, meter)
        rounds = refine(
            tasks, actor, critic, settings.refine, settings.wording, seed=settings.seed
        )  # fmt: skip
        levels = levels_of(self._plain(tasks, actor, settings.num_level_samples, "levels"))
        scoring = self._scores(tasks, rounds[0], given, meter)
        extra = plain_needed(settings.refine.num_paths, rounds, settings.max_plain_votes)
        if scoring is not None:
            asked = votes_at_equal_tokens(settings.refine.num_paths, rounds[0], scoring)
            extra = max(extra, min(asked, settings.max_plain_votes))
        plain = self._plain(tasks, actor, max(extra, settings.refine.num_paths), "plain")
        rows = compare(tasks, rounds, plain, levels, seed=settings.seed)
        told: dict[str, Any] = summarise(tasks, rounds, levels, margin=settings.margin)
        told |= {"frontier": rows}
        told |= {"selection": None, "scorer": settings.scorer if scoring else unscored(settings)}
        if scoring is not None:
            chosen = compare_selection(tasks, rounds[0], scoring, plain, seed=settings.seed)
            told["selection"] = chosen
            told["tokens"]["scorer"] = round(scoring.tokens * len(rounds[0]))
            write_records(stage.path / SCORES_FILE, score_rows(rounds[0], scoring))
        turns = [turn for one in rounds for turn in one]
        write_records(stage.path / TURNS_FILE, [jsonable(asdict(turn)) for turn in turns])
        shown = shown_turns(tasks, rounds)
        kept = {"gate": settings.refine.gate, "num_tasks": len(tasks), "critic": settings.critic}
        return {"told": jsonable(told | kept), "shown": shown}

    def _critic(
        self, folder: Path, tasks: Sequence[Task], given: Given, meter: Meter
    ) -> Player | None:
        if self.settings.critic == SCRIPTED:
            return scripted_critic(tasks, self.settings.wording)
        handle = given["critic"]
        return handle and model_player(handle, folder, self.settings.place, meter)

    def _scores(
        self, tasks: Sequence[Task], answers: Sequence[Turn], given: Given, meter: Meter
    ) -> Scoring | None:
        """Scores of the first answers, None where nothing can score."""
        scorer = self._scorer(given)
        if scorer is None:
            return None
        prompts = {task.id: task.prompt for task in tasks}
        own = Meter("scorer")
        scores = scorer.score([(prompts[turn.task_id], turn.text) for turn in answers], own)
        meter.merge(own)
        totals = own.totals()
        tokens = (totals["prefilled"] + totals["scored"]) / len(answers)
        return Scoring(scores=scores, tokens=tokens)

    def _scorer(self, given: Given) -> Scorer | None:
        settings = self.settings
        if settings.scorer == NOBODY:
            return None
        if settings.scorer != CRITIC:
            return RewardModel(given["scorer"])
        handle = given["critic"]
        if handle is None or handle.is_server:
            return None
        return CriticScorer(
            model=handle.model, wording=settings.wording, combine=settings.combine
        )  # fmt: skip

    def _plain(self, tasks: Sequence[Task], actor: Player, num: int, name: str) -> list[Turn]:
        """Plain answers under a seed of their own."""
        plan = replace(self.settings.refine, num_paths=num, num_rounds=0)
        seed = derive_seed(self.settings.seed, name)
        return first_answers(tasks, actor, plan, seed=seed, name=name)

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report the numbers, the ledger and the page."""
        told = done.output["told"]
        page = refine_page(told, done.output["shown"])
        return (Told.of_page(page, told),)


def unscored(settings: CritiqueRefineSettings) -> str:
    """Why there are no scores."""
    if settings.scorer == NOBODY:
        return "none, as asked"
    return "none: probabilities need a critic that is a local model"


def score_rows(answers: Sequence[Turn], scoring: Scoring) -> list[dict[str, Any]]:
    """The score of each first answer, as rows."""
    return [
        {"task_id": turn.task_id, "path": turn.path, "right": turn.right, "score": score}
        for turn, score in zip(answers, scoring.scores, strict=True)
    ]


def scorer_value(settings: CritiqueRefineSettings) -> Value:
    """The folder of a reward model, known by its content; None for other scorers."""
    if settings.scorer in (CRITIC, NOBODY):
        return constant(None)
    folder = Path(settings.scorer)

    def key() -> str:
        if not folder.is_dir():
            rule, remedy = "must be critic, none or a folder", nearest_paths(folder)
            raise MissingFileError("scorer", settings.scorer, rule, remedy=remedy)
        check_reward_model(folder)
        return folder_key(folder)

    return Value(key, lambda: folder)


def shown_turns(tasks: Sequence[Task], rounds: Sequence[Sequence[Turn]]) -> list[dict[str, Any]]:
    """Answers, critiques and revisions for the page: those that changed first."""
    if len(rounds) < 2:
        return []
    prompts = {task.id: task for task in tasks}
    pairs = sorted(zip(rounds[0], rounds[1], strict=True), key=lambda p: not p[1].acted)
    return [
        {
            "prompt": prompts[old.task_id].prompt,
            "answer": prompts[old.task_id].answer,
            "before": old.text,
            "critique": new.critique,
            "after": new.text,
            "before_right": old.right,
            "after_right": new.right,
            "state": new.state,
        }
        for old, new in pairs[:MAX_SHOWN]
    ]
