"""Every kind of run can be shown, compared, bundled and verified; also those of older versions."""

import ast
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.curating import BEHAVIOUR, GCD, ODD, as_rows
from fixtures.improving import SETTINGS, guessing_model, write_tasks
from fixtures.pretraining import make_corpus, tiny_settings
from fixtures.touring import small_tour
from fixtures.translating import tiny_seq2seq
from fixtures.translating import write_pairs as write_translations

import burnish as package
from burnish.arch.compare_job import compare as compare_blocks
from burnish.arch.compare_settings import CompareSettings
from burnish.arch.pretrain_job import pretrain
from burnish.arch.seq2seq.job import train_seq2seq
from burnish.base.records import read_json, write_json, write_records
from burnish.critique.bench_job import bench_critic
from burnish.critique.build_job import BUILD, FILTER, build_critiques, filter_critiques
from burnish.critique.filters import FilterSettings
from burnish.critique.refine_job import refine_answers
from burnish.critique.refinement import RefineSettings
from burnish.critique.settings import (
    CritiqueBenchSettings,
    CritiqueBuildSettings,
    CritiqueFilterSettings,
    CritiqueRefineSettings,
    PlaceSettings,
)
from burnish.curate.dedup_job import drop_duplicates
from burnish.curate.pick_job import pick_rows
from burnish.curate.settings import DedupSettings, LeakageSettings, PickSettings, ScoreSettings
from burnish.curate.train_job import TrainScorerSettings, train_scorer
from burnish.draft.fit import FitSettings
from burnish.draft.measure import BenchSettings, bench_drafts
from burnish.draft.train_job import DistilSettings, TrainDraftSettings, train_draft
from burnish.graph.bench_job import bench_graph
from burnish.graph.settings import BenchSettings as GraphBenchSettings
from burnish.graph.settings import (
    FeedbackSettings,
    GraphSettings,
    ProblemSettings,
    RetrieverSettings,
)
from burnish.graph.train_job import train_graph
from burnish.jobs.job import Place
from burnish.prefer.settings import EvaluateSettings, PairSettings, PreferTrainSettings
from burnish.recall.run import measure_curve
from burnish.recall.settings import RecallSettings
from burnish.recipes.ablating import ablate
from burnish.recipes.critic_loop import run_loop
from burnish.recipes.critic_settings import CriticLoopSettings, CriticTrainSettings
from burnish.recipes.critic_training import train_critic
from burnish.recipes.curating import leakage_with_sandbox, score_with_sandbox
from burnish.recipes.kinds import KINDS
from burnish.recipes.laddering import climb_ladder
from burnish.recipes.preferring import train_preferences
from burnish.recipes.touring import take_tour
from burnish.recipes.verify import verify_run
from burnish.scaling.fit_job import fit_scaling
from burnish.scaling.ladder_cells import LadderSettings
from burnish.scaling.plan_job import plan_scaling
from burnish.scaling.settings import DataSettings, PlanSettings, ScalingFitSettings
from burnish.scaling.settings import FitSettings as LawSettings
from burnish.stream.audit_job import AuditSettings, audit_policies
from burnish.stream.bench_job import BenchSettings as StreamBenchSettings
from burnish.stream.bench_job import bench_stream
from burnish.train.settings import LoraSettings, TrainSettings

ON_CPU = PlaceSettings(precision="fp32", device="cpu")
OLDER = Path(__file__).parent.parent / "fixtures" / "older_runs.tar.gz"  # by version 0.1.0, trimmed


