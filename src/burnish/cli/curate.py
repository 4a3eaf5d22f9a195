"""`burnish curate`: choose training data, and catch what leaks a benchmark."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli.options import (
    AsJson,
    Config,
    RunFolder,
    Runs,
    Sets,
    job_options,
    settings_from,
    show_result,
)

app = typer.Typer(
    help="Choose training data; find what leaks a benchmark.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

PoolArgument = Annotated[
    Path, typer.Argument(help="Rows: .jsonl, .jsonl.gz, .json, .parquet, .arrow, or a folder.")
]
Benchmarks = Annotated[
    list[str],
    typer.Option(help="humaneval, a file or folder of rows, or a run of improve; repeatable."),
]


@app.command()
def leakage(
    pool: PoolArgument,
    benchmark: Benchmarks = [],  # noqa: B006 - typer copies it
    out: Annotated[Path | None, typer.Option(help="Write the pool without leaks here.")] = None,
    fpr: Annotated[
        float | None, typer.Option(help="Share of clean rows that may be flagged. [default: 0.01]")
    ] = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Run no program of the pool.")] = False,
    config: Config = None,
    sets: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    folder: RunFolder = None,
    as_json: AsJson = False,
) -> None:
    """Find rows of POOL that leak a benchmark: copied, rephrased, translated, or the same program.

    Exit status 1: leaks are found, or more suspects than chance makes. RUN/stages/leakage holds
    flagged.jsonl (with the overlap of every row) and clean.jsonl. Interrupted scans resume when
    you repeat the command.
    """
    from burnish.curate.settings import LeakageSettings
    from burnish.recipes.curating import leakage_with_sandbox

    flags = {"pool": str(pool), "benchmarks": tuple(benchmark), "fpr": fpr}
    flags |= {"run": False} if no_run else {}
    settings = settings_from(LeakageSettings, config=config, sets=sets, flags=flags)
    result = leakage_with_sandbox(settings, _place(runs, folder))
    _copy(result, "leakage", "clean.jsonl", out)
    show_result(
        result,
        as_json=as_json,
        next_command=f"burnish curate score {out or 'CLEAN.jsonl'} --out scores.jsonl",
    )
    raise typer.Exit(0 if result["check"]["outcome"] == "pass" else 1)


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
