"""`burnish curate`: choose training data, and catch what leaks a benchmark."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli.options import (
    Config,
    OptionalModelArgument,
    RunFolder,
    Runs,
    Sets,
    job_options,
    settings_from,
)
from burnish.cli.verbs import Commands, Outcome

commands = Commands("curate", help="Choose training data; find what leaks a benchmark.")

PoolArgument = Annotated[
    Path, typer.Argument(help="Rows: .jsonl, .jsonl.gz, .json, .parquet, .arrow, or a folder.")
]
Benchmarks = Annotated[
    list[str],
    typer.Option(help="humaneval, a file or folder of rows, or a run of improve; repeatable."),
]


@commands.command()
def leakage(
    pool: PoolArgument,
    benchmark: Benchmarks = [],  # noqa: B006 - typer copies it
    out: Annotated[Path | None, typer.Option(help="Write the rows without leaks here.")] = None,
    fpr: Annotated[
        float | None, typer.Option(help="Share of clean rows that may be flagged. [default: 0.01]")
    ] = None,
    embed: Annotated[
        bool, typer.Option("--embed", help="Compare the states of a model, too; slow.")
    ] = False,
    no_run: Annotated[
        bool, typer.Option("--no-run", help="Do not run the programs of the pool.")
    ] = False,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Find rows of POOL that leak a benchmark: copied, rephrased, translated, or the same program.

    Exit status 1: leaks are found, or more suspects than expected by chance. RUN/stages/leakage
    holds flagged.jsonl (with the overlap of every row) and clean.jsonl. Interrupted scans resume
    when you repeat the command. With --embed: --set model=NAME --set layer=10.
    """
    from burnish.curate.settings import LeakageSettings
    from burnish.recipes.curating import leakage_with_sandbox

    flags = {"pool": str(pool), "benchmarks": tuple(benchmark), "fpr": fpr}
    flags |= ({"run": False} if no_run else {}) | ({"embed": True} if embed else {})
    settings = settings_from(LeakageSettings, config=config, sets=set, flags=flags)
    result = leakage_with_sandbox(settings, _place(runs, run))
    _copy(result, "leakage", "clean.jsonl", out)
    return Outcome(
        result=result,
        next_command=f"burnish curate score {out or 'CLEAN.jsonl'} --out scores.jsonl",
        exit_code=0 if result["check"]["outcome"] == "pass" else 1,
    )


