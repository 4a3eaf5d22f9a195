"""Align a model with preferences: `burnish prefer train`, and the stage `prefer` of `improve`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.errors import IncompleteError
from burnish.base.meter import Meter
from burnish.base.progress import say
from burnish.base.records import existing_file, file_hash
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.base.stats import Estimate, paired_difference
from burnish.contracts.record import Record
from burnish.contracts.step import Told
from burnish.contracts.task import Verdict
from burnish.distrib.rank import is_main
from burnish.distrib.team import join_team
from burnish.jobs.job import TRAINED, Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import METERED, Given, Step, Value
from burnish.models.handle import ModelHandle
from burnish.models.load import Model
from burnish.prefer.alpha_curve import alpha_curve
from burnish.prefer.length_audit import check_enough
from burnish.prefer.page import make_page
from burnish.prefer.pulls import token_pulls
from burnish.prefer.reading import PairSet, make_pairs, pairs_path, read_pairs
from burnish.prefer.settings import LossSettings, PreferSettings, PreferTrainSettings
from burnish.prefer.training import Aligned, align, logged_differently
from burnish.recipes.settings import PreferStageSettings
from burnish.recipes.teaching import save_trained
from burnish.report.pages import page_from_json
from burnish.train.settings import TrainSettings

WHAT = "prefer"
NUM_EXAMPLES = 2  # whose tokens' weights are shown


def train_preferences(
    spec: str,
    path: Path,
    settings: PreferTrainSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Align the model `spec` with the pairs in `path`, a file or a run that left one.

    An interrupted run resumes when the call is repeated. Under torchrun the processes train
    together, and rank 0 writes.
    Raises MissingFileError; IncompleteError for fewer than two usable pairs; SettingError where
    `folder` holds something else.
    Source: ours. Oracle: tests/recipes/test_preferring.py::test_a_run_ends_with_a_model_and_a_page
    """
    asked = _asked(spec, pairs_path(path), settings)
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command)
    return run_job(prefer_job(asked, settings.alignment()), place, team=join_team(settings.device))


def prefer_job(told: Mapping[str, Any], settings: PreferSettings) -> Job:
    """The job of `prefer train`; `told` is what its `run.json` holds as settings."""
    spec, device = told["model"], told["device"]
    actor = ModelHandle(spec, precision=told["precision"], device=device)
    path = Path(told["pairs"])
    return Job(
        what=WHAT,
        settings=told,
        seed=settings.train.seed,
        parts=[AlignStep(prefer=settings, precision=told["precision"])],
        given={
            "base": Value(lambda: actor.key, lambda: actor),
            "pairs": Value(told["pairs_hash"], lambda: existing_file(path)),
        },
        header=Header(
            title=f"burnish prefer: {settings.loss.resolved()['name']} on {spec}",
            numbers={"base": spec, "pairs": str(path)},
            provenance={"loss": settings.loss.resolved()},
        ),
        base=spec,
    )


@dataclass(frozen=True, kw_only=True)
class AlignStep(Step):
    """Align a model with preference pairs, measured before, meanwhile and after.

    Source: ours. Oracle: tests/recipes/test_preferring.py::test_a_run_ends_with_a_model_and_a_page
    """

    prefer: PreferSettings
    precision: str
    name: str = "prefer"
    together = True

    @property
    def reads(self) -> tuple[str, ...]:
        """The model and the file of pairs."""
        return ("base", "pairs")

    @property
    def writes(self) -> Mapping[str, str]:
        """The aligned model's folder."""
        return {TRAINED: "model"}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Align, measure, save. Raises IncompleteError for fewer than two usable pairs."""
        actor, settings = given["base"], self.prefer
        found = read_pairs(given["pairs"], actor.model, settings.pairs)
        tell_problems(found)
        aligned = _aligned(stage, actor, found, settings, meter)
        if not is_main():
            return {}  # rank 0 reports
        told = _result(aligned, found, settings)
        examples = _examples(actor.model, aligned, settings)
        actor.release()
        page = make_page(told | {"base": actor.spec}, aligned.scores, pulls=examples)
        return told | {"page": asdict(page)}

    def recheck(self, done: StageResult, given: Given) -> str:
        """The told evaluations and steps must be those that were logged."""
        return logged_differently(done.path, done.output)

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Margins, lengths and curves, and the page."""
        numbers = {k: v for k, v in done.output.items() if k not in ("page", METERED)}
        numbers["metered"] = done.output[METERED]
        return (Told.of_page(page_from_json(done.output["page"]), numbers),)


