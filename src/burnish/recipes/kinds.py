"""Every kind of run, and the job that made it."""

from collections.abc import Callable, Mapping
from typing import Any

from burnish.arch import pretrain as arch
from burnish.arch.settings import PretrainSettings
from burnish.base.coercion import coerce_value
from burnish.base.errors import InputError
from burnish.base.naming import suggest
from burnish.draft import measure as draft_bench
from burnish.draft import train as draft_train
from burnish.graph import bench_job as graph_bench
from burnish.graph import train_job as graph_train
from burnish.graph.settings import BenchSettings, GraphSettings
from burnish.jobs.job import Job
from burnish.prefer.settings import PreferSettings
from burnish.recall import run as recall
from burnish.recall.settings import RecallSettings
from burnish.recipes import improve, preferring
from burnish.recipes.settings import ImproveSettings
from burnish.scaling import fit_job, ladder_job, plan_job
from burnish.scaling.known import WHAT as SCALING_FIT
from burnish.scaling.ladder import LadderSettings
from burnish.scaling.settings import PlanSettings, ScalingFitSettings

Info = Mapping[str, Any]


def job_of(info: Info) -> Job:
    """The job of a run, from its `run.json`. Raises InputError for no kind of ours.

    Source: ours. Oracle: tests/recipes/test_kinds.py::test_every_kind_of_run_is_known
    """
    if info["what"] not in KINDS:
        rule = "is not a kind of run that this version knows"
        raise InputError("run", info["what"], rule, remedy=suggest(info["what"], list(KINDS)))
    return KINDS[info["what"]](info)


def _improve(info: Info) -> Job:
    return improve.improve_job(coerce_value("settings", info["settings"], ImproveSettings), None)


def _prefer(info: Info) -> Job:
    settings = coerce_value("settings", info["settings"]["prefer"], PreferSettings)
    return preferring.prefer_job(info["settings"], settings)


def _recall(info: Info) -> Job:
    return recall.curve_job(coerce_value("settings", info["settings"], RecallSettings))


def _draft_train(info: Info) -> Job:
    settings = coerce_value("settings", info["settings"], draft_train.TrainDraftSettings)
    return draft_train.train_job(settings, info.get("command", ()))


def _draft_bench(info: Info) -> Job:
    settings = coerce_value("settings", info["settings"], draft_bench.BenchSettings)
    return draft_bench.bench_job(settings)


def _pretrain(info: Info) -> Job:
    return arch.pretrain_job(coerce_value("settings", info["settings"], PretrainSettings))


def _graph_train(info: Info) -> Job:
    return graph_train.train_job(coerce_value("settings", info["settings"], GraphSettings))


def _graph_bench(info: Info) -> Job:
    return graph_bench.bench_job(coerce_value("settings", info["settings"], BenchSettings))


def _scaling_fit(info: Info) -> Job:
    return fit_job.fit_job(coerce_value("settings", info["settings"], ScalingFitSettings))


def _scaling_plan(info: Info) -> Job:
    return plan_job.plan_job(coerce_value("settings", info["settings"], PlanSettings))


def _scaling_ladder(info: Info) -> Job:
    return ladder_job.ladder_job(coerce_value("settings", info["settings"], LadderSettings))


KINDS: dict[str, Callable[[Info], Job]] = {
    improve.WHAT: _improve,
    preferring.WHAT: _prefer,
    recall.WHAT: _recall,
    draft_train.WHAT: _draft_train,
    draft_bench.WHAT: _draft_bench,
    arch.WHAT: _pretrain,
    graph_train.WHAT: _graph_train,
    graph_bench.WHAT: _graph_bench,
    SCALING_FIT: _scaling_fit,
    plan_job.WHAT: _scaling_plan,
    ladder_job.WHAT: _scaling_ladder,
}