@commands.command()
def dedup(
    pool: PoolArgument,
    out: Annotated[Path | None, typer.Option(help="Write the kept rows here.")] = None,
    jaccard: Annotated[
        float | None, typer.Option(help="Minimum overlap of duplicates. [default: 0.8]")
    ] = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Remove near-duplicates: equal texts, and texts whose character 5-grams overlap.

    The first of several is kept. RUN/stages/dedup/dropped.jsonl names the row that each other
    row repeats.
    """
    from burnish.curate.dedup_job import drop_duplicates
    from burnish.curate.settings import DedupSettings

    flags = {"pool": str(pool), "jaccard": jaccard}
    settings = settings_from(DedupSettings, config=config, sets=set, flags=flags)
    result = drop_duplicates(settings, _place(runs, run))
    _copy(result, "dedup", "kept.jsonl", out)
    following = f"burnish curate leakage {out or 'KEPT.jsonl'} --benchmark humaneval"
    return Outcome(result=result, next_command=following)


@commands.command()
def train(
    model: OptionalModelArgument = None,
    seeds: Annotated[
        list[str], typer.Option(help="Rows whose instructions are evolved; repeatable.")
    ] = [],  # noqa: B006
    evolve: Annotated[
        str | None,
        typer.Option(
            help="operators, model:NAME, or answers: learn their size. [default: operators]"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the scorer (.npz) here.")] = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Train a complexity scorer for MODEL on instructions evolved to levels 0 to 5.

    The scorer is a head over the model's states. It is measured on seeds that were held out. With
    --evolve answers it learns the size of each row's own answer from the instruction alone.
    More: --set num_seeds=800 --set layer=10.
    """
    from burnish.curate.train_job import TrainScorerSettings, train_scorer

    flags = {"model": model, "pools": tuple(seeds), "evolve": evolve}
    settings = settings_from(TrainScorerSettings, config=config, sets=set, flags=flags)
    result = train_scorer(settings, _place(runs, run))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(result["scorer"], out)
        result["scorer"] = str(out)
    following = f"burnish curate score POOL --set scorer={result['scorer']} --out scored.jsonl"
    return Outcome(result=result, next_command=following)


@commands.command()
def score(
    pool: PoolArgument,
    out: Annotated[Path | None, typer.Option(help="Write the scored rows here.")] = None,
    scorer: Annotated[
        str | None,
        typer.Option(
            help="bundled, bundled-sizes, a file of `curate train`, length, answer, "
            "perplexity or ifd."
        ),
    ] = None,
    turns: Annotated[
        str | None,
        typer.Option(help="Combine the scores of turns by sum, mean or max. [default: sum]"),
    ] = None,
    tests: Annotated[
        str | None,
        typer.Option(
            help="Tests of answers: examples, agreement or model:NAME. [default: examples]"
        ),
    ] = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Do not measure quality.")] = False,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Score the complexity of every row of POOL, and the quality of answers that are programs.

    Tests are read from the row's own text, or come from other answers to the same question, or
    are written by a model. A row without tests has no quality, which is not the same as zero.
    Interrupted runs resume when you repeat the command. More: --set rates=estimated.
    """
    from burnish.curate.settings import ScoreSettings
    from burnish.recipes.curating import score_with_sandbox

    flags = {"pool": str(pool), "scorer": scorer, "turns": turns, "tests": tests}
    flags |= {"quality": False} if no_run else {}
    settings = settings_from(ScoreSettings, config=config, sets=set, flags=flags)
    result = score_with_sandbox(settings, _place(runs, run))
    _copy(result, "score", "scored.jsonl", out)
    following = f"burnish curate pick {out or 'SCORED.jsonl'} --budget 1000 --out picked.jsonl"
    return Outcome(result=result, next_command=following)


@commands.command()
def pick(
    pool: PoolArgument,
    budget: Annotated[int | None, typer.Option(help="Rows to choose.")] = None,
    tokens: Annotated[
        int | None, typer.Option(help="Budget in tokens, instead of --budget.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the chosen rows here.")] = None,
    rule: Annotated[
        str | None, typer.Option(help="xcoder, deita or random. [default: xcoder]")
    ] = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Choose rows of a scored POOL that are complex, good, and unlike the rows already chosen.

    RUN/stages/pick/decisions.jsonl gives the reason for every row. More: --set alpha=0.7
    --set threshold=0.9 (cosine; 1 turns diversity off) --set turns=mean.
    """
    from burnish.curate.pick_job import pick_rows
    from burnish.curate.settings import PickSettings

    flags = {"pool": str(pool), "budget": budget, "tokens": tokens, "rule": rule}
    settings = settings_from(PickSettings, config=config, sets=set, flags=flags)
    result = pick_rows(settings, _place(runs, run))
    _copy(result, "pick", "picked.jsonl", out)
    following = f"burnish report show {result['run']}"
    return Outcome(result=result, next_command=following)


def _place(runs: Path, folder: Path | None) -> Any:
    from burnish.jobs.job import Place

    return Place(**job_options(runs, folder))


def _copy(result: dict[str, Any], stage: str, name: str, out: Path | None) -> None:
    """Write a file of a run where it was asked for, in the format of its ending."""
    if out is None:
        return
    from burnish.base.records import read_records, write_records

    source = Path(result["run"]) / "stages" / stage / name
    if out.name.endswith(".jsonl"):
        draft = out.with_name(f".{out.name}.tmp")
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, draft)
        draft.rename(out)
    else:
        write_records(out, read_records(source))
    result["out"] = str(out)
