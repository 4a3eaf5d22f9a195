"""`burnish improve`: plan, measure, sample, judge, select, teach, measure again, gate, report.

Each stage is a plain function of artefacts, kept in the run folder by the content of its inputs:
a killed run goes on where it stopped, and an unchanged one is not computed again.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from burnish.base.errors import StorageError
from burnish.base.meter import Meter
from burnish.base.progress import say
from burnish.base.records import RecordLog, file_hash, read_records, write_records
from burnish.base.rng import stream
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.base.team import TeamRun, open_team_run
from burnish.contracts.record import Record
from burnish.contracts.task import Task, Verdict
from burnish.data.sources import load_tasks, parse_source
from burnish.data.splits import Splits, check_disjoint, split_tasks
from burnish.distrib.team import join_team
from burnish.draft.choice import check_draft
from burnish.recipes import controls
from burnish.recipes.actor import Actor
from burnish.recipes.answering import ANSWERS, Ask, answer, decodings, greedy_asks, sampled_asks
from burnish.recipes.drafting import Drafting
from burnish.recipes.outcome import Evidence, Round, Spent, make_result
from burnish.recipes.planning import plan_improve
from burnish.recipes.preferring import prefer, stage_settings
from burnish.recipes.remembering import remember
from burnish.recipes.selecting import select_right
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.teaching import teach
from burnish.report.html import write_report
from burnish.report.pages import page_from_json

PUBLISHING = ".publishing-"


def improve(
    settings: ImproveSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Improve a model on checkable tasks; the result is what `result.json` holds.

    Held-out tasks are answered twice by what is claimed: by the base model and by the model that
    the development tasks chose. The controls answer them with the base model, and decide nothing.
    Raises IncompleteError where no sample was right; what was finished is kept.
    Source: ours; the loop is STaR's, arXiv 2203.14465, with the model's own samples.
    Oracle: tests/recipes/test_improve.py::test_killed_and_resumed_equals_straight
    """
    started = time.monotonic()
    if settings.prefer.loss:
        stage_settings(settings.prefer, seed=settings.seed)  # a wrong one is told now
    check_draft(settings.sample.draft)
    plan = plan_improve(settings, runs)
    say(plan.sentence())
    with open_team_run(
        join_team(settings.device),
        "improve",
        settings=to_dict(settings),
        seed=settings.seed,
        root=runs,
        folder=folder,
        fresh=fresh,
        command=command,
    ) as run:
        say(f"run: {run.path}" + (" (resuming)" if run.resumed else ""))
        work = _Work(run, settings)
        evidence = work.gather()
        if not run.leads:
            return run.share(None)
        model = _publish(run, work.models[evidence.chosen])
        minutes = (time.monotonic() - started) / 60
        spent = Spent(
            plan=plan,
            seconds=work.seconds,
            minutes=minutes,
            meter=work.meter,
            drafting=decodings(run),
        )
        result = make_result(evidence, settings, run=run, model=model, spent=spent)
        write_report(page_from_json(result["page"]), run.path / "report")
        run.save_result(result)
        return run.share(result)


