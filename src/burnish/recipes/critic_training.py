"""`burnish critique train`: supervised training of critics, and of actors that can revise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.errors import IncompleteError
from burnish.base.meter import Meter
from burnish.base.rng import stream
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.page import Chart, Series, Table
from burnish.contracts.record import Record
from burnish.contracts.step import Told
from burnish.critique.annotate import annotate
from burnish.critique.build_job import triples_value
from burnish.critique.critics import checked, handle_of, model_player, read_triples, triples_path
from burnish.critique.grammar import Read, read, steps_of
from burnish.critique.planted import measure_critic
from burnish.critique.selftalk import Level
from burnish.critique.triples import Triple
from burnish.critique.wording import Wording
from burnish.data.chains import chain_of, worked
from burnish.distrib.team import join_team
from burnish.jobs.job import TRAINED, Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import ITSELF, Given, Step, Value, constant
from burnish.models.handle import ModelHandle
from burnish.recipes.critic_settings import CriticTrainSettings
from burnish.recipes.self_talk import LEVELS, learned_spans, measure_actor, talks_of
from burnish.recipes.teaching import teach, to_examples

WHAT = "critique-train"


def train_critic(settings: CriticTrainSettings, place: Place | None = None) -> dict[str, Any]:
    """Train a critic or an actor; the result is what `result.json` holds.

    Raises: InputError, for a file of no triples; IncompleteError, where nothing is left to learn.
    Source: arXiv 2411.16579, supervised training of the critic.
    Oracle: tests/recipes/test_critic_training.py::test_a_critic_learns_the_form
    """
    read_triples(triples_path(settings.triples))
    team = join_team(settings.place.device)
    return run_job(checked(train_job(settings)), place or Place(), team=team)


def train_job(settings: CriticTrainSettings) -> Job:
    """The job of `critique train`."""
    base = handle_of(settings.model, settings.place)
    refresh = triples_value(settings.refresh) if settings.refresh else constant(None)
    kind = MeasureCriticStep if settings.role == "critic" else MeasureActorStep
    measured: list[Step] = [kind(settings=settings, model=name, name=f"measure-{when}")
                            for when, name in (("before", "base"), ("after", TRAINED))]  # fmt: skip
    teaching = TeachCriticStep(settings=settings)
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.train.seed,
        parts=[*measured[:1], teaching, *measured[1:]],
        given={
            "base": Value(lambda: base.key, lambda: base),
            "triples": triples_value(settings.triples),
            "refresh": refresh,
        },
        header=Header(
            title=f"burnish critique train: {settings.role} {settings.model}",
            numbers={"base": settings.model, "role": settings.role},
        ),
        base=settings.model,
    )


def split_triples(
    triples: Sequence[Triple], heldout_frac: float, seed: int
) -> tuple[list[Triple], list[Triple]]:
    """Training and held-out triples; no task stands on both sides."""
    names = sorted({triple.solution.task.id for triple in triples})
    order = stream(seed, "heldout").permutation(len(names))
    out = {names[i] for i in order[: max(1, round(len(names) * heldout_frac))]}
    train = [triple for triple in triples if triple.solution.task.id not in out]
    return train, [triple for triple in triples if triple.solution.task.id in out]


def critic_records(triples: Sequence[Triple], wording: Wording) -> list[Record]:
    """What a critic learns: the critique after task and solution, loss on the critique only."""
    return [
        _record(one.id, one, wording.critique_prompt(one.solution.task.prompt, one.solution.text),
                one.critique)
        for one in triples
    ]  # fmt: skip


def actor_records(triples: Sequence[Triple], wording: Wording) -> list[Record]:
    """What an actor learns: worked answers to tasks, and worked answers after a critique.

    Source: WooooDyy/MathCritique: both kinds joined, equally weighted.
    Oracle: tests/recipes/test_critic_training.py::test_an_actor_learns_both_kinds
    """
    found: list[Record] = []
    for one in triples:
        answer = worked_answer(one)
        if answer is None:
            continue
        problem = one.solution.task.prompt
        found.append(_record(f"{one.id}/answer", one, problem, answer))
        if not one.solution.right:
            prompt = wording.refine_prompt(problem, one.solution.text, one.critique)
            found.append(_record(f"{one.id}/revision", one, prompt, answer))
    return found


def worked_answer(triple: Triple) -> str | None:
    """A right worked answer to the triple's task; None where none is known."""
    task = triple.solution.task
    if triple.solution.right:
        return triple.solution.text
    if (chain := chain_of(task)) is not None:
        return worked(chain.steps())
    found = task.metadata.get("worked")
    return found if isinstance(found, str) else None


def _record(name: str, triple: Triple, prompt: str, answer: str) -> Record:
    task = triple.solution.task
    return Record(
        id=name, task_id=task.id, group=task.group, prompt=prompt, answer=answer, tokens=0
    )


