"""Every kind of run, and the job that made it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from burnish.arch import compare_job as arch_compare
from burnish.arch import pretrain_job as arch
from burnish.arch.compare_settings import CompareSettings
from burnish.arch.seq2seq import job as arch_seq2seq
from burnish.arch.seq2seq.settings import Seq2SeqSettings
from burnish.arch.settings import PretrainSettings
from burnish.base.coercion import coerce_value
from burnish.base.errors import InputError
from burnish.base.naming import suggest
from burnish.critique import bench_job as critic_bench
from burnish.critique import build_job, refine_job
from burnish.critique.settings import (
    CritiqueBenchSettings,
    CritiqueBuildSettings,
    CritiqueFilterSettings,
    CritiqueRefineSettings,
)
from burnish.curate import dedup_job, leakage_job, pick_job, score_job, train_job
from burnish.curate.settings import DedupSettings, LeakageSettings, PickSettings, ScoreSettings
from burnish.curate.train_job import TrainScorerSettings
from burnish.draft import measure as draft_bench
from burnish.draft import train_job as draft_train
from burnish.graph import bench_job as graph_bench
from burnish.graph import train_job as graph_train
from burnish.graph.settings import BenchSettings, GraphSettings
from burnish.jobs.job import Job
from burnish.prefer.settings import PreferSettings
from burnish.recall import run as recall
from burnish.recall.settings import RecallSettings
from burnish.recipes import (
    ablating,
    critic_loop,
    critic_training,
    curating,
    improve,
    laddering,
    preferring,
    touring,
)
from burnish.recipes.critic_settings import CriticLoopSettings, CriticTrainSettings
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.tour_settings import TourSettings
from burnish.scaling import fit_job, ladder_job, plan_job
from burnish.scaling.known import WHAT as SCALING_FIT
from burnish.scaling.ladder_cells import LadderSettings
from burnish.scaling.settings import PlanSettings, ScalingFitSettings
from burnish.stream import audit_job as stream_audit
from burnish.stream import bench_job as stream_bench

Info = Mapping[str, Any]
Settings = TypeVar("Settings")


def job_of(info: Info) -> Job:
    """The job of a run, from its `run.json`. Raises InputError for no kind of ours.

    Source: ours. Oracle: tests/recipes/test_kinds.py::test_every_kind_of_run_is_known
    """
    if info["what"] not in KINDS:
        rule = "is a kind of run that this version does not support"
        raise InputError("run", info["what"], rule, remedy=suggest(info["what"], list(KINDS)))
    return KINDS[info["what"]](info)


def _improve(info: Info) -> Job:
    return improve.improve_job(coerce_value("settings", info["settings"], ImproveSettings), None)


def _ablate(info: Info) -> Job:
    settings = coerce_value("settings", info["settings"]["improve"], ImproveSettings)
    return ablating.ablate_job(settings, info["settings"]["only"])


def _prefer(info: Info) -> Job:
    settings = coerce_value("settings", info["settings"]["prefer"], PreferSettings)
    return preferring.prefer_job(info["settings"], settings)


def _draft_train(info: Info) -> Job:
    settings = coerce_value("settings", info["settings"], draft_train.TrainDraftSettings)
    return draft_train.train_job(settings, info.get("command", ()))


def _of(cls: type[Settings], make: Callable[[Settings], Job]) -> Callable[[Info], Job]:
    """The job that `make` makes of a run's settings."""
    return lambda info: make(coerce_value("settings", info["settings"], cls))


KINDS: dict[str, Callable[[Info], Job]] = {
    improve.WHAT: _improve,
    ablating.WHAT: _ablate,
    preferring.WHAT: _prefer,
    touring.WHAT: _of(TourSettings, touring.tour_job),
    recall.WHAT: _of(RecallSettings, recall.curve_job),
    draft_train.WHAT: _draft_train,
    draft_bench.WHAT: _of(draft_bench.BenchSettings, draft_bench.bench_job),
    arch.WHAT: _of(PretrainSettings, arch.pretrain_job),
    arch_compare.WHAT: _of(CompareSettings, arch_compare.compare_job),
    arch_seq2seq.WHAT: _of(Seq2SeqSettings, arch_seq2seq.seq2seq_job),
    graph_train.WHAT: _of(GraphSettings, graph_train.train_job),
    graph_bench.WHAT: _of(BenchSettings, graph_bench.bench_job),
    SCALING_FIT: _of(ScalingFitSettings, fit_job.fit_job),
    plan_job.WHAT: _of(PlanSettings, plan_job.plan_job),
    ladder_job.WHAT: _of(LadderSettings, laddering.climbing_job),
    stream_audit.WHAT: _of(stream_audit.AuditSettings, stream_audit.audit_job),
    stream_bench.WHAT: _of(stream_bench.BenchSettings, stream_bench.bench_job),
    leakage_job.WHAT: _of(LeakageSettings, curating.sandboxed_leakage_job),
    dedup_job.WHAT: _of(DedupSettings, dedup_job.dedup_job),
    score_job.WHAT: _of(ScoreSettings, curating.sandboxed_score_job),
    pick_job.WHAT: _of(PickSettings, pick_job.pick_job),
    train_job.WHAT: _of(TrainScorerSettings, train_job.train_scorer_job),
    build_job.BUILD: _of(CritiqueBuildSettings, build_job.build_job),
    build_job.FILTER: _of(CritiqueFilterSettings, build_job.filter_job),
    critic_bench.WHAT: _of(CritiqueBenchSettings, critic_bench.bench_job),
    refine_job.WHAT: _of(CritiqueRefineSettings, refine_job.refine_job),
    critic_training.WHAT: _of(CriticTrainSettings, critic_training.train_job),
    critic_loop.WHAT: _of(CriticLoopSettings, critic_loop.loop_job),
}