def test_every_kind_of_run_is_known() -> None:
    """Each job that the source names has an entry."""
    named = set()
    for path in Path(package.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "WHAT":
                named.add(ast.literal_eval(node.value))
    assert named | {BUILD, FILTER} == set(KINDS)


def make_prefer(model: Path, place: Path) -> Path:
    rows = [
        {"prompt": f"say {i}", "chosen": "yes " * (1 + i % 4), "rejected": "no " * (1 + i % 3)}
        for i in range(12)
    ]
    write_records(place / "pairs.jsonl", rows)
    train = TrainSettings(lora=LoraSettings(rank=3), num_steps=2, examples_per_step=4)
    settings = PreferTrainSettings(
        device="cpu",
        train=train,
        pairs=PairSettings(heldout_frac=0.3),
        evaluate=EvaluateSettings(num_generated=2, max_new_tokens=3),
    )
    folder = place / "prefer"
    train_preferences(str(model), place / "pairs.jsonl", settings, folder=folder)
    return folder


def make_recall(model: Path, place: Path) -> Path:
    rng, letters = np.random.default_rng(6), list("abcdefghijklmnopqrstuvwxyz    ")
    (place / "book.txt").write_text("".join(rng.choice(letters, 6000)))
    settings = RecallSettings(
        model=str(model), corpus=str(place / "book.txt"), lengths="20,40", trials=2,
        cue_tokens=4, scored_tokens=8, least_tokens=20, precision="fp32", device="cpu",
    )  # fmt: skip
    measure_curve(settings, folder=place / "recall-curve")
    return place / "recall-curve"


def make_prompts(place: Path, num: int) -> Path:
    words = ("river", "hat", "town", "sum", "king", "boat", "tree")
    rows = [{"prompt": f"{words[i % 7]} {i} and {words[i % 5]}"} for i in range(num)]
    write_records(place / "prompts.jsonl", rows)
    return place / "prompts.jsonl"


def make_draft_train(model: Path, place: Path) -> Path:
    settings = TrainDraftSettings(
        model=str(model),
        precision="fp32",
        device="cpu",
        distil=DistilSettings(
            prompts=str(make_prompts(place, 40)), max_new_tokens=12, vocabulary=150
        ),
        fit=FitSettings(entries=(1, 2), epochs=1, texts_per_step=16),
    )
    train_draft(settings, folder=place / "draft-train")
    return place / "draft-train"


def make_draft_bench(model: Path, place: Path) -> Path:
    settings = BenchSettings(
        model=str(model), prompts=str(make_prompts(place, 3)), drafters=("ngram",),
        max_new_tokens=8, precision="fp32", device="cpu",
    )  # fmt: skip
    bench_drafts(settings, folder=place / "draft-bench")
    return place / "draft-bench"


def make_arch(model: Path, place: Path) -> Path:
    settings = tiny_settings(make_corpus(place), steps=3)
    pretrain(settings, folder=place / "arch-pretrain")
    return place / "arch-pretrain"


def make_arch_compare(model: Path, place: Path) -> Path:
    sizes = {"params": "20k", "tokens": "200", "vocab": 281, "context": 16, "batch_tokens": 64}
    settings = CompareSettings(
        corpus=str(make_corpus(place)), num_seeds=1, rates=(1.0,), num_points=1, precision="fp32",
        device="cpu", **sizes,
    )  # fmt: skip
    compare_blocks(settings, Place(folder=place / "arch-compare"))
    return place / "arch-compare"


def make_arch_seq2seq(model: Path, place: Path) -> Path:
    train_seq2seq(tiny_seq2seq(write_translations(place)), Place(folder=place / "seq2seq"))
    return place / "seq2seq"


def make_scaling_fit(model: Path, place: Path) -> Path:
    rows = [
        f"{n},{d},{1.8 + 40 / n**0.3 + 90 / d**0.4:.6f}"
        for n in (1e5, 3e5, 1e6, 3e6)
        for d in (1e6, 1e7, 1e8)
    ]
    (place / "table.csv").write_text("\n".join(["n,d,loss", *rows]))
    settings = ScalingFitSettings(
        data=DataSettings(path=str(place / "table.csv")), fit=LawSettings(resamples=10)
    )
    fit_scaling(settings, folder=place / "fit")
    return place / "fit"


def make_scaling_plan(model: Path, place: Path) -> Path:
    plan_scaling(PlanSettings(flops=1e20), folder=place / "plan")
    return place / "plan"


def make_scaling_ladder(model: Path, place: Path) -> Path:
    climb_ladder(LadderSettings(), folder=place / "ladder")
    return place / "ladder"


def make_stream_audit(model: Path, place: Path) -> Path:
    settings = AuditSettings(
        model=str(model), policies="blocks:size=16,window", length=320, budget=32, needles=2,
        local_tokens=24, texts=1, tail=40, precision="fp32", device="cpu",
    )  # fmt: skip
    audit_policies(settings, folder=place / "audit")
    return place / "audit"


def make_stream_bench(model: Path, place: Path) -> Path:
    settings = StreamBenchSettings(
        model=str(model), policy="blocks:size=16", lengths=(100,), budget=32, steps=1,
        precision="fp32", device="cpu",
    )  # fmt: skip
    bench_stream(settings, folder=place / "bench")
    return place / "bench"


def graph_settings(model: Path, place: Path) -> GraphSettings:
    labels = [f"n{i:02d},word{i % 4} word{i % 3},{'ab'[i % 2]}" for i in range(24)]
    edges = [f"n{i:02d},n{(i + 2) % 24:02d}" for i in range(24)]
    folder = place / "graph"
    folder.mkdir()
    (folder / "nodes.csv").write_text("\n".join(["id,text,label", *labels]) + "\n")
    (folder / "edges.csv").write_text("\n".join(["source,target", *edges]) + "\n")
    return GraphSettings(
        graph=str(folder), model=str(model), precision="fp32", device="cpu",
        problem=ProblemSettings(labelled_frac=0.4, queries=4),
        retriever=RetrieverSettings(hidden=7, width=5, feature_width=5, epochs=2),
        feedback=FeedbackSettings(tokens=1500, candidates=2, nearest=2, folds=2),
    )  # fmt: skip


def make_graph_train(model: Path, place: Path) -> Path:
    train_graph(graph_settings(model, place), folder=place / "graph-train")
    return place / "graph-train"


def make_graph_bench(model: Path, place: Path) -> Path:
    settings = GraphBenchSettings(base=graph_settings(model, place), arms=("gnn", "ours"))
    bench_graph(settings, folder=place / "graph-bench")
    return place / "graph-bench"


def make_leakage(model: Path, place: Path) -> Path:
    write_records(place / "pool.jsonl", BEHAVIOUR[:3])
    write_records(place / "items.jsonl", as_rows([GCD, ODD]))
    settings = LeakageSettings(
        pool=str(place / "pool.jsonl"), benchmarks=(str(place / "items.jsonl"),)
    )
    leakage_with_sandbox(settings, Place(folder=place / "leakage"))
    return place / "leakage"


def make_dedup(model: Path, place: Path) -> Path:
    write_records(place / "pool.jsonl", [*BEHAVIOUR, BEHAVIOUR[0]])
    drop_duplicates(DedupSettings(pool=str(place / "pool.jsonl")), Place(folder=place / "dedup"))
    return place / "dedup"


def make_score(model: Path, place: Path) -> Path:
    write_records(place / "pool.jsonl", BEHAVIOUR[:2])
    settings = ScoreSettings(
        pool=str(place / "pool.jsonl"), scorer="length", model=str(model), quality=False
    )
    score_with_sandbox(settings, Place(folder=place / "score"))
    return place / "score"


def make_pick(model: Path, place: Path) -> Path:
    rows = [row | {"complexity": i} for i, row in enumerate(BEHAVIOUR)]
    write_records(place / "pool.jsonl", rows)
    settings = PickSettings(pool=str(place / "pool.jsonl"), budget=2, model=str(model))
    pick_rows(settings, Place(folder=place / "pick"))
    return place / "pick"


def make_scorer(model: Path, place: Path) -> Path:
    seeds = (str(make_prompts(place, 20)),)
    settings = TrainScorerSettings(model=str(model), pools=seeds, num_seeds=12)
    train_scorer(settings, Place(folder=place / "scorer"))
    return place / "scorer"


def make_ablation(model: Path, place: Path) -> Path:
    tasks = (str(write_tasks(place / "colours.jsonl")),)
    settings = replace(SETTINGS, model=str(guessing_model(place)), tasks=tasks, rounds=1)
    ablate(settings, only=("draft",), folder=place / "ablation")
    return place / "ablation"


def make_tour(model: Path, place: Path) -> Path:
    take_tour(small_tour(model, stops=("recall", "curate")), folder=place / "tour")
    return place / "tour"


def make_triples(place: Path) -> str:
    settings = CritiqueBuildSettings(tasks=("chain:sums?size=6&steps=2",))
    return build_critiques(settings, Place(folder=place / "built"))["run"]


def make_critique_build(model: Path, place: Path) -> Path:
    return Path(make_triples(place))


def make_critique_filter(model: Path, place: Path) -> Path:
    settings = CritiqueFilterSettings(
        triples=make_triples(place), model=str(model), max_new_tokens=3,
        filter=FilterSettings(num_refinements=1, min_right=1), place=ON_CPU,
    )  # fmt: skip
    filter_critiques(settings, Place(folder=place / "filtered"))
    return place / "filtered"


def make_critique_bench(model: Path, place: Path) -> Path:
    settings = CritiqueBenchSettings(
        model=str(model), data="chain:sums?size=3&steps=2", max_new_tokens=3, place=ON_CPU
    )
    bench_critic(settings, Place(folder=place / "critic-bench"))
    return place / "critic-bench"


def make_critique_train(model: Path, place: Path) -> Path:
    settings = CriticTrainSettings(
        model=str(model), triples=make_triples(place), num_measured=2, max_new_tokens=3,
        train=TrainSettings(method="full", num_steps=2), place=ON_CPU,
    )  # fmt: skip
    train_critic(settings, Place(folder=place / "critic"))
    return place / "critic"


def make_critique_refine(model: Path, place: Path) -> Path:
    settings = CritiqueRefineSettings(
        model=str(model), tasks=("chain:sums?size=2&steps=2",), critic="scripted",
        refine=RefineSettings(num_paths=2, max_new_tokens=3), num_level_samples=1,
        max_plain_votes=2, place=ON_CPU,
    )  # fmt: skip
    refine_answers(settings, Place(folder=place / "refined"))
    return place / "refined"


def make_critique_loop(model: Path, place: Path) -> Path:
    settings = CriticLoopSettings(
        model=str(guessing_model(place)), tasks=(str(write_tasks(place / "colours.jsonl")),),
        critic="none", num_dev=60, num_samples=2, temperature=1.0, max_new_tokens=3,
        num_level_samples=1, train=TrainSettings(method="full", num_steps=1), place=ON_CPU,
    )  # fmt: skip
    run_loop(settings, Place(folder=place / "loop"))
    return place / "loop"


MAKERS: dict[str, Callable[[Path, Path], Path]] = {
    "prefer": make_prefer,
    "recall-curve": make_recall,
    "draft-train": make_draft_train,
    "draft-bench": make_draft_bench,
    "arch-pretrain": make_arch,
    "arch-compare": make_arch_compare,
    "arch-seq2seq": make_arch_seq2seq,
    "graph-train": make_graph_train,
    "graph-bench": make_graph_bench,
    "scaling-fit": make_scaling_fit,
    "scaling-plan": make_scaling_plan,
    "scaling-ladder": make_scaling_ladder,
    "stream-audit": make_stream_audit,
    "stream-bench": make_stream_bench,
    "curate-leakage": make_leakage,
    "curate-dedup": make_dedup,
    "curate-score": make_score,
    "curate-pick": make_pick,
    "curate-train": make_scorer,
    "critique-build": make_critique_build,
    "critique-filter": make_critique_filter,
    "critique-bench": make_critique_bench,
    "critique-train": make_critique_train,
    "critique-refine": make_critique_refine,
    "critique-loop": make_critique_loop,
    "ablate": make_ablation,
    "tour": make_tour,
}


@pytest.fixture(scope="module")
def run_of(
    finished: Path, tmp_path_factory: pytest.TempPathFactory, tiny_folder: Any
) -> Callable[[str], Path]:
    """The folder of a finished run of a kind; never write into it."""
    known = {"improve": finished}

    def run(what: str) -> Path:
        if what not in known:
            place = tmp_path_factory.mktemp(what)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("BURNISH_CACHE", str(place / "cache"))
                known[what] = MAKERS[what](tiny_folder(), place)
        return known[what]

    return run


@pytest.mark.parametrize("what", sorted(KINDS))
def test_a_run_of_every_kind(
    what: str, run_of: Any, burnish: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))
    run = run_of(what)
    result = read_json(run / "result.json")
    assert (result["what"], result["run"]) == (what, str(run))
    shown = burnish("report", "show", run)
    assert shown.status == 0 and result["page"]["verdict"].split(".")[0] in shown.out
    compared = burnish("report", "compare", run, run_of("improve"))
    assert compared.status == 0 and "What each run says" in compared.out
    assert burnish("report", "bundle", run, tmp_path / "run.zip").status == 0
    names = zipfile.ZipFile(tmp_path / "run.zip").namelist()
    assert {f"{run.name}/{name}" for name in ("result.json", "run.json")} <= set(names)
    verified = burnish("verify", run, "--json")
    assert verified.status == 0, [c for c in verified.json["checks"] if c["outcome"] != "same"]