@dataclass(frozen=True, kw_only=True)
class TeachCriticStep(Step):
    """Supervised training on the one loop.

    Source: arXiv 2411.16579.
    Oracle: tests/recipes/test_critic_training.py::test_a_critic_learns_the_form
    """

    settings: CriticTrainSettings
    name: str = "teach"
    together = True
    guards = (ITSELF,)  # changed triples do not throw a training away

    @property
    def reads(self) -> tuple[str, ...]:
        """The model and the triples."""
        return ("base", "triples", "refresh")

    @property
    def writes(self) -> Mapping[str, str]:
        """The trained model's folder."""
        return {TRAINED: "model"}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Train. Raises: IncompleteError, where nothing is left to learn from."""
        settings = self.settings
        triples = read_triples(given["triples"])
        train, _ = split_triples(triples, settings.heldout_frac, settings.train.seed)
        if given["refresh"] is not None:
            train += read_triples(given["refresh"])
        level: Level | None = next((one for one in LEVELS if one == settings.role), None)
        records: Sequence[Any]
        if level is not None:
            records = talks_of(train, level)
        else:
            make = critic_records if settings.role == "critic" else actor_records
            records = make(train, settings.wording)
        if not records:
            remedy = "Build more triples, of tasks that a program verifies, or lower heldout_frac"
            raise IncompleteError("training rows", 0, "must be at least one", remedy=remedy)
        learn = to_examples if level is None else learned_spans
        return teach(stage, given["base"], records, settings.train, meter, learn)

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The curve of the loss."""
        losses = done.output["losses"]
        chart = Chart(
            title="Training loss", kind="line", x_label="step", y_label="nats per critique token",
            series=[Series(name="loss", x=[float(i) for i in range(len(losses))], y=losses)],
        )  # fmt: skip
        numbers = {name: done.output[name] for name in ("num_examples", "num_steps", "losses")}
        sentence = f"Trained on {numbers['num_examples']} rows in {numbers['num_steps']} steps."
        verdict = (sentence, "measured")
        return (Told(section="training", numbers=numbers, blocks=[chart], verdict=verdict),)


@dataclass(frozen=True, kw_only=True)
class _MeasureStep(Step):
    """Measures a model on held-out triples, before or after training."""

    settings: CriticTrainSettings
    model: str
    name: str

    @property
    def reads(self) -> tuple[str, ...]:
        """The model and the triples."""
        return (self.model, "triples")

    def _opened(self, given: Given) -> tuple[ModelHandle, Sequence[Triple]]:
        """The model, and the triples of the held-out tasks."""
        settings, handle = self.settings, given[self.model]
        if isinstance(handle, Path):
            handle = handle_of(str(handle), settings.place)
        triples = read_triples(given["triples"])
        return handle, split_triples(triples, settings.heldout_frac, settings.train.seed)[1]


@dataclass(frozen=True, kw_only=True)
class MeasureCriticStep(_MeasureStep):
    """A critic's critiques of held-out solutions: parse rate, localisation, verdicts.

    Source: ours. Oracle: tests/recipes/test_critic_training.py::test_a_critic_learns_the_form
    """

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Write critiques, greedily, and measure them."""
        settings = self.settings
        handle, heldout = self._opened(given)
        solutions = [triple.solution for triple in heldout[: settings.num_measured]]
        reads = criticise(handle, solutions, settings, stage.path / "logs", meter)
        return {"measured": measure_critic(reads, solutions)}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """A row of the table of the critic, before or after."""
        found = done.output["measured"]
        when = self.name.removeprefix("measure-")
        names = ("localisation", "detection", "false_alarm")
        shares = [found[name]["value"] if found[name] else None for name in names]
        parsed = 1 - found["states"].get("unparsable", 0) / max(1, found["num"])
        table = Table(
            title="The critic on held-out solutions",
            columns=["", "parsed", *names, "chance", "n"],
            rows=[[when, parsed, *shares, found["chance"], found["num"]]],
            caption="Localisation: the first wrong step is named, or a right solution passed.",
        )
        return (Told(numbers={when: {**found, "parse_rate": parsed}}, blocks=[table]),)


@dataclass(frozen=True, kw_only=True)
class MeasureActorStep(_MeasureStep):
    """An actor's greedy answers to held-out tasks.

    Source: ours. Oracle: tests/recipes/test_self_talk.py::test_an_actor_is_measured_twice
    """

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Answer, and judge."""
        settings = self.settings
        handle, heldout = self._opened(given)
        tasks = list({one.solution.task.id: one.solution.task for one in heldout}.values())
        player = model_player(handle, stage.path / "logs", settings.place, meter)
        found = measure_actor(
            tasks[: settings.num_measured], player, max_new_tokens=settings.max_new_tokens
        )
        return {"measured": dict(found)}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """A row of the table of the actor, before or after."""
        found = done.output["measured"]
        when = self.name.removeprefix("measure-")
        right, talks = found["accuracy"], found["talks"]["value"]
        table = Table(
            title="The actor on held-out tasks",
            columns=["", "right", "low", "high", "talks to check", "tokens an answer", "n"],
            rows=[[when, *(right[k] for k in ("value", "low", "high")), talks,
                   found["tokens_per_answer"], found["num"]]],
            caption="Greedy answers. Talks to check: every line is checked, as self-talk is.",
        )  # fmt: skip
        return (Told(numbers={when: found}, blocks=[table]),)


def criticise(
    handle: ModelHandle,
    solutions: Sequence[Any],
    settings: CriticTrainSettings,
    folder: Path,
    meter: Meter,
) -> list[Read]:
    """A model's greedy critiques of solutions, as they read."""
    player = model_player(handle, folder, settings.place, meter)
    written = annotate(
        solutions, player, settings.wording, name="critiques", hints=False,
        max_new_tokens=settings.max_new_tokens,
    )  # fmt: skip
    texts = [text.text for text in written if text is not None]  # a model writes all of them
    return [
        read(text, steps_of(one.text), settings.wording.form)
        for text, one in zip(texts, solutions, strict=True)
    ]
