"""`critique`: wrong answers get a critique and second attempts, which join the pool."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from burnish.base.meter import Meter
from burnish.base.records import read_records, write_records
from burnish.base.stages import Stage, StageResult
from burnish.contracts.page import Table
from burnish.contracts.record import Record
from burnish.contracts.step import Cost, Told
from burnish.contracts.task import Task, Verdict
from burnish.critique.critics import ITSELF, SCRIPTED, model_player, scripted_critic
from burnish.critique.players import Player
from burnish.critique.settings import PlaceSettings
from burnish.critique.wording import Wording
from burnish.data.chains import chain_of
from burnish.jobs.step import Given, Step
from burnish.recipes.answering import DECODING
from burnish.recipes.critic_settings import CriticLoopSettings
from burnish.recipes.gathering import attempt_again
from burnish.recipes.settings import CritiqueStageSettings, ImproveSettings, SampleSettings
from burnish.recipes.steps import round_steps
from burnish.recipes.steps.measure import answers_cost
from burnish.recipes.steps.rounds import Roles

CRITIC = "critic"  # the value that holds the model of `critique.critic`
REVISED = "revised.jsonl"
WRONG_FRAC = 0.5  # guessed, of the answers


@round_steps.register("critique")
@dataclass(frozen=True, kw_only=True)
class CritiqueStep(Step):
    """Critique and second attempts on training tasks; left out where no critic is set.

    Only training tasks are touched, whose references say which answers are wrong. Revisions are
    learned without the critique, as answers to the task.
    Source: critique in the loop, arXiv 2411.16579.
    Oracle: tests/recipes/test_critiquing.py::test_revisions_join_the_pool
    """

    name: str
    actor: str
    sampled: tuple[str, ...]
    critique: CritiqueStageSettings
    sample: SampleSettings
    seed: int

    @classmethod
    def in_round(cls, settings: ImproveSettings, roles: Roles) -> Sequence[Step]:
        """The step of a round, or none."""
        if not settings.critique.critic:
            return ()
        step = cls(
            name=f"critique-{roles.number}",
            actor=roles.actor,
            sampled=roles.sampled,
            critique=settings.critique,
            sample=settings.sample,
            seed=settings.seed + roles.number,
        )
        roles.pool = (*roles.pool, step.name)
        return (step,)

    @property
    def reads(self) -> tuple[str, ...]:
        """Actor and critic, the tasks and their answers of this round."""
        return (self.actor, CRITIC, "train", *self.sampled, DECODING)

    @property
    def writes(self) -> Mapping[str, str]:
        """Right revisions, under the step's own name."""
        return {self.name: REVISED}

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """A critique and its revisions for each wrong answer."""
        num = int(sum(num_items[name] for name in self.sampled) * WRONG_FRAC)
        taken = answers_cost(num * (1 + self.critique.num_refinements), num_items)
        return Cost(**{**vars(taken), "num_items": {self.name: num}})

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Criticise what is wrong, revise, and keep what is right."""
        plan, place = self._plan(), PlaceSettings(batch_size=given[DECODING].batch_size)
        actor = model_player(given[self.actor], stage.path / "actor", place, meter)
        tasks = {task.id: task for task in given["train"]}
        answers = [record for name in self.sampled for record in given[name]]
        wrong = [(tasks[r.task_id], r) for r in answers if r.verdict == Verdict.WRONG]
        if self.critique.critic == SCRIPTED:
            wrong = [(task, record) for task, record in wrong if chain_of(task) is not None]
        critic = self._critic(stage, [task for task, _ in wrong], given, meter)
        found = attempt_again(wrong, answers, (actor, critic), plan, seed=self.seed)
        write_records(stage.path / REVISED, [asdict(record) for record in found.refined])
        return {"counts": found.counts | {"num_wrong": len(wrong)}}

    def _plan(self) -> CriticLoopSettings:
        stage = self.critique
        return CriticLoopSettings(
            num_refinements=stage.num_refinements,
            temperature=self.sample.temperature,
            max_new_tokens=stage.max_new_tokens or self.sample.max_new_tokens,
            max_critique_tokens=stage.max_critique_tokens,
            barrier=stage.barrier,
            wording=Wording(form=stage.form),
        )

    def _critic(self, stage: Stage, tasks: Sequence[Task], given: Given, meter: Meter) -> Player:
        if self.critique.critic == SCRIPTED:
            return scripted_critic(tasks, Wording(form=self.critique.form))
        handle = given[self.actor] if self.critique.critic == ITSELF else given[CRITIC]
        place = PlaceSettings(batch_size=given[DECODING].batch_size)
        return model_player(handle, stage.path / "critic", place, meter)

    def open(self, name: str, done: StageResult, given: Given) -> list[Record]:
        """The right revisions."""
        return [Record(**row) for row in read_records(done.path / REVISED)]

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """What the stage added, and what it took."""
        counts = done.output["counts"]
        tokens = counts["tokens"]
        row = [self.name, counts["num_wrong"], counts["num_refined_kept"],
               counts["num_solved_by_refinement_only"], tokens.get("actor", 0),
               tokens.get("critic", 0), tokens.get("prefilled", 0)]  # fmt: skip
        table = Table(
            title="Second attempts",
            columns=["stage", "wrong answers", "right revisions", "tasks solved only so",
                     "actor tokens", "critic tokens", "tokens read"],
            rows=[row],
            caption="Training tasks only; revisions are learned without their critiques.",
        )  # fmt: skip
        numbers = {"critique": [{"stage": self.name, **counts}]}
        return (Told(section="training", numbers=numbers, blocks=[table]),)