def _asked(spec: str, path: Path, settings: PreferTrainSettings) -> dict[str, Any]:
    """What identifies a run; where it computes is beside what it computes."""
    content = file_hash(existing_file(path))
    place = {"precision": settings.precision, "device": settings.device}
    asked = {"model": spec, "pairs": str(path), **place}
    return asked | {"prefer": to_dict(settings.alignment()), "pairs_hash": content}


def prefer(
    stage: Stage,
    actor: ModelHandle,
    records: Sequence[Record],
    settings: PreferSettings,
    meter: Meter,
) -> dict[str, Any]:
    """The stage of `improve`: align the actor with right over wrong answers, save `model/`.

    Raises IncompleteError where no task has both a right and a wrong answer that ended.
    Source: ours. Oracle: tests/recipes/test_preferring.py::test_the_stage_saves_a_model
    """
    rows = right_over_wrong(records)
    found = make_pairs(rows, actor.model, settings.pairs)
    if len(found.pairs) < 3:
        raise IncompleteError(
            "preference pairs",
            len(found.pairs),
            "must be at least three: tasks with both a right and a wrong answer",
            remedy="Sample more answers (--set sample.num_samples=8), or leave the stage out",
        )
    aligned = _aligned(stage, actor, found, settings, meter)
    actor.release()
    return _result(aligned, found, settings) if is_main() else {}


def stage_settings(settings: PreferStageSettings, *, seed: int) -> PreferSettings:
    """What the stage of `improve` is told, as the discipline's own settings; raises as they do."""
    train = TrainSettings(
        method=settings.method,
        learning_rate=settings.learning_rate,
        epochs=settings.epochs,
        examples_per_step=settings.examples_per_step,
        seed=seed,
    )
    loss = LossSettings(name=settings.loss, beta=settings.beta, alpha=settings.alpha)
    return PreferSettings(loss=loss, train=train)


def right_over_wrong(records: Sequence[Record], *, max_per_task: int = 2) -> list[dict[str, str]]:
    """Rows `prompt, chosen, rejected` from judged answers of the same task.

    Each distinct right answer, shortest first, meets the wrong one that is nearest to it in
    length and not used yet, so that length says little about the label. Answers that were cut at
    the token cap are left out: they have no end, and a pair would give them a false one.
    Source: ours. Oracle: tests/recipes/test_preferring.py::test_pairs_by_hand
    """
    sides: dict[str, tuple[dict[str, Record], dict[str, Record]]] = defaultdict(lambda: ({}, {}))
    for record in records:
        judged = record.verdict in (Verdict.RIGHT, Verdict.WRONG, Verdict.UNPARSABLE)
        if judged and record.finish != "length" and record.answer.strip():
            side = sides[record.task_id][record.verdict != Verdict.RIGHT]
            side.setdefault(record.answer, record)
    rows = []
    for right, wrong in sides.values():
        unused = list(wrong.values())
        for one in sorted(right.values(), key=lambda r: (r.tokens, r.answer))[:max_per_task]:
            if not unused:
                break
            nearest = min(unused, key=lambda r: (abs(r.tokens - one.tokens), r.answer))
            unused.remove(nearest)
            rows.append({"prompt": one.prompt, "chosen": one.answer, "rejected": nearest.answer})
    return rows


