"""What holds for every command: help, one JSON object, typos, missing files, Ctrl-C.

`EXAMPLES` has a small working call of each command; a command without one fails the first test.
"""

import dataclasses
import functools
import importlib
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer

from burnish.base.runs import RESUMES

Burnish = Callable[..., Any]

LOG = "burnish.base.log:RecordLog.append"
PASS = "burnish.models.decoder:Decoder.hidden"
SCORE = "burnish.prefer.forward:token_logprobs"
TRAIN_STEP = "burnish.graph.learn:_Course.supervised"
LAUNCH = "burnish.sandbox.running:launch"
BLOCKS = "blocks:size=16,local_tokens=32"
SHARED = {"--config", "--set", "--runs", "--run", "--device", "--precision", "--json"}
TRAIN = ("--prompts {prompts} --set fit.entries=[1,2] --set fit.epochs=1 --precision fp32 "
          "--set distil.max_new_tokens=6 --set distil.vocabulary=150")  # fmt: skip
SMALL = ("--set column=prompt --set width=32 --set num_heads=1 --set context=8 "
         "--set batch_tokens=16 --set sample_tokens=0 --set precision=fp32")  # fmt: skip
RETRIEVER = ("--set problem.labelled_frac=0.4 --set problem.queries=4 --set retriever.epochs=2 "
             "--set retriever.hidden=11 --set retriever.feature_width=7 --set retriever.width=5 "
             "--set feedback.candidates=2 --set feedback.nearest=2 --set feedback.folds=2 "
             "--set feedback.tokens=1500 --precision fp32")  # fmt: skip
TOUR = ("--precision fp32 --set recall.lengths=20,30 --set recall.trials=2 "
        "--set recall.cue_tokens=4 --set recall.scored_tokens=8 --set recall.least_tokens=20 "
        "--set material.functions=12 --set material.leaks=4")  # fmt: skip
PAIRED = ("--set vocab=281 --set width=28 --set num_heads=2 --set encoder_layers=1 "
          "--set decoder_layers=1 --set steps=2 --set pairs_per_step=8 --set num_evaluations=1 "
          "--set most_translations=2 --set search.max_new_tokens=3")  # fmt: skip
CURVE = ("--lengths 20,30 --set corpus={books} --set cue_tokens=4 --set least_tokens=20 "
         "--set trials=2 --precision fp32 --runs {runs}")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Example:
    """A call of a command: `words` work, `missing` name a file that is not there.

    Ctrl-C comes at the `count`-th call of `stop`. `makes_run`: the interrupted run is resumed by
    the same words. `typo` is a misspelt setting. `seconds` delays the signal past the call.
    """

    words: str
    stop: str
    count: int = 1
    missing: str = ""
    typo: str = ""
    has_json: bool = True
    makes_run: bool = False
    statuses: tuple[int, ...] = (0,)
    interrupted: int = 130
    seconds: float = 0.0


