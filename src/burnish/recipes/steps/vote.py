"""`vote`: the control that spends the tokens of sampling on votes of the base model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burnish.base.stages import StageResult
from burnish.contracts.record import Record
from burnish.contracts.step import Cost, Told
from burnish.jobs.step import Given
from burnish.recipes import controls
from burnish.recipes.answering import Ask, sampled_asks
from burnish.recipes.settings import ImproveSettings, SampleSettings
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.answers import Answered, MeasuredStep
from burnish.recipes.steps.measure import answers_cost, control_row


@improve_steps.register("vote")
@dataclass(frozen=True, kw_only=True)
class VoteStep(MeasuredStep):
    """Majority vote of the base model, at as many tokens as sampling the training tasks took.

    A vote may be as long as the answers that are measured. One on each task is sampled first;
    what these took sets the number of votes.

    Source: self-consistency, arXiv 2203.11171, section 2.
    Oracle: tests/recipes/test_controls.py::test_votes_cost_the_same_tokens
    """

    max_votes: int
    max_new_tokens: int
    sample: SampleSettings
    seed: int
    name: str = "control-vote"
    model: str = "base"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "VoteStep":
        """The step of a job with these settings."""
        return cls(
            max_votes=settings.measure.max_votes,
            max_new_tokens=settings.measure.max_new_tokens,
            sample=settings.sample,
            precision=settings.precision,
            seed=settings.seed,
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """The held-out tasks, and what was sampled: it sets the number of votes."""
        return ("heldout", "sampled")

    def asks(self, given: Given) -> list[Ask]:
        """The first vote on each held-out task."""
        return self._votes(1, given)

    def asked(self, rows: Mapping[str, Record], given: Given) -> list[Ask]:
        """All votes: so many that they took as many tokens as sampling did."""
        first = [rows[ask.name] for ask in self.asks(given) if ask.name in rows]
        return self._votes(self._num_votes(first, given), given)

    def answers(self, answered: Answered, given: Given) -> list[Record]:
        """The first votes, then all."""
        first = answered(self.asks(given))
        return answered(self._votes(self._num_votes(first, given), given))

    def cost(self, num_items: Mapping[str, int]) -> Cost:
        """The tokens that sampling takes."""
        return answers_cost(num_items["sampled"], num_items, num_prompts=num_items["heldout"])

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The vote's accuracy, and what it spent."""
        records = given[self.name]
        votes = len(records) // len(given["heldout"])
        accuracy = controls.vote_accuracy(given["heldout"], records)
        tokens, sampled_tokens = _tokens(records), _tokens(given["sampled"])
        numbers = {
            "accuracy": accuracy.to_dict(),
            "num_votes": votes,
            "tokens": tokens,
            "training_sample_tokens": sampled_tokens,
        }
        caption = (
            f"The vote spends {tokens:,} tokens on the held-out tasks; sampling the training tasks "
            f"took {sampled_tokens:,}."
        )
        name = f"base model, majority of {votes}"
        return (
            *super().tell(done, given),
            Told(
                section="controls",
                numbers={"controls": {"majority_vote": numbers}},
                claims=[self.claim("accuracy majority vote", accuracy, given, done)],
                blocks=[control_row(name, accuracy, records, caption=caption)],
            ),
        )

    def _votes(self, num: int, given: Given) -> list[Ask]:
        sampling = controls.sampling_of(self.sample) | {"max_new_tokens": self.max_new_tokens}
        return sampled_asks(given["heldout"], range(num), seed=self.seed, **sampling)

    def _num_votes(self, first: Sequence[Record], given: Given) -> int:
        return controls.num_votes(_tokens(given["sampled"]), _tokens(first), self.max_votes)


def _tokens(records: Sequence[Record]) -> int:
    return sum(record.tokens for record in records)
