"""`burnish improve`: the job whose steps the settings list."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from burnish.base.progress import say
from burnish.base.records import content_hash, file_hash
from burnish.base.settings import to_dict
from burnish.critique.critics import ITSELF, SCRIPTED
from burnish.data.sources import parse_source
from burnish.distrib.team import join_team
from burnish.draft.choice import check_draft
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.runner import check_parts
from burnish.jobs.step import Value, constant
from burnish.kv.policies import kv_policies
from burnish.models.handle import ModelHandle
from burnish.recipes.answering import DECODING
from burnish.recipes.drafting import Drafting
from burnish.recipes.planning import Plan, plan_improve
from burnish.recipes.preferring import stage_settings
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.shifting import shifted_specs
from burnish.recipes.steps import parts_of
from burnish.recipes.steps.answers import Decoding
from burnish.recipes.steps.critique import CRITIC
from burnish.recipes.steps.sample import SAMPLER
from burnish.recipes.steps.shifted import SHIFT_FILES
from burnish.recipes.steps.tasks import FILES

WHAT = "improve"
GIVEN = ("base", SAMPLER, CRITIC, FILES, SHIFT_FILES, DECODING)


def improve(
    settings: ImproveSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
    reuse: Path | None = None,
) -> dict[str, Any]:
    """Improve a model on checkable tasks; the result is what `result.json` holds.

    Held-out tasks are answered twice by what is claimed: by the base model and by the model that
    the development tasks chose. The controls answer them with the base model, and decide nothing.
    `reuse` is the folder of another run, whose finished stages are taken where they are the same.
    Raises IncompleteError where no sample was right; what was finished is kept.
    Source: ours; the loop is STaR's, arXiv 2203.14465, with the model's own samples.
    Oracle: tests/recipes/test_improve.py::test_killed_and_resumed_equals_straight
    """
    check_settings(settings)
    plan = plan_improve(settings, runs)
    say(plan.sentence())
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command, reuse=reuse)
    return run_job(improve_job(settings, plan), place, team=join_team(settings.device))


def check_settings(settings: ImproveSettings) -> None:
    """Raise what a wrong loss, drafter or step would raise later."""
    if settings.prefer.loss:
        stage_settings(settings.prefer, seed=settings.seed)
    check_draft(settings.sample.draft)
    if settings.stream.kv:
        kv_policies.parse(settings.stream.kv)
    parts = parts_of(settings)
    check_parts(parts, {name: constant(None) for name in GIVEN})


def improve_job(settings: ImproveSettings, plan: Plan | None) -> Job:
    """The job; without a plan only to look at a run that is already there."""
    base, sampler = (
        ModelHandle(spec, precision=settings.precision, device=settings.device)
        for spec in (settings.model, settings.sample.model)
    )
    decoding = Decoding(
        batch_size=settings.batch_size, drafting=Drafting(draft=settings.sample.draft)
    )
    shifted = shifted_specs(settings.tasks, settings.shift.tasks, settings.shift.num)
    numbers: dict[str, Any] = {"base": settings.model, "model": settings.model}
    if plan is not None:
        numbers["cost"] = {"plan": plan.to_dict()}
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=parts_of(settings),
        given={
            "base": Value(lambda: base.key, lambda: base),
            SAMPLER: Value(lambda: sampler.key, lambda: sampler),
            CRITIC: critic_value(settings),
            FILES: Value(lambda: files_key(settings.tasks), lambda: settings.tasks),
            SHIFT_FILES: Value(lambda: files_key(shifted), lambda: shifted),
            DECODING: constant(decoding),
        },
        header=Header(
            title=f"burnish improve: {settings.model}",
            numbers=numbers,
            provenance={"tasks": list(settings.tasks)},
        ),
        base=settings.model,
    )


def critic_value(settings: ImproveSettings) -> Value:
    """The model of `critique.critic`; None where the actor or a program criticises, or nobody."""
    spec = settings.critique.critic
    if spec in ("", ITSELF, SCRIPTED):
        return constant(None)
    critic = ModelHandle(spec, precision=settings.precision, device=settings.device)
    return Value(lambda: critic.key, lambda: critic)


def files_key(specs: Sequence[str]) -> str:
    """Hash of the files that task sources name; a folder counts by its name and its tables."""
    named = [getattr(parse_source(spec), "path", None) for spec in specs]
    return content_hash([_path_key(Path(path)) for path in named if path])


def _path_key(path: Path) -> Any:
    if path.is_file():
        return file_hash(path)
    tables = sorted(p for part in ("nodes.*", "edges.*", "features.npy") for p in path.glob(part))
    return [str(path), [file_hash(table) for table in tables]] if tables else str(path)
