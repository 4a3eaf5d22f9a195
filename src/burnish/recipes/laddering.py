"""A ladder that is trained: `arch` pretrains each cell, `scaling` fits what they reached."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from burnish.arch.plan import Shape
from burnish.arch.pretrain_job import pretrain
from burnish.arch.settings import PretrainSettings
from burnish.base.canonical import content_hash
from burnish.base.errors import SettingError
from burnish.base.files import write_json
from burnish.base.settings import load_settings
from burnish.contracts.training_plan import TrainingPlan
from burnish.data.mixtures import mixture_key, parse_mixture
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.step import Value
from burnish.scaling.fit_job import check_table
from burnish.scaling.ladder_cells import LadderSettings, Train
from burnish.scaling.ladder_job import ladder_job

CELL = {  # what cells share where `train` says nothing else: Step Law's rules are for AdamW
    "optimizer": "adamw",
    "schedule": "cosine",
    "final_frac": 0.1,
    "num_evaluations": 1,
    "sample_tokens": 0,
    "precision": "fp32",
}
OF_THE_LADDER = ("corpus", "vocab", "context", "seed", "planned", "tokens", "minutes", "steps")


def climb_ladder(
    settings: LadderSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Emit a ladder's cells; where `corpus` is given train them too; with `data.path` fit results.

    Raises: InputError, as `read_runs` and `climb`; what `pretrain` raises.
    Source: ours. Oracle: tests/recipes/test_laddering.py::test_a_ladder_is_trained_and_fitted
    """
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command)
    if settings.data.path:
        check_table(settings.data, settings.fit)
    job = climbing_job(settings)
    for value in job.given.values():
        _ = value.key  # what is not there is told before a run folder is made
    return run_job(job, place)


def climbing_job(settings: LadderSettings) -> Job:
    """The job of `scaling ladder`, with the trainer where cells are trained."""
    if not settings.corpus:
        return ladder_job(settings)
    shared = cell_settings(settings)
    parts = parse_mixture(shared.corpus)

    def key() -> str:
        return content_hash([mixture_key(parts, shared.reading()), repr(shared)])

    return ladder_job(settings, Value(key, lambda: cell_trainer(shared)))


def cell_settings(settings: LadderSettings) -> PretrainSettings:
    """What all cells are trained with. Raises SettingError for what a ladder decides itself."""
    taken = [one for one in settings.train if one.split("=")[0].strip() in OF_THE_LADDER]
    if taken:
        rule = "must leave to the ladder what cells are and share"
        raise SettingError("train", taken, rule, remedy=f"Leave out {', '.join(OF_THE_LADDER)}")
    own = {"corpus": settings.corpus, "vocab": settings.vocab, "context": settings.context}
    base = PretrainSettings(**own, **CELL, seed=settings.seed)
    return load_settings(PretrainSettings, base=base, overrides=settings.train)


def cell_trainer(shared: PretrainSettings) -> Train:
    """A function that pretrains a cell's plan in a folder, and tells what it reached.

    Its rows hold the size that was trained, by the plan's convention, and the held-out loss.
    Cells share the tokenizer and the shards of the first one.
    An interrupted call resumes when repeated. Source: ours.
    Oracle: tests/recipes/test_laddering.py::test_a_ladder_is_trained_and_fitted
    """

    def train(cell: TrainingPlan, folder: Path) -> Mapping[str, Any]:
        folder.mkdir(parents=True, exist_ok=True)
        plan = folder / "plan.json"
        write_json(plan, cell)
        started = time.monotonic()
        others = (path / "run" for path in sorted(folder.parent.iterdir()) if path != folder)
        first = next((run for run in others if (run / "result.json").is_file()), None)
        own = replace(shared, seed=cell.seed)
        result = pretrain(own, plan=plan, folder=folder / "run", reuse=first)
        values, shape = result["plan"]["values"], Shape(**result["plan"]["shape"])
        counted = shape.counted(cell.counts, context=values["context"])
        loss = result["validation"]
        return {
            "n": counted.n_active,
            "d": values["tokens"],
            "c": 6 * counted.n_active * values["tokens"],
            "batch": values["batch_tokens"],
            "lr": values["learning_rate"],
            "loss": loss["value"],
            "loss_low": loss["low"],
            "loss_high": loss["high"],
            "seconds": round(time.monotonic() - started, 1),
        }

    return train