EXAMPLES = {
    "improve": Example(
        words="--config {config} --runs {runs}", missing="--config {gone}", typo="round=1",
        stop=LOG, count=60, makes_run=True, statuses=(0, 1),
    ),
    "ablate": Example(
        words="--config {config} --runs {runs} --only draft --set rounds=1",
        missing="--config {gone}", typo="round=1", stop=LOG, count=60, makes_run=True,
    ),
    "tour": Example(
        words="{model} --runs {runs} --stop recall --stop curate " + TOUR,
        missing="{gone} --stop recall --runs {runs}", typo="program_token=1", stop=LOG, count=6,
        makes_run=True,
    ),
    "generate": Example(
        words="{model} abc --max-new-tokens 5 --greedy --precision fp32", stop=PASS, count=3,
        missing="{gone} abc", typo="top_pp=1",
    ),
    "chat": Example(
        words="{model} --max-new-tokens 5", stop=PASS, count=3, missing="{gone}", has_json=False
    ),
    "doctor": Example(words="", stop="burnish.recipes.doctor:examine"),
    "verify": Example(words="{finished}", stop=PASS, missing="{gone}"),
    "models list": Example(words="", stop="burnish.models.cache:embedded_folder"),
    "models get": Example(
        words="{model}", stop="burnish.models.load:resolve_folder", missing="{gone}"
    ),
    "models show": Example(
        words="{model}", stop="burnish.models.describe:describe", missing="{gone}"
    ),
    "models export": Example(
        words="{model} {target}", stop="burnish.models.save:_with_dtype",
        missing="{gone} {target}",
    ),
    "report show": Example(
        words="{finished}", stop="burnish.base.runs:load_run", missing="{gone}"
    ),
    "report compare": Example(
        words="{finished} {finished} --out {target}", missing="{finished} {gone}",
        stop="burnish.report.comparison:compare_results",
    ),
    "report bundle": Example(
        words="{finished} {target}", missing="{gone} {target}",
        stop="zipfile:ZipFile.writestr", count=2,
    ),
    "sandbox run": Example(
        words="{program}", missing="{gone}", stop=LAUNCH, seconds=0.2
    ),
    "sandbox judge": Example(
        words="{problem}", missing="{gone}", stop=LAUNCH, seconds=0.2
    ),
    "sandbox doctor": Example(
        words="", stop="burnish.sandbox.commands:find_chain", count=2, statuses=(0, 1)
    ),
    "sandbox detect": Example(
        words="{program}", missing="{gone}", stop="burnish.sandbox.files:detect"
    ),
    "sandbox analyze": Example(
        words="{program} --no-run --sarif {target}", missing="{gone}",
        stop="burnish.analysis.files:analyze",
    ),
    "sandbox serve": Example(
        words="--port 0", missing="--token-file {gone} --port 0", has_json=False,
        stop="burnish.server.run:say", interrupted=0,  # it finishes its jobs
    ),
    "serve": Example(
        words="{model} --port 0 --precision fp32", missing="{gone} --port 0", has_json=False,
        typo="listen.deadline=3", stop="burnish.server.run:say", interrupted=0,
    ),
    "draft train": Example(
        words="{model} --runs {runs} " + TRAIN, missing="{model} --prompts {gone} --run {target}",
        typo="fit.epoch=1", stop=LOG, count=30, makes_run=True,
    ),
    "draft plan": Example(
        words="{model} --weights {weights} --context 16 --repeats 1 --precision fp32",
        stop=PASS, count=5,
        missing="{model} --prompts {gone}", statuses=(0, 1),
    ),
    "draft bench": Example(
        words="{model} --prompts {prompts} --limit 3 --drafter ngram --set max_new_tokens=5 "
        "--precision fp32 --runs {runs}",
        missing="{model} --prompts {gone} --run {target}", typo="repeat=2", stop=LOG, count=8,
        makes_run=True,
    ),
    "recall curve": Example(
        words="{model} " + CURVE, missing="{model} --set corpus={gone}", typo="margn=0.1",
        stop=LOG, count=6, makes_run=True,
    ),
    "recall fit": Example(
        words="{curve}", missing="{gone}", stop="burnish.recall.limits:fit_limits"
    ),
    "recall compare": Example(
        words="{model} {curve} " + CURVE, missing="{curve} {gone}", typo="margn=0.1",
        stop=LOG, count=6, makes_run=True,
    ),
    "graph ingest": Example(
        words="{graph} --out {target}", missing="{gone} --out {target}",
        stop="burnish.graph.sources:load_source",
    ),
    "graph train": Example(
        words="{graph} --model {model} --runs {runs} " + RETRIEVER, missing="{gone}",
        typo="retriever.epoch=1", stop=TRAIN_STEP, count=3, makes_run=True,
    ),
    "graph ask": Example(
        words="{retriever} --node n00", missing="{gone} --node n00",
        stop="burnish.graph.saved:open_retriever",
    ),
    "graph predict": Example(
        words="{retriever} --out {target} --limit 2", missing="{gone} --out {target}",
        stop="burnish.graph.train_job:predict_nodes",
    ),
    "graph bench": Example(
        words="{graph} --model {model} --runs {runs} --set arms=[bm25,gnn,ours] "
        + RETRIEVER.replace("--set ", "--set base."),
        missing="{gone}", typo="sead=1", stop=TRAIN_STEP, count=3, makes_run=True,
    ),
    "arch pretrain": Example(
        words="--corpus {prompts} --depth 1 --tokens 200 --out {runs}/own " + SMALL,
        missing="--corpus {gone} --out {target}", typo="contxt=8", stop=LOG, count=4,
        makes_run=True,
    ),
    "arch compare": Example(
        words="--corpus {prompts} --blocks dense,pcformer:order=1 --params 20k --tokens 100 "
        "--out {runs}/blocks --set column=prompt --set context=8 --set batch_tokens=16 "
        "--set num_seeds=1 --set rates=[1] --set num_points=1 --set precision=fp32",
        missing="--corpus {gone} --tokens 100 --out {target}", typo="rate=[1]", stop=LOG, count=4,
        makes_run=True,
    ),
    "arch train": Example(
        words="{pairings} --params 30k --out {runs}/pairs " + PAIRED,
        missing="{gone} --out {target}", typo="vocabs=300", stop=LOG, count=4, makes_run=True,
    ),
    "arch translate": Example(
        words="{translator} hello --beam 2 --max-new-tokens 3", missing="{gone} hello",
        stop="burnish.arch.seq2seq.saved:decode_sources",
    ),
    "arch score": Example(
        words="{translator} {pairings} --limit 2", missing="{translator} {gone}",
        stop="burnish.arch.seq2seq.measure:measure_pairs",
    ),
    "arch audit": Example(
        words="{model} --tokens 3", missing="{gone}", stop="burnish.models.load:load_decoder"
    ),
    "arch show": Example(
        words="{model}", missing="{gone}", stop="burnish.models.describe:describe"
    ),
    "arch upcycle": Example(
        words="{model} --out {target} --block moe:experts=2,top_k=1",
        missing="{gone} --out {target}", stop="burnish.models.save:save_model",
    ),
    "curate leakage": Example(
        words="{rows} --benchmark {items} --no-run --runs {runs}",
        missing="{gone} --benchmark {items} --runs {runs}", typo="max_run=3", statuses=(0, 1),
        stop="burnish.recipes.curating:leakage_with_sandbox",
    ),
    "curate dedup": Example(
        words="{rows} --runs {runs}", missing="{gone} --runs {runs}", typo="jacard=1",
        stop="burnish.curate.dedup_job:drop_duplicates",
    ),
    "curate train": Example(
        words="{model} --seeds {prompts} --set num_seeds=12 --runs {runs}",
        missing="{model} --seeds {gone} --runs {runs}", typo="num_seed=12",
        stop="burnish.curate.train_job:train_scorer",
    ),
    "curate score": Example(
        words="{rows} --scorer length --no-run --set model={model} --runs {runs}",
        missing="{gone} --scorer length --runs {runs}", typo="max_test=3",
        stop="burnish.recipes.curating:score_with_sandbox",
    ),
    "curate pick": Example(
        words="{scored} --budget 2 --set model={model} --runs {runs}",
        missing="{gone} --budget 2 --runs {runs}", typo="alfa=1",
        stop="burnish.curate.pick_job:pick_rows",
    ),
    "critique grade": Example(
        words="--gold 1/2 --answer 0.5", missing="--jsonl {gone}",
        stop="burnish.critique.grading:grade",
    ),
    "critique build": Example(
        words="chain:sums?size=3&steps=2 --runs {runs}", missing="{gone} --runs {runs}",
        typo="flaw.num_inserted=1", stop="burnish.critique.build_job:annotate",
        makes_run=True,
    ),
    "critique filter": Example(
        words="{triples} --model {model} --refinements 1 --set filter.min_right=1 "
        "--set max_new_tokens=3 --runs {runs}",
        missing="{gone}", typo="filter.min=1", stop=LOG, count=2, makes_run=True,
    ),
    "critique train": Example(
        words="{model} {triples} --steps 2 --set max_new_tokens=3 --set num_measured=2 "
        "--runs {runs}",
        missing="{model} {gone}", typo="train.step=1", stop=LOG, count=2, makes_run=True,
    ),
    "critique bench": Example(
        words="{model} {bench} --limit 2 --set max_new_tokens=3 --runs {runs}",
        missing="{model} {gone} --runs {runs}", typo="limits=1",
        stop="burnish.critique.bench_job:annotate", makes_run=True,
    ),
    "critique refine": Example(
        words="{model} chain:sums?size=2&steps=2 --critic scripted --set refine.num_paths=2 "
        "--set refine.max_new_tokens=3 --set num_level_samples=1 --set max_plain_votes=2 "
        "--runs {runs}",
        missing="{model} {gone} --runs {runs}", typo="refine.path=1", stop=LOG, count=3,
        makes_run=True,
    ),
    "critique loop": Example(
        words="{guesser} {colours} --critic none --set num_dev=60 --set num_samples=2 "
        "--set temperature=1.0 --set max_new_tokens=3 --set train.num_steps=1 "
        "--set num_level_samples=1 --runs {runs}",
        missing="{model} {gone} --runs {runs}", typo="sample=1", stop=LOG, count=2, makes_run=True,
    ),
    "scaling fit": Example(
        words="{table} --resamples 3 --runs {runs}", missing="{gone} --runs {runs}",
        typo="fit.resample=3", stop="burnish.scaling.fit_job:fit_scaling",
    ),
    "scaling plan": Example(
        words="--flops 1e20 --runs {runs}", stop="burnish.scaling.plan_job:plan_scaling",
        missing="--flops 1e20 --config {gone}", typo="flop=1e20",
    ),
    "scaling count": Example(
        words="{model}", missing="{gone}", stop="burnish.scaling.counting:count_all"
    ),
    "scaling noise": Example(
        words="{norms}", missing="{gone}", statuses=(0, 1),
        stop="burnish.scaling.noise_job:measure_noise",
    ),
    "scaling ladder": Example(
        words="--runs {runs}", missing="{gone} --runs {runs}", typo="size=[1e5]",
        stop="burnish.recipes.laddering:climb_ladder",
    ),
    "stream ingest": Example(
        words="{model} {books} --index {target} --budget 32 --precision fp32 --policy " + BLOCKS,
        missing="{model} {gone} --index {target}", typo="templat=x", stop=PASS, count=2,
    ),
    "stream ask": Example(
        words="{index} sea --max-new-tokens 3", missing="{gone} sea", stop=PASS, count=2
    ),
    "stream audit": Example(
        words="{model} --policies blocks:size=16,window --length 320 --budget 32 --runs {runs} "
        "--precision fp32 --set corpus={books} --set local_tokens=24 --set needles=2 "
        "--set texts=1 --set tail=40",
        missing="{model} --set corpus={gone} --run {target}", typo="needle=2", stop=LOG, count=2,
        makes_run=True,
    ),
    "stream calibrate": Example(
        words="{model} --length 900 --set tail=560 --set needles=2 --set votes=20 --set heads=2 "
        "--precision fp32",
        missing="{gone}", typo="needle=2", stop=PASS, count=2,
    ),
    "stream bench": Example(
        words="{model} --lengths 100,200 --budget 32 --set steps=2 --precision fp32 "
        "--runs {runs} --policy " + BLOCKS,
        missing="{gone} --run {target}", typo="step=2", stop=PASS, count=5, makes_run=True,
    ),
    "prefer audit": Example(
        words="{pairs} --model {model} --score 4", stop=SCORE,
        missing="{gone} --model {model}", typo="templat=x",
    ),
    "prefer curve": Example(
        words="{pairs} --model {model}", stop=SCORE, missing="{gone} --model {model}",
        typo="templat=x",
    ),
    "prefer train": Example(
        words="{model} {pairs} --steps 3 --runs {runs} --set evaluate.max_new_tokens=3 "
        "--set pairs.heldout_frac=0.3",
        missing="{model} {gone} --out {target}", typo="los.beta=1", stop=LOG, count=7,
        makes_run=True,
    ),
}  # fmt: skip
JOBS = {
    "ablate": "burnish.recipes.ablating:ablate",
    "tour": "burnish.recipes.touring:take_tour",
    "graph train": "burnish.graph.train_job:train_graph",
    "improve": "burnish.recipes.improve:improve",
    "draft train": "burnish.draft.train_job:train_draft",
    "draft bench": "burnish.draft.measure:bench_drafts",
    "recall curve": "burnish.recall.run:measure_curve",
    "recall compare": "burnish.recall.run:compare_models",
    "prefer train": "burnish.recipes.preferring:train_preferences",
    "stream audit": "burnish.stream.audit_job:audit_policies",
    "stream bench": "burnish.stream.bench_job:bench_stream",
}
MAKE_RUNS = sorted(JOBS)