@dataclass
class _Work:
    """The stages of one run, and what they pass on."""

    run: TeamRun
    settings: ImproveSettings
    meter: Meter = field(default_factory=Meter)
    seconds: dict[str, float] = field(default_factory=dict)
    models: list[Path | None] = field(default_factory=lambda: [None])  # by round; None: the base

    def __post_init__(self) -> None:
        self._drafting = Drafting(draft=self.settings.sample.draft)

    def gather(self) -> Evidence:
        """Run every stage in order."""
        settings = self.settings
        splits, tasks_key = self._tasks()
        base = self._actor(settings.model)
        greedy = greedy_asks(splits.heldout, settings.measure.max_new_tokens)
        before = self._answers("measure-before", base, greedy, tasks_key)
        shown = controls.demonstrations(
            splits.train, settings.measure.num_demonstrations, stream(settings.seed, "few-shot")
        )
        asks = controls.few_shot_asks(greedy, shown)
        few_shot = self._answers("control-few-shot", base, asks, tasks_key)
        rounds = self._rounds(base, splits, tasks_key)
        best = max(rounds, key=lambda one: (one.dev_right, -one.number))
        sampled = [record for one in rounds for record in one.sampled]
        votes = controls.num_votes(
            sum(record.tokens for record in sampled),
            len(sampled),
            len(splits.heldout),
            settings.measure.max_votes,
        )
        sampling = controls.sampling_of(settings.sample)
        vote_asks = sampled_asks(splits.heldout, range(votes), seed=settings.seed, **sampling)
        vote = self._answers("control-vote", base, vote_asks, tasks_key)
        chosen = self.models[best.number]
        actor = base if chosen is None else self._actor(str(chosen))
        after = self._answers("measure-after", actor, greedy, tasks_key)
        memory = None
        if settings.memory.trials:
            memory = (self._memory("memory-before", base), self._memory("memory-after", actor))
        return Evidence(
            heldout=splits.heldout,
            before=before,
            after=after,
            few_shot=few_shot,
            vote=vote,
            num_votes=votes,
            rounds=rounds,
            chosen=best.number,
            memory=memory,
        )

    def _rounds(self, base: Actor, splits: Splits, tasks_key: str) -> list[Round]:
        """Sample, select and teach until development accuracy stops rising."""
        settings = self.settings
        dev_asks = greedy_asks(splits.dev, settings.measure.max_new_tokens)
        dev = self._answers("dev-0", base, dev_asks, tasks_key)
        rounds = [Round(number=0, dev=dev)]
        actor, pool = base, list[Record]()
        for number in range(1, settings.rounds + 1):
            sampled = self._sample(number, actor, splits.train, tasks_key)
            pool += sampled
            selected = select_right(pool, settings.select)
            taught = self._teach(number, base, selected)
            if settings.prefer.loss:
                self._prefer(number, pool)
            actor = self._actor(str(self.models[-1]))
            dev = self._answers(f"dev-{number}", actor, dev_asks, tasks_key)
            rounds.append(
                Round(
                    number=number,
                    dev=dev,
                    sampled=sampled,
                    num_selected=len(selected),
                    losses=taught.output["losses"],
                )
            )
            if rounds[-1].dev_right <= rounds[-2].dev_right:
                say(f"round {number} did not help on the development tasks: stopping")
                break
        return rounds

    def _sample(
        self, number: int, actor: Actor, tasks: Sequence[Task], tasks_key: str
    ) -> list[Record]:
        """First the same for all, then more for the tasks without a right answer."""
        sample, seed = self.settings.sample, self.settings.seed + number
        sampling = controls.sampling_of(sample)
        first = sampled_asks(tasks, range(sample.num_samples), seed=seed, **sampling)
        given = {"drafting": self._drafting}
        records = self._answers(f"sample-{number}", actor, first, tasks_key, **given)
        solved = {record.task_id for record in records if record.verdict == Verdict.RIGHT}
        hard = [task for task in tasks if task.id not in solved]
        extra = range(sample.num_samples, sample.num_samples + sample.num_extra)
        asks = sampled_asks(hard, extra, seed=seed, **sampling)
        more = self._answers(f"sample-{number}-hard", actor, asks, tasks_key, **given)
        return records + more

    def _answers(
        self,
        name: str,
        actor: Actor,
        asks: Sequence[Ask],
        tasks_key: str,
        *,
        drafting: Drafting | None = None,
    ) -> list[Record]:
        """A stage that answers; its inputs are the model, the tasks and the sampling.

        Drafts are no input: they change no answer.
        """

        def make(stage: Stage, meter: Meter) -> dict[str, Any]:
            size = self.settings.batch_size
            records = answer(stage, actor, asks, batch_size=size, meter=meter, drafting=drafting)
            return {"num_answers": len(records), "tokens": sum(r.tokens for r in records)}

        done = self._stage(
            name,
            make,
            model=actor.key,
            tasks=tasks_key,
            asks=[(ask.name, asdict(ask.sampling), ask.demonstrations) for ask in asks],
            precision=self.settings.precision,
        )
        rows = {row["id"]: Record(**row) for row in RecordLog(done.path / ANSWERS).peek()}
        return [rows[ask.name] for ask in asks]

    def _memory(self, name: str, actor: Actor) -> Mapping[str, Any]:
        """A stage that measures what the actor's model remembers."""
        settings = self.settings

        def make(stage: Stage, meter: Meter) -> dict[str, Any]:
            return remember(stage, actor, settings.memory, meter, seed=settings.seed)

        done = self._stage(
            name,
            make,
            model=actor.key,
            memory=asdict(settings.memory),
            seed=settings.seed,
            precision=settings.precision,
        )
        return done.output["curve"]

    def _teach(self, number: int, base: Actor, selected: Sequence[Record]) -> StageResult:
        settings = self.settings.train
        done = self._stage_together(
            f"teach-{number}",
            lambda stage, meter: teach(stage, base, selected, settings, meter),
            model=base.key,
            records=[(record.prompt, record.answer) for record in selected],
            settings=asdict(settings),
            precision=self.settings.precision,
        )
        self.models.append(done.path / "model")
        return done

    def _prefer(self, number: int, pool: Sequence[Record]) -> None:
        """Align the model just taught with right over wrong answers of the same task."""
        settings = stage_settings(self.settings.prefer, seed=self.settings.seed)
        taught = self._actor(str(self.models[-1]))
        done = self._stage_together(
            f"prefer-{number}",
            lambda stage, meter: prefer(stage, taught, pool, settings, meter),
            model=taught.key,
            records=[(record.task_id, record.verdict, record.answer) for record in pool],
            settings=to_dict(settings),
        )
        self.models[-1] = done.path / "model"

    def _tasks(self) -> tuple[Splits, str]:
        """Load and split the tasks; the splits are artefacts of the run."""
        settings = self.settings
        files = [getattr(parse_source(spec), "path", None) for spec in settings.tasks]

        def make(stage: Stage, meter: Meter) -> dict[str, Any]:
            pools = [load_tasks(spec, seed=settings.seed) for spec in settings.tasks]
            pool = [task for tasks in pools for task in tasks]
            sizes = asdict(settings.split)
            splits = split_tasks(pool, **sizes, seed=settings.seed)
            check_disjoint(splits)
            for name in sizes:
                rows = [asdict(task) for task in getattr(splits, name)]
                write_records(stage.path / f"{name}.jsonl", rows)
            return {"num_pool": len(pool), **sizes}

        done = self._stage(
            "tasks",
            make,
            specs=settings.tasks,
            files=[file_hash(Path(path)) for path in files if path],
            split=asdict(settings.split),
            seed=settings.seed,
        )
        read = {
            name: tuple(Task(**row) for row in read_records(done.path / f"{name}.jsonl"))
            for name in asdict(settings.split)
        }
        return Splits(**read), done.key

    def _stage(
        self, name: str, make: Callable[[Stage, Meter], dict[str, Any]], **inputs: Any
    ) -> StageResult:
        """A stage of the run, made by one process."""
        return self._counted(self.run.stage(name, _metered(name, make), **inputs))

    def _stage_together(
        self, name: str, make: Callable[[Stage, Meter], dict[str, Any]], **inputs: Any
    ) -> StageResult:
        """A stage that trains: all processes of a team take part."""
        return self._counted(self.run.stage_together(name, _metered(name, make), **inputs))

    def _counted(self, done: StageResult) -> StageResult:
        self.seconds[done.name] = done.seconds
        self.meter.merge(Meter.from_dict(done.output["metered"]))
        if done.reused:
            say(f"{done.name}: done before, not run again")
        return done

    def _actor(self, spec: str) -> Actor:
        return Actor(spec, precision=self.settings.precision, device=self.settings.device)


