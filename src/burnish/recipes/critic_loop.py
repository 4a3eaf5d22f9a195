"""`burnish critique loop`: rounds of gathering and training from the base model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from burnish.base.errors import IncompleteError, InputError
from burnish.base.meter import Meter
from burnish.base.records import (
    content_hash,
    read_json,
    read_records,
    write_json,
    write_records,
)
from burnish.base.rng import derive_seed
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.base.stats import wilson
from burnish.contracts.page import Chart, Series, Table
from burnish.contracts.record import Record
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
from burnish.critique.frontier import levels_of
from burnish.critique.players import Player
from burnish.critique.refinement import RefineSettings, first_answers
from burnish.distrib.team import join_team
from burnish.jobs.job import TRAINED, Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value
from burnish.recipes.critic_settings import CriticLoopSettings
from burnish.recipes.gathering import gather
from burnish.recipes.steps.teach import TrainedStep
from burnish.recipes.teaching import teach

WHAT = "critique-loop"
SHUFFLED = "shuffled:"
SELECTED, PAIRS, REFRESH = "selected.jsonl", "pairs.jsonl", "refresh.jsonl"
LEVELS = "levels"
COLUMNS = {  # of the table of rounds, by the names in `result.json`
    "num_answers": "answers",
    "num_right": "right",
    "num_criticised": "criticised",
    "num_refined_kept": "refinements kept",
    "num_selected": "answers to learn from",
    "num_solved_by_refinement_only": "tasks solved by refinement only",
}


def run_loop(settings: CriticLoopSettings, place: Place | None = None) -> dict[str, Any]:
    """Run the loop; the result is what `result.json` holds.

    Raises: IncompleteError, where a round gathered nothing; what models and sources raise.
    Source: arXiv 2411.16579, critique in the loop; WooooDyy/MathCritique.
    Oracle: tests/recipes/test_critic_loop.py::test_a_loop_leaves_rounds_and_a_model
    """
    tasks = loop_tasks(settings)
    if critic_spec(settings) == SCRIPTED:
        check_verifiable(tasks[0])
    return run_job(
        checked(loop_job(settings)), place or Place(), team=join_team(settings.place.device)
    )


def loop_tasks(settings: CriticLoopSettings) -> tuple[list[Task], list[Task]]:
    """Training and development tasks. Raises: InputError, where too few are left to train on."""
    tasks = tasks_of(settings.tasks, seed=settings.seed, limit=0)
    if len(tasks) <= settings.num_dev:
        rule, remedy = f"must be more than num_dev ({settings.num_dev})", "Lower num_dev"
        raise InputError("tasks", len(tasks), rule, remedy=remedy)
    return tasks[settings.num_dev :], tasks[: settings.num_dev]


def critic_spec(settings: CriticLoopSettings) -> str:
    """The critic's spec without the placebo's prefix."""
    return settings.critic.removeprefix(SHUFFLED)


def loop_job(settings: CriticLoopSettings) -> Job:
    """The job of `critique loop`."""
    parts: list[Step] = [DevStep(settings=settings, model="base", number=0, name="dev-0")]
    actor, gathered = "base", tuple[str, ...]()
    for number in range(1, settings.rounds + 1):
        last = number == settings.rounds
        name = f"gather-{number}"
        gathered = (*gathered, name) if settings.use_previous else (name,)
        taught = TRAINED if last else f"teach-{number}"
        parts += [
            GatherStep(settings=settings, actor=actor, number=number, name=name),
            TeachLoopStep(
                settings=settings, gathered=gathered, value=taught, name=f"teach-{number}",
                precision=settings.place.precision,
            ),
            DevStep(settings=settings, model=taught, number=number, name=f"dev-{number}"),
        ]  # fmt: skip
        actor = taught
    spec = critic_spec(settings)
    tasks = Value(
        lambda: content_hash(tasks.content),
        lambda: loop_tasks(settings),
    )
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=parts,
        given={
            "base": handle_value(settings.model, settings),
            "critic": handle_value("" if spec in (SCRIPTED, NOBODY, ITSELF) else spec, settings),
            "tasks": tasks,
        },
        header=Header(
            title=f"burnish critique loop: {settings.model} with {settings.critic}",
            numbers={"base": settings.model, "critic": settings.critic},
        ),
        base=settings.model,
    )


@dataclass(frozen=True, kw_only=True)
class GatherStep(Step):
    """One round's answers, critiques and refinements; what is learned from is in the stage.

    Source: WooooDyy/MathCritique.
    Oracle: tests/recipes/test_critic_loop.py::test_a_loop_leaves_rounds_and_a_model
    """

    settings: CriticLoopSettings
    actor: str
    number: int
    name: str
    guards = ("teach-1",)

    @property
    def reads(self) -> tuple[str, ...]:
        """The actor, the critic and the tasks."""
        return (self.actor, "critic", "tasks")

    @property
    def writes(self) -> Mapping[str, str]:
        """What is learned from."""
        return {self.name: SELECTED}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Gather, and write records, pairs and the critic's triples."""
        settings, train = self.settings, given["tasks"][0]
        actor = model_player(given[self.actor], stage.path / "actor", settings.place, meter)
        found = gather(
            train,
            actor,
            self._critic(stage, given, meter),
            settings,
            seed=derive_seed(settings.seed, "round", self.number),
            shuffles=settings.critic.startswith(SHUFFLED),
        )
        write_records(stage.path / SELECTED, [asdict(record) for record in found.selected])
        write_records(stage.path / PAIRS, found.pairs)
        write_records(stage.path / REFRESH, [triple.to_row() for triple in found.refresh])
        return {"counts": found.counts}

    def _critic(self, stage: Stage, given: Given, meter: Meter) -> Player | None:
        spec = critic_spec(self.settings)
        if spec == NOBODY:
            return None
        if spec == SCRIPTED:
            return scripted_critic(given["tasks"][0], self.settings.wording)
        handle = given[self.actor] if spec == ITSELF else given["critic"]
        return model_player(handle, stage.path / "critic", self.settings.place, meter)

    def open(self, name: str, done: StageResult, given: Given) -> list[Record]:
        """The selected records."""
        return [Record(**row) for row in read_records(done.path / SELECTED)]

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Counts of the round."""
        counts = done.output["counts"]
        table = Table(
            title="Rounds",
            columns=["round", *COLUMNS.values()],
            rows=[[self.number, *(counts[name] for name in COLUMNS)]],
            caption="Refinements are learned without the critique that led to them.",
        )
        numbers = {"rounds": [{"round": self.number, **counts}]}
        return (Told(section="training", numbers=numbers, blocks=[table]),)


@dataclass(frozen=True, kw_only=True)
class TeachLoopStep(TrainedStep):
    """Supervised training from the base model on what the rounds gathered.

    Source: WooooDyy/MathCritique: every round restarts from the base model.
    Oracle: tests/recipes/test_critic_loop.py::test_a_loop_leaves_rounds_and_a_model
    """

    settings: CriticLoopSettings
    gathered: tuple[str, ...]
    value: str
    guards = ("teach-1",)

    @property
    def reads(self) -> tuple[str, ...]:
        """The base model and the rounds' records."""
        return ("base", *self.gathered)

    @property
    def writes(self) -> Mapping[str, str]:
        """The trained model's folder."""
        return {self.value: "model"}

    def open(self, name: str, done: StageResult, given: Given) -> Any:
        """The folder for the run's model, else the model, not loaded yet."""
        return done.path / "model" if name == TRAINED else self.model(done, given)

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Train. Raises: IncompleteError, where nothing was gathered."""
        records = [record for name in self.gathered for record in given[name]]
        if not records:
            remedy = "Use easier tasks or more samples"
            raise IncompleteError("gathered answers", 0, "must be at least one", remedy=remedy)
        return teach(stage, given["base"], records, self.settings.train, meter)


@dataclass(frozen=True, kw_only=True)
class DevStep(Step):
    """Greedy answers to the development tasks, by difficulty.

    Levels come from the base model's samples under a seed of their own; the first step draws them.
    Source: ours. Oracle: tests/recipes/test_critic_loop.py::test_a_loop_leaves_rounds_and_a_model
    """

    settings: CriticLoopSettings
    model: str
    number: int
    name: str

    @property
    def reads(self) -> tuple[str, ...]:
        """The model, the tasks, and their levels, which the first step makes."""
        return (self.model, "tasks", *((LEVELS,) if self.number else ()))

    @property
    def writes(self) -> Mapping[str, str]:
        """The levels of the tasks, from the first step."""
        return {} if self.number else {LEVELS: f"{LEVELS}.json"}

    def open(self, name: str, done: StageResult, given: Given) -> dict[str, int]:
        """Levels by task."""
        found: dict[str, int] = read_json(done.path / f"{LEVELS}.json")
        return found

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Answer, and measure by level."""
        settings, dev = self.settings, given["tasks"][1]
        handle = given[self.model]
        if not hasattr(handle, "spec"):
            handle = handle_value(str(handle), settings).content
        player = model_player(handle, stage.path / "logs", settings.place, meter)
        plan = RefineSettings(
            num_paths=1, temperature=0.0, max_new_tokens=settings.max_new_tokens, num_rounds=0
        )
        turns = first_answers(dev, player, plan, seed=settings.seed)
        levels = given[LEVELS] if self.number else self._levels(stage, given, meter)
        rights: dict[str, list[bool]] = {}
        for turn in turns:
            rights.setdefault(str(levels[turn.task_id]), []).append(turn.right)
        accuracy = wilson(sum(turn.right for turn in turns), len(turns)).to_dict()
        by_level = {level: wilson(sum(found), len(found)).to_dict()
                    for level, found in sorted(rights.items())}  # fmt: skip
        return {"accuracy": accuracy, "by_level": by_level}

    def _levels(self, stage: Stage, given: Given, meter: Meter) -> dict[str, int]:
        settings, dev = self.settings, given["tasks"][1]
        base = model_player(given["base"], stage.path / "levels", settings.place, meter)
        plan = RefineSettings(
            num_paths=settings.num_level_samples,
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            num_rounds=0,
        )
        seed = derive_seed(settings.seed, "levels")
        levels = levels_of(first_answers(dev, base, plan, seed=seed, name="levels"))
        write_json(stage.path / f"{LEVELS}.json", levels)
        return levels

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """A row of accuracy, all and by level; the last one's verdict."""
        found = done.output
        levels = found["by_level"]
        chart = Chart(
            title=f"Development tasks by difficulty, round {self.number}",
            kind="bar",
            series=[
                Series(
                    name="accuracy", x=list(levels), y=[one["value"] for one in levels.values()],
                    low=[one["low"] for one in levels.values()],
                    high=[one["high"] for one in levels.values()],
                )
            ],
            x_label="level, 1 is easy", y_label="right (share)",
        )  # fmt: skip
        numbers = {
            "dev": [{"round": self.number, **{k: found[k] for k in ("accuracy", "by_level")}}]
        }
        one = found["accuracy"]
        table = Table(
            title="Development tasks, by round",
            columns=["round", "accuracy", "low", "high", "n"],
            rows=[[self.number or "base model", *(one[k] for k in ("value", "low", "high", "n"))]],
            caption="Greedy answers. Intervals: 95%, Wilson.",
        )
        if self.number < self.settings.rounds:
            return (Told(numbers=numbers, blocks=[table]),)
        sentence = (
            f"After {self.number} rounds {100 * one['value']:.1f}% of {one['n']} development tasks "
            f"are right ({100 * one['low']:.1f} to {100 * one['high']:.1f})."
        )
        return (Told(numbers=numbers, blocks=[table, chart], verdict=(sentence, "measured")),)
