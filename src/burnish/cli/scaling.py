"""`burnish scaling`: fit scaling laws, plan compute with them, count, measure noise."""

from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli.options import (
    Config,
    RunFolder,
    Runs,
    Sets,
    job_options,
    settings_from,
    table,
)
from burnish.cli.verbs import Commands, Outcome

commands = Commands("scaling", help="Plan compute: scaling laws of dense and MoE models.")

DataArgument = Annotated[Path, typer.Argument(help="Runs: .csv, .jsonl or .parquet.")]
ResultsArgument = Annotated[
    Path | None, typer.Argument(help="Results of the cells. [default: write the cells]")
]
ModelsArgument = Annotated[
    list[str], typer.Argument(help="Model names, folders or configuration files (.json).")
]
NormsArgument = Annotated[
    Path,
    typer.Argument(help="Run of `arch pretrain --set gradient_norms=true`, or a .csv or .jsonl."),
]
Law = Annotated[str | None, typer.Option(help="A law's spec, or all. [default: chinchilla]")]
Columns = Annotated[
    str | None, typer.Option(help="Column names of the table: n=Params,d=Tokens,loss='Final Loss'.")
]


@commands.command()
def fit(
    data: DataArgument,
    law: Law = None,
    columns: Columns = None,
    resamples: Annotated[int | None, typer.Option(help="Bootstraps; 0: no intervals.")] = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006 - typer copies it
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Fit a law to the runs of DATA: columns n, loss, and d or c; optionally e, k, batch, lr.

    --law all fits every law that the runs identify, ranked by the error on the largest runs,
    which each is fitted without.
    """
    from burnish.scaling.fit_job import fit_scaling
    from burnish.scaling.settings import ScalingFitSettings

    flags = {"data.path": str(data), "data.columns": columns}
    flags |= {"fit.law": law, "fit.resamples": resamples}
    settings = settings_from(ScalingFitSettings, config=config, sets=set, flags=flags)
    result = fit_scaling(settings, **job_options(runs, run))
    following = f"burnish scaling plan --fit {result['run']} --flops FLOPS"
    return Outcome(result=result, next_command=following)


@commands.command()
def plan(
    flops: Annotated[float | None, typer.Option(help="Training budget, FLOPs.")] = None,
    fit: Annotated[
        str | None, typer.Option(help="A run of `scaling fit`, or a published fit.")
    ] = None,
    experts: Annotated[int | None, typer.Option(help="Experts of each layer.")] = None,
    extrapolate: Annotated[
        float | None,
        typer.Option(help="Largest factor of extrapolation beyond the largest run. [default: 10]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Plan file. [default: plan.json in the run folder]")
    ] = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Plan size, data, batch, learning rate and steps for a budget.

    More: --set tokens=1e9 (training tokens available), memory_bytes=8e9 (room for parameters),
    top_k=2, served_tokens=1e12 (tokens of use that the budget also pays for), rule=own,
    bytes_per_param=16, expert_frac=0.67.
    """
    from burnish.scaling.plan_job import plan_scaling
    from burnish.scaling.settings import PlanSettings

    flags = {"flops": flops, "fit": fit, "experts": experts, "extrapolate": extrapolate}
    settings = settings_from(PlanSettings, config=config, sets=set, flags=flags)
    result = plan_scaling(settings, out=out, **job_options(runs, run))
    following = f"burnish arch pretrain --corpus TEXTS --plan {result['plan_file']}"
    return Outcome(result=result, next_command=following)


@commands.command()
def count(
    models: ModelsArgument,
    seq: Annotated[
        int | None, typer.Option(help="Context in tokens. [default: the model's longest]")
    ] = None,
    allocation: Annotated[
        float | None, typer.Option(help="An exponent a of N ~ C^a, to convert along MODELS.")
    ] = None,
    counts: Annotated[str, typer.Option(help="Convention of that exponent.")] = "non-embedding",
) -> Outcome:
    """Count parameters and training FLOPs per token under every named convention.

    With several MODELS of one family and --allocation the exponent is shown in each convention.
    """
    from burnish.scaling.counting import conversions, count_all, read_shape

    shapes = {name: read_shape(name, seq_tokens=seq) for name in models}
    counted = {name: count_all(shape) for name, shape in shapes.items()}
    found: dict[str, Any] = {"models": counted}
    if allocation is not None:
        found["allocation"] = conversions(allocation, list(shapes.values()), source=counts)
    following = "burnish scaling plan --flops FLOPS"
    text = lambda: _counts_text(found)  # noqa: E731
    return Outcome(result=found, text=text, next_command=following)


@commands.command()
def noise(
    norms: NormsArgument,
    columns: Annotated[
        str | None, typer.Option(help="Column names of the table: batch=tokens,sq_norm=norm2.")
    ] = None,
    block: Annotated[int, typer.Option(help="Consecutive steps that count as one unit.")] = 1,
    confidence: Annotated[float, typer.Option(help="Confidence of the interval.")] = 0.95,
    lr: Annotated[
        str | None,
        typer.Option(help="Best learning rate at one batch, 0.002@4096: shown at other batches."),
    ] = None,
) -> Outcome:
    """Measure the gradient noise scale from squared norms at two batch sizes a step.

    A table with the columns batch and steps, the steps that runs at their best learning rate took
    to one loss, gives the critical batch instead. Exit status 1: not resolved.
    """
    from burnish.scaling.noise_job import measure_noise

    found = measure_noise(norms, columns=columns or "", block=block, confidence=confidence, rate=lr)
    following = "train at a batch near the noise scale, in the units of the batch column"
    text = lambda: _noise_text(found)  # noqa: E731
    return Outcome(
        result=found,
        text=text,
        next_command=following,
        exit_code=1 if found.get("state", "resolved") != "resolved" else 0,
    )


@commands.command()
def ladder(
    results: ResultsArgument = None,
    corpus: Annotated[
        str | None, typer.Option(help="Texts: train the cells on them, as `arch pretrain` does.")
    ] = None,
    sizes: Annotated[str | None, typer.Option(help="Active parameters: 5e4,1e5,2e5.")] = None,
    ratios: Annotated[str | None, typer.Option(help="Tokens per parameter: 10,20,40.")] = None,
    experts: Annotated[str | None, typer.Option(help="Experts: 1,8.")] = None,
    law: Law = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Write a ladder of small runs as plan files, train it, or fit RESULTS and predict the largest.

    With --corpus every cell is trained here, cheapest first, then fitted; interrupted ladders
    resume. A fit also says which run would next cut the variance of the target's prediction most
    per FLOP (--set target_flops=1e15). More: --set data.columns=n=Params, train=["optimizer=muon"].
    """
    from burnish.recipes.laddering import climb_ladder
    from burnish.scaling.ladder_cells import LadderSettings

    lists = {"sizes": sizes, "ratios": ratios, "experts": experts}
    flags: dict[str, Any] = {name: _numbers(name, text) for name, text in lists.items() if text}
    flags |= {"corpus": corpus, "data.path": str(results) if results else None}
    flags |= {"fit.law": law}
    settings = settings_from(LadderSettings, config=config, sets=set, flags=flags)
    result = climb_ladder(settings, **job_options(runs, run))
    emitted = "burnish scaling ladder RESULTS.csv, or the same command with --corpus TEXTS"
    fitted = f"burnish report show {result['run']}"
    return Outcome(result=result, next_command=emitted if "cells" in result else fitted)


def _numbers(name: str, text: str) -> list[float]:
    """The numbers of a list with commas. Raises SettingError."""
    from burnish.base.errors import SettingError

    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        rule, remedy = "must be numbers with commas between", f"Write --{name} 1,8"
        raise SettingError(f"--{name}", text, rule, remedy=remedy) from None
    return [int(value) if value.is_integer() else value for value in found]


def _counts_text(found: dict[str, Any]) -> str:
    names = ("n_active", "n_total", "flops_per_token", "meaning")
    parts = []
    for model, conventions in found["models"].items():
        rows = [[name, *(row[n] for n in names)] for name, row in conventions.items()]
        parts += [model, table(["convention", *names], rows)]
    if "allocation" in found:
        parts.append(table(["convention", "exponent"], list(found["allocation"].items())))
    return "\n".join(parts)


def _noise_text(found: dict[str, Any]) -> str:
    rows = {name: found[name] for name in ("parts", "learning_rates") if found.get(name)}
    whole = [[name, value] for name, value in found.items() if not isinstance(value, list)]
    parts = [table(["what", "value"], whole)]
    for many in rows.values():
        names = list(many[0])
        parts.append(table(names, [[row[name] for name in names] for row in many]))
    return "\n".join(parts)
