"""From judged answers to the result of `burnish improve`: numbers, gates, ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from burnish.base.meter import Meter
from burnish.base.rng import stream
from burnish.base.stats import Estimate
from burnish.base.team import TeamRun
from burnish.contracts.record import Claim, Gate, Record
from burnish.contracts.task import Task, Verdict
from burnish.recipes import controls, gates
from burnish.recipes.measuring import Gain, Measured, measure_answers, measure_gain
from burnish.recipes.pages import make_page
from burnish.recipes.planning import Plan
from burnish.recipes.remembering import memory_change, not_more_forgetful
from burnish.recipes.settings import ImproveSettings


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round of sampling and teaching; round 0 is the base model."""

    number: int
    dev: Sequence[Record]
    sampled: Sequence[Record] = ()
    num_selected: int = 0
    losses: Sequence[float] = field(default_factory=tuple)

    @property
    def dev_right(self) -> int:
        """Right answers on the development tasks: what rounds are chosen by."""
        return sum(record.verdict == Verdict.RIGHT for record in self.dev)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All judged answers of a run."""

    heldout: Sequence[Task]
    before: Sequence[Record]
    after: Sequence[Record]
    few_shot: Sequence[Record]
    vote: Sequence[Record]
    num_votes: int
    rounds: Sequence[Round]
    chosen: int
    memory: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None  # curves; None: unmeasured


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Every number that the result and its page show."""

    before: Measured
    after: Measured
    gain: Gain
    few_shot: Measured
    vote_accuracy: Estimate
    gates: tuple[Gate, ...]


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a run was planned to take, and took; `seconds` is by stage.

    `drafting` is the last event of each stage that chose how to decode.
    """

    plan: Plan
    seconds: Mapping[str, float]
    minutes: float
    meter: Meter
    drafting: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The `cost` of `result.json`."""
        return {
            "plan": self.plan.to_dict(),
            "actual_minutes": round(sum(self.seconds.values()) / 60, 2),
            "stage_seconds": dict(self.seconds),
            "metered": self.meter.totals(),
            "drafting": {
                stage: {name: event[name] for name in ("choice", "reason", "plan")}
                for stage, event in self.drafting.items()
            },
        }


def find(evidence: Evidence, settings: ImproveSettings) -> Findings:
    """Compute the findings; the same evidence and seed give the same numbers."""

    def measured(name: str, records: Sequence[Record]) -> Measured:
        return measure_answers(records, stream(settings.seed, "measure", name))

    gain = measure_gain(evidence.before, evidence.after, stream(settings.seed, "gain"))
    margins = settings.measure
    tested = [
        gates.better(gain.accuracy, margin=margins.margin_accuracy),
        gates.not_longer(gain.length_frac, margin=margins.margin_length_frac),
    ]
    if evidence.memory is not None:
        change = memory_change(*evidence.memory, seed=settings.seed)
        tested.append(not_more_forgetful(change, margin=settings.memory.margin))
    return Findings(
        before=measured("before", evidence.before),
        after=measured("after", evidence.after),
        gain=gain,
        few_shot=measured("few-shot", evidence.few_shot),
        vote_accuracy=controls.vote_accuracy(evidence.heldout, evidence.vote),
        gates=tuple(tested),
    )


def make_result(
    evidence: Evidence,
    settings: ImproveSettings,
    *,
    run: TeamRun,
    model: Path | None,
    spent: Spent,
) -> dict[str, Any]:
    """What `result.json` holds.

    Between reruns only places and times vary: `run`, `model`, `minutes`, `cost`, the seconds of
    `claims`, and their like on the page.
    """
    found = find(evidence, settings)
    result: dict[str, Any] = {
        "what": "improve",
        "base": settings.model,
        "run": str(run.path),
        "model": str(model) if model else settings.model,
        "before": _measured(found.before),
        "after": _measured(found.after),
        "gain": found.gain.accuracy.to_dict(),
        "gain_parts": {
            name: getattr(found.gain, name) for name in ("newly_parsable", "newly_right", "lost")
        },
        "length_change_frac": found.gain.length_frac.to_dict(),
        "controls": _controls(found, evidence),
        "rounds": [_round(one) for one in evidence.rounds],
        "chosen_round": evidence.chosen,
        "gates": [asdict(gate) for gate in found.gates],
        "claims": [asdict(claim) for claim in _claims(found, evidence, spent.seconds)],
        "minutes": round(spent.minutes, 2),
        "cost": spent.to_dict(),
    }
    page = make_page(found, evidence, settings, result=result, info=run.info)
    return result | {"page": asdict(page)}


def _measured(measured: Measured) -> dict[str, Any]:
    return {
        "accuracy": measured.accuracy.to_dict(),
        "by_group": {group: one.to_dict() for group, one in measured.by_group.items()},
        "length_tokens": measured.length_tokens.to_dict(),
        "parsable": measured.parsable.to_dict(),
        "num_unscored": measured.num_unscored,
    }


def _controls(found: Findings, evidence: Evidence) -> dict[str, Any]:
    sampled = [record for one in evidence.rounds for record in one.sampled]
    return {
        "few_shot": _measured(found.few_shot),
        "majority_vote": {
            "accuracy": found.vote_accuracy.to_dict(),
            "num_votes": evidence.num_votes,
            "tokens": sum(record.tokens for record in evidence.vote),
            "training_sample_tokens": sum(record.tokens for record in sampled),
        },
    }


def _round(one: Round) -> dict[str, Any]:
    return {
        "round": one.number,
        "dev_right": one.dev_right,
        "dev_tasks": len(one.dev),
        "num_sampled": len(one.sampled),
        "num_selected": one.num_selected,
        "losses": list(one.losses),
    }


def _claims(found: Findings, evidence: Evidence, seconds: Mapping[str, float]) -> list[Claim]:
    rows = [
        ("accuracy before", found.before.accuracy, evidence.before, "measure-before"),
        ("accuracy after", found.after.accuracy, evidence.after, "measure-after"),
        ("gain", found.gain.accuracy, evidence.after, "measure-after"),
        ("accuracy few-shot", found.few_shot.accuracy, evidence.few_shot, "control-few-shot"),
        ("accuracy majority vote", found.vote_accuracy, evidence.vote, "control-vote"),
    ]
    return [
        Claim(
            claim=name,
            **estimate.to_dict(),
            tokens=sum(record.tokens for record in records),
            seconds=seconds[stage],
            artefact=f"stages/{stage}/answers.jsonl",
        )
        for name, estimate, records, stage in rows
    ]