def _metered(
    name: str, make: Callable[[Stage, Meter], dict[str, Any]]
) -> Callable[[Stage], dict[str, Any]]:
    """The output keeps what the stage was metered at, for when it is reused."""

    def metered(stage: Stage) -> dict[str, Any]:
        meter = Meter(name)
        return make(stage, meter) | {"metered": meter.to_dict()}

    return metered


def _publish(run: TeamRun, source: Path | None) -> Path | None:
    """Put the chosen model at `RUN/model`, sharing its files with the stage that made it."""
    target = run.path / "model"
    for left in run.path.glob(f"{PUBLISHING}*"):  # by a run that was killed just here
        shutil.rmtree(left)
    try:
        with tempfile.TemporaryDirectory(dir=run.path, prefix=PUBLISHING) as place:
            if source is not None:
                _link_all(source, Path(place) / "new")
            if target.exists():
                target.rename(Path(place) / "old")
            if source is not None:
                (Path(place) / "new").rename(target)
    except OSError as error:
        rule = f"could not be written ({error.strerror or error})"
        remedy = "Free some space, then start the same command again"
        raise StorageError("model folder", str(target), rule, remedy=remedy) from error
    return None if source is None else target


def _link_all(source: Path, target: Path) -> None:
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        own = target / path.relative_to(source)
        own.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, own)
        except OSError:  # another file system, or one without hard links
            shutil.copy2(path, own)