@functools.cache
def leaves() -> dict[str, Any]:
    """Every command of the app that does something, by its words."""
    from burnish.cli.main import make_app

    def below(words: tuple[str, ...], command: Any) -> dict[str, Any]:
        inner = getattr(command, "commands", None)
        if inner is None:
            return {" ".join(words): command}
        return {k: v for name, c in inner.items() for k, v in below((*words, name), c).items()}

    return below((), typer.main.get_command(make_app()))


def options_of(command: Any) -> set[str]:
    return {word for param in command.params for word in options_of_param(param)}


def options_of_param(param: Any) -> set[str]:
    """The names of an option; none of an argument."""
    return {word for word in param.opts if word.startswith("--")}


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small inputs of every kind, made once."""
    from fixtures.curating import BEHAVIOUR, GCD, ODD, as_rows
    from fixtures.recalling import planted_curve

    folder = tmp_path_factory.mktemp("inputs")
    words = ("river", "hat", "town", "sum")
    prompts = [{"prompt": f"{words[i % 4]} {i}"} for i in range(40)]
    pairs = [
        {"prompt": f"say {i}", "chosen": "yes " * (1 + i % 4), "rejected": "no " * (1 + i % 3)}
        for i in range(12)
    ]
    curve = planted_curve([[1.0, 0.5, 0.2, 0.1]] * 3, [[0.1] * 4] * 3, [64, 128, 256, 512])
    problem = {"code": "import time\ntime.sleep(0.5)\n", "language": "python", "tests": [
        {"stdin": "", "stdout": ""}]}  # fmt: skip
    table = [
        f"{n},{d},{1.8 + 40 / n**0.3 + 90 / d**0.4:.6f}"
        for n in (1e5, 3e5, 1e6, 3e6)
        for d in (1e6, 1e7, 1e8)
    ]
    norms = [
        f"{step},{batch},{1 + (100 + step % 7) / batch:.6f}"
        for step in range(40)
        for batch in (8, 64)
    ]
    texts = {
        "table.csv": "\n".join(["n,d,loss", *table]),
        "norms.csv": "\n".join(["step,batch,sq_norm", *norms]),
        "prompts.jsonl": "".join(json.dumps(row) + "\n" for row in prompts),
        "pairs.jsonl": "".join(json.dumps(row) + "\n" for row in pairs),
        "pairings.tsv": "".join(f"say {i}\tsag {i} {i % 5}\n" for i in range(40)),
        "curve.json": json.dumps(curve),
        "rows.jsonl": "".join(json.dumps(row) + "\n" for row in BEHAVIOUR),
        "scored.jsonl": "".join(
            json.dumps(row | {"complexity": i}) + "\n" for i, row in enumerate(BEHAVIOUR)
        ),
        "items.jsonl": "".join(json.dumps(row) + "\n" for row in as_rows([GCD, ODD])),
        "problem.json": json.dumps(problem),
        "program.py": "import time\n\ndef main():\n    time.sleep(0.5)\n\nmain()\n",
        "books.txt": "".join(chr(97 + i * i % 26) + " " * (i % 5 == 0) for i in range(4000)),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    graph = folder / "graph"
    graph.mkdir()
    nodes = [f"n{i:02d},{words[i % 4]} {words[i % 3]},{'ab'[i % 2]}" for i in range(30)]
    edges = [f"n{i:02d},n{(i + 2) % 30:02d}" for i in range(30)]
    (graph / "nodes.csv").write_text("\n".join(["id,text,label", *nodes, "n30,hat,"]) + "\n")
    (graph / "edges.csv").write_text("\n".join(["source,target", *edges]) + "\n")
    return {name.partition(".")[0]: folder / name for name in texts} | {"graph": graph}


@pytest.fixture(scope="session")
def weights(files: dict[str, Path], tiny_folder: Any) -> str:
    """A drafter's weights for the tiny model."""
    from burnish.draft.fit import FitSettings
    from burnish.draft.train_job import DistilSettings, TrainDraftSettings, train_draft

    distil = DistilSettings(prompts=str(files["prompts"]), max_new_tokens=6, vocabulary=150)
    settings = TrainDraftSettings(
        model=str(tiny_folder()), precision="fp32", distil=distil,
        fit=FitSettings(entries=(1, 2), epochs=1),
    )  # fmt: skip
    return train_draft(settings, runs=files["prompts"].parent / "runs")["weights"]