def right_length_change(
    before: Sequence[Record], after: Sequence[Record], rng: np.random.Generator
) -> Estimate | None:
    """Change of length of answers that were right before and after, as a fraction of before.

    For the gate "not longer": a model that learns to answer at all, or stops early and wrong,
    changes its mean length without becoming wordy. None where fewer than two tasks are left.
    Source: ours. Oracle: tests/recipes/test_preferring.py::test_length_of_right_answers_by_hand
    """
    pairs = [
        (float(b.tokens), float(a.tokens))
        for b, a in zip(before, after, strict=True)
        if b.verdict == Verdict.RIGHT and a.verdict == Verdict.RIGHT
    ]
    if len(pairs) < 2:
        return None
    change = paired_difference(*zip(*pairs, strict=True), rng=rng)
    mean = max(sum(b for b, _ in pairs) / len(pairs), 1e-9)
    low, value, high = (x / mean for x in (change.low, change.value, change.high))
    return Estimate(value=value, low=low, high=high, n=change.n)


def tell_problems(found: PairSet, *, at_most: int = 5) -> None:
    """Say on stderr which rows are left out; raise IncompleteError where too few are left."""
    for problem in found.problems[:at_most]:
        say(f"row {problem.row} is left out: it {problem.problem}, got {problem.got}")
    if (more := len(found.problems) - at_most) > 0:
        say(f"{more} more rows are left out")
    check_enough(found.pairs, len(found.problems))


def _aligned(
    stage: Stage, actor: ModelHandle, found: PairSet, settings: PreferSettings, meter: Meter
) -> Aligned:
    """Align the actor's network in place, and save what it became."""
    model = actor.model
    aligned = align(model, found, settings, folder=stage.path, event=stage.event, meter=meter)
    save_trained(stage, model, aligned.fitted)
    return aligned


def _result(aligned: Aligned, found: PairSet, settings: PreferSettings) -> dict[str, Any]:
    first, last = aligned.evaluations[0], aligned.evaluations[-1]
    return {
        "loss": settings.loss.resolved(),
        "num_pairs": len(found.pairs),
        "num_train": len(aligned.train),
        "num_heldout": len(aligned.heldout),
        "num_steps": aligned.fitted.num_steps,
        "losses": aligned.fitted.losses,
        "lengths": {"before": first["generated"], "after": last["generated"]},
        "accuracies": [row["accuracy"] for row in aligned.steps],
        "margins": last["margins"],
        "curve": _curve(aligned),
        "steps": list(aligned.steps),
        "evaluations": list(aligned.evaluations),
        "truncated": found.num_truncated,
        "num_undecided": found.num_undecided,
        "num_problems": len(found.problems),
        "problems": [problem.to_dict() for problem in found.problems],
    }


def _curve(aligned: Aligned) -> Mapping[str, Any] | None:
    """The alpha curve; None where margins do not change with length, so there is none."""
    try:
        return alpha_curve(aligned.scores).to_dict()
    except IncompleteError as error:
        say(f"no alpha curve: {error}")
        return None


def _examples(model: Model, aligned: Aligned, settings: PreferSettings) -> list[Any]:
    """Held-out pairs of unequal length with the texts of their tokens and the pulls on them."""
    unequal = [pair for pair in aligned.heldout if pair.excess_tokens]
    loss = settings.loss.build()
    reference = aligned.reference if settings.loss.needs_reference else None
    found = []
    for pair in sorted(unequal, key=lambda p: (p.num_answer_tokens, p.row))[:NUM_EXAMPLES]:
        pulls = token_pulls(model.network, pair, loss=loss, reference=reference)
        texts = [
            [model.tokenizer.decode([t]) for t in side] for side in (pair.chosen, pair.rejected)
        ]
        length = max(pair.lengths)
        padded = [side + [""] * (length - len(side)) for side in texts]
        found.append((list(zip(*padded, strict=True)), pulls))
    return found