@pytest.mark.parametrize("what", sorted(KINDS))
def test_a_changed_result_of_every_kind_is_found(
    what: str, run_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))
    run = Path(shutil.copytree(run_of(what), tmp_path / "run"))
    result = read_json(run / "result.json")
    result["page"]["verdict"] = "All is well."
    write_json(run / "result.json", result)
    different = [c["check"] for c in verify_run(run)["checks"] if c["outcome"] == "different"]
    assert different == ["numbers of result.json"]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folders that version 0.1.0 left, before jobs, without weights and pages."""
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(OLDER) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("what", ["improve", "prefer", "recall-curve"])
def test_older_runs_still_open(what: str, older: Path, burnish: Any, tmp_path: Path) -> None:
    run = Path(shutil.copytree(older / what, tmp_path / what))
    shown = burnish("report", "show", run)
    assert shown.status == 0, shown.err
    assert (run / "report" / "index.html").is_file()
    assert burnish("report", "show", run, "--json").json["what"] == what
    compared = burnish("report", "compare", run, older / "improve")
    assert compared.status == 0
    assert burnish("report", "bundle", run, tmp_path / "run.zip").status == 0


def test_a_changed_older_run_is_found(older: Path, tmp_path: Path) -> None:
    """Without its weights it cannot be measured again; its files and settings are checked."""
    run = Path(shutil.copytree(older / "improve", tmp_path / "improve"))
    answers = run / "stages" / "measure-after" / "answers.jsonl"
    changed = answers.read_text().replace('"extracted":', '"answer_was":')
    assert changed != answers.read_text()
    answers.write_text(changed)
    found = verify_run(run)
    different = {c["check"] for c in found["checks"] if c["outcome"] == "different"}
    assert "files of measure-after" in different and not found["same"]