@pytest.fixture(scope="session")
def index(files: dict[str, Path], tiny_folder: Any) -> Path:
    """An index of the books, made by the tiny model."""
    from burnish.stream.reading import IngestSettings, ingest

    folder = files["books"].parent / "index"
    ingest(
        IngestSettings(
            model=str(tiny_folder()), files=(str(files["books"]),), index=str(folder),
            policy=BLOCKS, precision="fp32",
        )
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def translator(files: dict[str, Path]) -> str:
    """A run that translates, badly."""
    from fixtures.translating import tiny_seq2seq

    from burnish.arch.seq2seq.job import train_seq2seq
    from burnish.jobs.job import Place

    settings = tiny_seq2seq(files["pairings"], bleu=False, steps=1)
    return train_seq2seq(settings, Place(runs=files["graph"].parent / "runs"))["run"]


@pytest.fixture(scope="session")
def retriever(files: dict[str, Path], tiny_folder: Any) -> str:
    """A trained retriever of the small graph."""
    from burnish.base.settings import load_settings
    from burnish.graph.settings import GraphSettings
    from burnish.graph.train_job import train_graph

    given = {"graph": str(files["graph"]), "model": str(tiny_folder()), "precision": "fp32"}
    sets = [word for word in RETRIEVER.split() if "=" in word]
    settings = load_settings(GraphSettings, overrides=sets, named=given)
    return train_graph(settings, runs=files["graph"].parent / "runs")["run"]


@pytest.fixture(scope="session")
def triples(files: dict[str, Path]) -> Path:
    """A few triples of planted errors."""
    from burnish.critique.build_job import build_critiques
    from burnish.critique.settings import CritiqueBuildSettings
    from burnish.jobs.job import Place

    settings = CritiqueBuildSettings(tasks=("chain:sums?size=3&steps=2",))
    return build_critiques(settings, Place(runs=files["prompts"].parent / "runs"))["triples"]


@pytest.fixture
def places(
    files: dict[str, Path], tiny_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """What the words of an example stand for."""
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "stdin", StringIO("hello\n"))
    own = {name: tmp_path / name for name in ("runs", "target")} | {"gone": tmp_path / "no.json"}
    return {name: str(p) for name, p in (files | own | {"model": tiny_folder()}).items()}


@pytest.fixture
def words_of(places: dict[str, str], request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The words of a call, with the places filled in."""

    def fill(name: str, text: str) -> list[str]:
        known = dict(places)
        if "{finished}" in text:
            known["finished"] = str(request.getfixturevalue("finished"))
        if "{retriever}" in text:
            known["retriever"] = str(request.getfixturevalue("retriever"))
        if "{translator}" in text:
            known["translator"] = str(request.getfixturevalue("translator"))
        if "{weights}" in text:
            known["weights"] = str(request.getfixturevalue("weights"))
        if "{index}" in text:
            known["index"] = str(request.getfixturevalue("index"))
        if "{guesser}" in text:
            guessing = request.getfixturevalue("settings")
            known |= {"guesser": guessing.model, "colours": guessing.tasks[0]}
        if "{triples}" in text:
            known["triples"] = str(request.getfixturevalue("triples"))
        if "{bench}" in text:
            known["bench"] = str(Path(request.getfixturevalue("triples")).parent)
        if "{config}" in text:
            from burnish.base.settings import to_dict

            known["config"] = str(tmp_path / "settings.json")
            settings = to_dict(request.getfixturevalue("settings"))
            Path(known["config"]).write_text(json.dumps(settings))
        return [word.format(**known) for word in [*name.split(), *text.split()]]

    return fill


# ---- the table ----


def test_every_command_has_an_example() -> None:
    assert sorted(EXAMPLES) == sorted(leaves())


def test_options_that_commands_share() -> None:
    commands = leaves()
    for name, command in commands.items():
        assert ("--json" in options_of(command)) == EXAMPLES[name].has_json, name
        own = [param for param in command.params if options_of_param(param) - {"--run", "--help"}]
        assert len(own) <= 10, name
        assert ("--set" in options_of(command)) == bool(EXAMPLES[name].typo), name
    for name in MAKE_RUNS:
        wanted = SHARED - {"--run"} if name == "recall compare" else SHARED
        assert wanted <= options_of(commands[name]), name


def test_planted_command_without_an_example() -> None:
    assert sorted(EXAMPLES) != sorted([*leaves(), "draft new"])


# ---- help and JSON ----


@pytest.mark.parametrize("name", EXAMPLES)
def test_help(name: str, burnish: Burnish) -> None:
    done = burnish(*name.split(), "--help")
    assert (done.status, done.err) == (0, "")
    command = leaves()[name]
    assert done.out.startswith("Usage: burnish " + name)
    assert all(option in done.out for option in options_of(command))
    unexplained = [
        p.name for p in command.params if not getattr(p, "help", "") and p.name != "help"
    ]
    assert unexplained == []


@pytest.mark.parametrize("name", [n for n, example in EXAMPLES.items() if example.has_json])
def test_json_is_one_object(name: str, burnish: Burnish, words_of: Any) -> None:
    example = EXAMPLES[name]
    words = words_of(name, example.words)
    if name == "improve":  # made before: nothing is computed
        words[-1] = str(Path(words_of("", "{finished}")[0]).parent)
    done = burnish(*words, "--json")
    assert done.status in example.statuses, done.err
    assert isinstance(json.loads(done.out), dict) and "page" not in done.json
    assert done.out == json.dumps(done.json, ensure_ascii=False, indent=2) + "\n"
    if example.makes_run and name != "recall compare":
        assert (Path(done.json["run"]) / "result.json").is_file()


# ---- wrong use ----


def check_refused(done: Any, *says: str) -> None:
    """One line on stderr, nothing on stdout, exit status 2."""
    assert (done.status, done.out) == (2, ""), done.err
    (line,) = done.err.splitlines()
    assert re.fullmatch(r"error: .*, got .*\. .*[.?]", line), line
    assert len(line) < 400 and all(text in line for text in says), line


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_misspelt_command(name: str, burnish: Burnish) -> None:
    *group, last = name.split()
    check_refused(burnish(*group, last + last[-1]), f"Did you mean '{last}'?")


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_misspelt_option(name: str, burnish: Burnish, words_of: Any) -> None:
    option = max(options_of(leaves()[name]), key=len)
    words = words_of(name, EXAMPLES[name].words)
    check_refused(burnish(*words, option + "x"), f"Did you mean '{option}'?")


@pytest.mark.parametrize("name", [n for n, example in EXAMPLES.items() if example.typo])
def test_a_misspelt_setting(name: str, burnish: Burnish, words_of: Any, tmp_path: Path) -> None:
    words = words_of(name, f"{EXAMPLES[name].words} --set {EXAMPLES[name].typo}")
    check_refused(burnish(*words), "setting ", "is not known", "Did you mean '")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", [n for n, example in EXAMPLES.items() if example.missing])
def test_a_missing_file(name: str, burnish: Burnish, words_of: Any, tmp_path: Path) -> None:
    check_refused(burnish(*words_of(name, EXAMPLES[name].missing)), str(tmp_path / "no.json"))
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == []


def test_every_command_that_takes_a_file_has_a_missing_one(burnish: Burnish) -> None:
    without = [name for name, example in EXAMPLES.items() if not example.missing]
    pages = {name: burnish(*name.split(), "--help").out for name in without}
    assert [name for name, page in pages.items() if "path" in page.lower()] == []


# ---- precedence ----


@pytest.mark.parametrize("name", JOBS)
def test_precedence(
    name: str, burnish: Burnish, words_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option over --set over --config over the defaults, in every job."""
    module, _, function = JOBS[name].partition(":")
    seen: list[Any] = []

    def job(*given: Any, **options: Any) -> None:
        seen.extend(x for x in given if dataclasses.is_dataclass(x))
        assert options["command"][0] == "burnish"
        raise typer.Exit(0)

    monkeypatch.setattr(importlib.import_module(module), function, job)
    text = re.sub(r"--(precision|config) \S+", "", EXAMPLES[name].words)
    words, config = words_of(name, text), tmp_path / "c.json"
    config.write_text(json.dumps({"device": "of config", "precision": "of config"}))
    for more in ([], ["--config", config], ["--set", "device=of set"], ["--device", "of flag"]):
        words += more
        done = burnish(*words)
        assert done.status == 0, done.err
    assert [one.device for one in seen] == ["auto", "of config", "of set", "of flag"]
    default = "fp32" if name == "prefer train" else "auto"
    assert [one.precision for one in seen] == [default, *["of config"] * 3]


# ---- Ctrl-C ----


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Example], None]]:
    """Send this process SIGINT where an example says."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def arm(example: Example) -> None:
        module, _, path = example.stop.partition(":")
        *outer, last = path.split(".")
        holder: Any = importlib.import_module(module)
        for part in outer:
            holder = getattr(holder, part)
        exact, calls = getattr(holder, last), []

        def counted(*given: Any, **named: Any) -> Any:
            calls.append(1)
            if len(calls) == example.count:
                send = lambda: os.kill(os.getpid(), signal.SIGINT)  # noqa: E731
                threading.Timer(example.seconds, send).start() if example.seconds else send()
            return exact(*given, **named)

        monkeypatch.setattr(holder, last, counted)

    yield arm
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("name", EXAMPLES)
def test_ctrl_c(
    name: str, burnish: Burnish, words_of: Any, interrupt: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    example = EXAMPLES[name]
    words = words_of(name, example.words)
    interrupt(example)
    done = burnish(*words)
    assert (done.status, done.out) == (example.interrupted, ""), (done.out, done.err)
    assert "Traceback" not in done.err and "bort" not in done.err
    last = f"interrupted; {RESUMES}" if example.makes_run else "interrupted"
    if example.interrupted:
        assert done.err.splitlines()[-1] == last
    check_nothing_half_written(tmp_path)
    if example.makes_run:
        monkeypatch.undo()
        monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))
        again = burnish(*words, "--json") if name != "improve" else None
        if again is not None:
            assert again.status in example.statuses, again.err
            assert "(resuming)" in again.err


def check_nothing_half_written(folder: Path) -> None:
    """No result, model, page or archive of an interrupted command, and no temporary file."""
    names = ("result.json", "index.html", "model", "target")
    left = [p for p in folder.rglob("*") if p.name in names or p.suffix == ".tmp"]
    left += [p for p in folder.rglob(".*") if p.is_file()]
    assert left == []


def test_planted_write_that_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"PK")
    with pytest.raises(AssertionError):
        check_nothing_half_written(tmp_path)


# ---- a folder of its own, and another run ----


def test_run_new_starts_another_run(burnish: Burnish, words_of: Any, tmp_path: Path) -> None:
    words = words_of("recall curve", EXAMPLES["recall curve"].words)
    first = burnish(*words, "--json").json["run"]
    assert burnish(*words, "--json").json["run"] == first
    assert burnish(*words, "--run", "new", "--json").json["run"] == f"{first}-2"
    named = burnish(*words, "--run", tmp_path / "mine", "--json").json["run"]
    assert named == str(tmp_path / "mine")


def test_draft_bench_measures(burnish: Burnish, words_of: Any) -> None:
    """Plain decoding and the drafter on every prompt, with a page that can be shown."""
    done = burnish(*words_of("draft bench", EXAMPLES["draft bench"].words), "--json")
    assert done.json["num_prompts"] == 3 and set(done.json["drafters"]) == {"plain", "ngram"}
    assert done.json["all_identical"] is True
    assert done.json["drafters"]["ngram"]["identical"]["n"] == 3
    assert (Path(done.json["run"]) / "report" / "index.html").is_file()
    shown = burnish("report", "show", done.json["run"])
    assert shown.status == 0 and "All drafted texts are identical" in shown.out
