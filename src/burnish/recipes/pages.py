"""The report page of `burnish improve`, described in blocks; nothing is computed here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from burnish.base.stats import Estimate
from burnish.contracts.page import Block, Chart, Page, Sample, Samples, Series, Table, Text
from burnish.contracts.task import Verdict
from burnish.recipes.remembering import memory_chart
from burnish.recipes.settings import ImproveSettings

if TYPE_CHECKING:
    from burnish.recipes.outcome import Evidence, Findings

MAX_SAMPLES = 240


def make_page(
    found: "Findings",
    evidence: "Evidence",
    settings: ImproveSettings,
    *,
    result: Mapping[str, Any],
    info: Mapping[str, Any],
) -> Page:
    """Verdict first, then tiles, gates, charts, controls, samples, costs, provenance."""
    better = next(gate for gate in found.gates if gate.name == "better")
    blocks: list[Block] = [
        _accuracy_chart(found),
        _gain_table(found),
        _controls_table(found, evidence, result),
        _rounds_table(evidence),
        *_loss_charts(evidence),
        *_memory_chart(evidence),
        _samples(evidence),
        _cost_table(result),
        Text(
            title="How to read this",
            text=(
                "Held-out tasks share no content with the training and development tasks, and "
                "were answered greedily, once before and once after. Intervals are 95%: Wilson's "
                "for accuracies, Tango's paired score interval for the gain. The round was chosen "
                "on the development tasks. The controls use the base model only and decided "
                "nothing."
            ),
        ),
    ]
    return Page(
        title=f"burnish improve: {settings.model}",
        verdict=verdict_sentence(found),
        good={"pass": True, "fail": False}.get(better.outcome),
        headline=_tiles(found, result),
        gates=result["gates"],
        blocks=blocks,
        command=" ".join(info.get("command") or ["burnish", "improve"]),
        provenance=_provenance(info, settings),
    )


def verdict_sentence(found: "Findings") -> str:
    """The one sentence that the report begins with."""
    before, after, gain = found.before.accuracy, found.after.accuracy, found.gain.accuracy
    words = {
        "pass": f"rose from {_percent(before.value)} to {_percent(after.value)}",
        "fail": f"fell from {_percent(before.value)} to {_percent(after.value)}",
    }
    outcome = next(gate.outcome for gate in found.gates if gate.name == "better")
    says = words.get(
        outcome,
        f"went from {_percent(before.value)} to {_percent(after.value)}: "
        "no evidence of a difference",
    )
    return (
        f"Accuracy on {gain.n} held-out tasks {says} (gain {100 * gain.value:.1f} points, "
        f"95% interval {100 * gain.low:.1f} to {100 * gain.high:.1f})."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _range(estimate: Estimate) -> str:
    return f"{_percent(estimate.low)} to {_percent(estimate.high)}"


def _tiles(found: "Findings", result: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    lengths = (found.before.length_tokens, found.after.length_tokens)
    return (
        ("Before", _percent(found.before.accuracy.value), _range(found.before.accuracy)),
        ("After", _percent(found.after.accuracy.value), _range(found.after.accuracy)),
        (
            "Answer length",
            f"{lengths[0].value:.1f} → {lengths[1].value:.1f}",
            "mean tokens, before and after",
        ),
        (
            "Time",
            f"{result['cost']['actual_minutes']:.1f} min",
            f"planned {result['cost']['plan']['minutes']:.1f} min",
        ),
    )


def _accuracy_chart(found: "Findings") -> Chart:
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
            series("before", found.before.accuracy, found.before.by_group),
            series("after", found.after.accuracy, found.after.by_group),
        ],
        x_label="tasks",
        y_label="accuracy (share right)",
        caption="Bars with 95% Wilson intervals; the same tasks on both sides.",
    )


def _gain_table(found: "Findings") -> Table:
    gain = found.gain
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


def _controls_table(found: "Findings", evidence: "Evidence", result: Mapping[str, Any]) -> Table:
    vote = result["controls"]["majority_vote"]

    def row(name: str, one: Estimate, tokens: int) -> list[Any]:
        return [name, one.value, one.low, one.high, one.n, tokens]

    return Table(
        title="Sceptic's controls",
        columns=["on the held-out tasks", "accuracy", "low", "high", "n", "tokens written"],
        rows=[
            row("base model", found.before.accuracy, sum(r.tokens for r in evidence.before)),
            row(
                "base model, few-shot",
                found.few_shot.accuracy,
                sum(r.tokens for r in evidence.few_shot),
            ),
            row(
                f"base model, majority of {evidence.num_votes}", found.vote_accuracy, vote["tokens"]
            ),
            row("improved model", found.after.accuracy, sum(r.tokens for r in evidence.after)),
        ],
        caption=(
            "The vote spends on the held-out tasks about the tokens that sampling the training "
            f"tasks took ({vote['training_sample_tokens']:,})."
        ),
    )


def _rounds_table(evidence: "Evidence") -> Table:
    rows = []
    for one in evidence.rounds:
        right = sum(record.verdict == Verdict.RIGHT for record in one.sampled)
        mark = "kept" if one.number == evidence.chosen else ""
        rows.append(
            [
                one.number,
                len(one.sampled),
                right,
                one.num_selected,
                f"{one.dev_right} of {len(one.dev)}",
                mark,
            ]
        )
    return Table(
        title="Rounds",
        columns=["round", "answers sampled", "right", "learned from", "development tasks", ""],
        rows=rows,
        caption="Round 0 is the base model. Development tasks choose; held-out tasks do not.",
    )


def _loss_charts(evidence: "Evidence") -> list[Block]:
    trained = [one for one in evidence.rounds if one.losses]
    if not trained:
        return []
    return [
        Chart(
            title="Training loss",
            kind="line",
            series=[
                Series(
                    name=f"round {one.number}",
                    x=[float(step) for step in range(len(one.losses))],
                    y=list(one.losses),
                )
                for one in trained
            ],
            x_label="step",
            y_label="loss (nats per answer token)",
        )
    ]


def _memory_chart(evidence: "Evidence") -> list[Block]:
    return [] if evidence.memory is None else [memory_chart(*evidence.memory)]


def _samples(evidence: "Evidence") -> Samples:
    rows = [
        Sample(
            prompt=task.prompt,
            answer=task.answer,
            before=before.answer,
            after=after.answer,
            before_right=before.verdict == Verdict.RIGHT,
            after_right=after.verdict == Verdict.RIGHT,
            group=task.group,
        )
        for task, before, after in zip(
            evidence.heldout, evidence.before, evidence.after, strict=True
        )
    ]
    shown = rows[:MAX_SAMPLES]
    return Samples(
        title="Held-out answers, before and after",
        samples=shown,
        caption=f"{len(shown)} of {len(rows)} tasks, in the order of the split.",
    )


def _cost_table(result: Mapping[str, Any]) -> Table:
    cost = result["cost"]
    stages = [[name, seconds] for name, seconds in cost["stage_seconds"].items()]
    return Table(
        title="Plan and actual",
        columns=["stage", "seconds"],
        rows=[
            *stages,
            ["all stages", 60 * cost["actual_minutes"]],
            ["planned", 60 * cost["plan"]["minutes"]],
        ],
        caption="A stage that was cut off and taken up again counts its last attempt only.",
    )


def _provenance(info: Mapping[str, Any], settings: ImproveSettings) -> dict[str, Any]:
    kept = {name: info[name] for name in ("created", "key", "git", "code_hash") if name in info}
    return {
        **kept,
        "host": info.get("host"),
        "versions": info.get("versions"),
        "seed": settings.seed,
        "tasks": list(settings.tasks),
    }
