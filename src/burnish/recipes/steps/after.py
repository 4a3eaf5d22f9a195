"""`after`: the chosen model answers the held-out tasks; the gain, its gates and its samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burnish.base.rng import stream
from burnish.base.stages import StageResult
from burnish.base.stats import Estimate
from burnish.contracts.page import Chart, Sample, Samples, Series, Table, Text
from burnish.contracts.record import Gate, Record
from burnish.contracts.step import Told
from burnish.contracts.task import Task, Verdict
from burnish.jobs.step import Given
from burnish.recipes import gates
from burnish.recipes.measuring import Gain, Measured, measure_answers, measure_gain
from burnish.recipes.settings import ImproveSettings, MeasureSettings
from burnish.recipes.steps import improve_steps
from burnish.recipes.steps.before import BEFORE
from burnish.recipes.steps.measure import HeldoutStep, control_row, measured_numbers

MAX_SAMPLES = 240
READING = (
    "Held-out tasks share no content with the training and development tasks, and "
    "were answered greedily, once before and once after. Intervals are 95%: Wilson's "
    "for accuracies, Tango's paired score interval for the gain. The round was chosen "
    "on the development tasks. The controls use the base model only and decided "
    "nothing."
)


@improve_steps.register("after")
@dataclass(frozen=True, kw_only=True)
class AfterStep(HeldoutStep):
    """Accuracy after, paired with before over the same tasks.

    Source: ours. Oracle: tests/recipes/test_improve.py::test_the_result
    """

    margins: MeasureSettings
    name: str = "measure-after"
    model: str = "chosen"

    @classmethod
    def configured(cls, settings: ImproveSettings) -> "AfterStep":
        """The step of a job with these settings."""
        return cls(
            max_new_tokens=settings.measure.max_new_tokens,
            margins=settings.measure,
            precision=settings.precision,
            seed=settings.seed,
        )

    @property
    def shows(self) -> tuple[str, ...]:
        """The answers before."""
        return (BEFORE,)

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Accuracy after, the gain and its parts, two gates, charts and samples."""
        records, old = given[self.name], given[BEFORE]
        before = measure_answers(old, stream(self.seed, "measure", "before"))
        after = self.measured("after", given)
        gain = measure_gain(old, records, stream(self.seed, "gain"))
        tested = [
            gates.better(gain.accuracy, margin=self.margins.margin_accuracy),
            gates.not_longer(
                gain.length_frac,
                margin=self.margins.margin_length_frac,
                num_newly_cut=gain.num_newly_cut,
                num_newly_ended=gain.num_newly_ended,
            ),
        ]
        results = Told(
            numbers={
                "after": measured_numbers(after),
                "gain": gain.accuracy.to_dict(),
                "gain_bounds": {"lowest": gain.lowest, "highest": gain.highest},
                "gain_parts": {
                    name: getattr(gain, name) for name in ("newly_parsable", "newly_right", "lost")
                },
                "length_change_frac": gain.length_frac.to_dict(),
            },
            gates=tested,
            claims=[
                self.claim("accuracy after", after.accuracy, given, done),
                self.claim("gain", gain.accuracy, given, done),
            ],
            headline=tiles(before, after),
            blocks=[accuracy_chart(before, after), gain_table(gain), answers_table(before, after)],
            verdict=verdict(before, after, gain, tested[0]),
        )
        row = control_row("improved model", after.accuracy, records)
        shown = samples(given["heldout"], old, records)
        return (
            *super().tell(done, given),
            results,
            Told(section="controls", blocks=[row]),
            Told(section="samples", blocks=[shown]),
            Told(section="notes", blocks=[Text(title="How to read this", text=READING)]),
        )


def verdict(before: Measured, after: Measured, gain: Gain, better: Gate) -> tuple[str, bool | None]:
    """The one sentence that the report begins with, and whether it is good news.

    The words follow the interval of the gain, whatever margin the gate allows.
    Source: ours. Oracle: tests/recipes/test_after.py::test_words_follow_the_interval
    """
    found = gain.accuracy
    sides = f"from {_percent(before.accuracy.value)} to {_percent(after.accuracy.value)}"
    says = f"went {sides}: no evidence of a difference"
    if found.low > 0:
        says = f"rose {sides}"
    elif found.high < 0:
        says = f"fell {sides}"
    sentence = (
        f"Accuracy on {found.n} held-out tasks {says} (gain {100 * found.value:.1f} points, "
        f"95% interval {100 * found.low:.1f} to {100 * found.high:.1f})."
    )
    if better.outcome == "fail":
        return sentence, False
    return sentence, True if found.low > 0 else None


def tiles(before: Measured, after: Measured) -> list[tuple[str, str, str]]:
    """Accuracy on both sides, and length."""
    lengths = f"{before.length_tokens.value:.1f} → {after.length_tokens.value:.1f}"
    return [
        ("Before", _percent(before.accuracy.value), _range(before.accuracy)),
        ("After", _percent(after.accuracy.value), _range(after.accuracy)),
        ("Answer length", lengths, "mean tokens, before and after"),
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _range(estimate: Estimate) -> str:
    return f"{_percent(estimate.low)} to {_percent(estimate.high)}"


def accuracy_chart(before: Measured, after: Measured) -> Chart:
    """Accuracy of all tasks and of each group."""

    def series(name: str, all_tasks: Estimate, groups: Mapping[str, Estimate]) -> Series:
        rows = {"all tasks": all_tasks, **groups}
        return Series(
            name=name,
            x=list(rows),
            y=[one.value for one in rows.values()],
            low=[one.low for one in rows.values()],
            high=[one.high for one in rows.values()],
        )

    return Chart(
        title="Accuracy on held-out tasks",
        kind="bar",
        series=[
            series("before", before.accuracy, before.by_group),
            series("after", after.accuracy, after.by_group),
        ],
        x_label="tasks",
        y_label="accuracy (share right)",
        caption="Bars with 95% Wilson intervals; the same tasks on both sides.",
    )


def gain_table(gain: Gain) -> Table:
    """The gain, split into its parts."""
    return Table(
        title="Where the gain comes from",
        columns=["part", "share of tasks", "meaning"],
        rows=[
            ["newly right", gain.newly_right, "a wrong final answer before, the right one now"],
            ["newly parsable", gain.newly_parsable, "no final answer before, the right one now"],
            ["lost", -gain.lost, "right before, not now"],
            ["gain", gain.accuracy.value, "the sum"],
        ],
        caption="A gain that is mostly 'newly parsable' would be a gain in format, not in skill.",
    )


def answers_table(before: Measured, after: Measured) -> Table:
    """How many answers were read, scored and cut, on both sides."""
    sides = {"before": before, "after": after}
    return Table(
        title="Answers that were read, scored and cut",
        columns=[
            "",
            "final answer found",
            "not scored",
            "cut at the token cap",
            "accuracy if all unscored were right",
        ],
        rows=[
            [name, one.parsable.value, one.num_unscored, one.num_cut, one.highest_accuracy]
            for name, one in sides.items()
        ],
        caption="An answer that its checker could not score counts as not right.",
    )


def samples(tasks: Sequence[Task], before: Sequence[Record], after: Sequence[Record]) -> Samples:
    """Answers on both sides, side by side."""
    rows = [
        Sample(
            prompt=task.prompt,
            answer=task.answer,
            before=old.answer,
            after=new.answer,
            before_right=old.verdict == Verdict.RIGHT,
            after_right=new.verdict == Verdict.RIGHT,
            group=task.group,
        )
        for task, old, new in zip(tasks, before, after, strict=True)
    ]
    shown = rows[:MAX_SAMPLES]
    return Samples(
        title="Held-out answers, before and after",
        samples=shown,
        caption=f"{len(shown)} of {len(rows)} tasks, in the order of the split.",
    )
