"""`burnish scaling`: fit scaling laws, plan compute with them, count, measure noise."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli.options import AsJson, Config, Runs, Sets, print_json

app = typer.Typer(
    help="Plan compute: scaling laws of dense and MoE models.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DataArgument = Annotated[Path, typer.Argument(help="Runs: .csv, .jsonl or .parquet.")]
ResultsArgument = Annotated[
    Path | None, typer.Argument(help="Results of the cells. [default: emit the cells]")
]
ModelsArgument = Annotated[
    list[str], typer.Argument(help="Model names, folders or configuration files (.json).")
]
NormsArgument = Annotated[
    Path, typer.Argument(help="Rows of step, batch, sq_norm (.csv or .jsonl).")
]
Law = Annotated[str | None, typer.Option(help="A law's spec, or all. [default: chinchilla]")]
Columns = Annotated[
    str | None, typer.Option(help="The table's names: n=Params,d=Tokens,loss='Final Loss'.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start a new run even if one exists.")]


@app.command()
def fit(
    data: DataArgument,
    law: Law = None,
    columns: Columns = None,
    resamples: Annotated[int | None, typer.Option(help="Bootstraps; 0: no intervals.")] = None,
    config: Config = None,
    sets: Sets = [],  # noqa: B006 - typer copies it
    runs: Runs = Path("runs"),
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Fit a law to the runs of DATA: columns n, loss, and d or c; optionally e, k, batch, lr.

    --law all fits every law that the runs identify, ranked by the error on the largest runs,
    which each is fitted without.
    """
    from burnish.base.settings import load_settings
    from burnish.scaling.fit_job import fit_scaling
    from burnish.scaling.settings import ScalingFitSettings

    settings = load_settings(ScalingFitSettings, config=config, overrides=sets)
    given = {"path": str(data), "columns": columns}
    settings = _replaced(settings, "data", given)
    settings = _replaced(settings, "fit", {"law": law, "resamples": resamples})
    result = fit_scaling(settings, _place(runs, fresh))
    _print_result(result, as_json, f"burnish scaling plan --fit {result['run']} --flops FLOPS")


@app.command()
def plan(
    flops: Annotated[float, typer.Option(help="Training budget, FLOPs.")],
    fit: Annotated[
        str | None, typer.Option(help="A run of `scaling fit`, or a published fit.")
    ] = None,
    experts: Annotated[int | None, typer.Option(help="Experts of each layer.")] = None,
    tokens: Annotated[float | None, typer.Option(help="Most training tokens at hand.")] = None,
    memory_bytes: Annotated[float | None, typer.Option(help="Room for parameters.")] = None,
    extrapolate: Annotated[
        float | None, typer.Option(help="Largest factor beyond the largest run. [default: 10]")
    ] = None,
    config: Config = None,
    sets: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Plan size, data, batch, learning rate and steps for a budget.

    More: --set top_k=2, served_tokens=1e12 (tokens of use that the budget also pays for),
    rule=own, bytes_per_param=16, expert_frac=0.67. RUN/plan.json is for `arch pretrain --plan`.
    """
    from burnish.base.settings import load_settings
    from burnish.scaling.plan_job import plan_scaling
    from burnish.scaling.settings import PlanSettings

    given = {
        "flops": flops, "fit": fit, "experts": experts, "tokens": tokens,
        "memory_bytes": memory_bytes, "extrapolate": extrapolate,
    }  # fmt: skip
    named = [f"{name}={value}" for name, value in given.items() if value is not None]
    settings = load_settings(PlanSettings, config=config, overrides=[*named, *sets])
    result = plan_scaling(settings, _place(runs, False))
    _print_result(result, as_json, f"burnish report show {result['run']}")


@app.command()
def count(
    models: ModelsArgument,
    seq: Annotated[
        int | None, typer.Option(help="Context in tokens. [default: the model's longest]")
    ] = None,
    allocation: Annotated[
        float | None, typer.Option(help="An exponent a of N ~ C^a, to convert along MODELS.")
    ] = None,
    counts: Annotated[str, typer.Option(help="The convention of that exponent.")] = "non-embedding",
    as_json: AsJson = False,
) -> None:
    """Count parameters and training FLOPs a token under every named convention.

    With several MODELS of one family and --allocation the exponent is shown in each convention.
    """
    from burnish.report.text import table_as_text
    from burnish.scaling.counting import conversions, count_all, read_shape

    shapes = {name: read_shape(name, seq_tokens=seq) for name in models}
    counted = {name: count_all(shape) for name, shape in shapes.items()}
    found: dict[str, Any] = {"models": counted}
    if allocation is not None:
        found["allocation"] = conversions(allocation, list(shapes.values()), source=counts)
    if as_json:
        print_json(found)
        return
    names = ("n_active", "n_total", "flops_per_token", "meaning")
    for model, conventions in counted.items():
        print(model)
        rows = [[name, *(row[n] for n in names)] for name, row in conventions.items()]
        print(table_as_text(["convention", *names], rows))
    if "allocation" in found:
        print(table_as_text(["convention", "exponent"], list(found["allocation"].items())))
    print("next: burnish scaling plan --flops FLOPS")


@app.command()
def noise(
    norms: NormsArgument,
    columns: Annotated[
        str | None, typer.Option(help="The table's names: batch=tokens,sq_norm=norm2.")
    ] = None,
    block: Annotated[int, typer.Option(help="Steps in a row that count as one unit.")] = 1,
    confidence: Annotated[float, typer.Option(help="Of the interval.")] = 0.95,
    as_json: AsJson = False,
) -> None:
    """Measure the gradient noise scale from squared norms at two batch sizes a step.

    Exit status 1: not resolved.
    """
    from burnish.report.text import table_as_text
    from burnish.scaling.noise import estimate_noise, pairs_from_rows, read_norms

    pairs = pairs_from_rows(read_norms(norms, columns or ""))
    found = estimate_noise(pairs, block=block, confidence=confidence)
    if as_json:
        print_json(found)
    else:
        print(table_as_text(["what", "value"], [[name, value] for name, value in found.items()]))
        print("next: train at a batch near the noise scale, in the units of the batch column")
    raise typer.Exit(0 if found["state"] == "resolved" else 1)


@app.command()
def ladder(
    results: ResultsArgument = None,
    sizes: Annotated[str | None, typer.Option(help="Active parameters: 5e4,1e5,2e5.")] = None,
    ratios: Annotated[str | None, typer.Option(help="Tokens a parameter: 10,20,40.")] = None,
    experts: Annotated[str | None, typer.Option(help="Experts: 1,8.")] = None,
    law: Law = None,
    columns: Columns = None,
    config: Config = None,
    sets: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Emit a ladder of small runs as plan files; or fit RESULTS and predict the largest.

    With RESULTS also: which run would next cut the variance of the target's prediction most per
    FLOP (--set target_flops=1e15).
    """
    from burnish.base.settings import load_settings
    from burnish.scaling.ladder import LadderSettings
    from burnish.scaling.ladder_job import climb_ladder

    lists = {"sizes": sizes, "ratios": ratios, "experts": experts}
    named = [f"{name}=[{text}]" for name, text in lists.items() if text is not None]
    settings = load_settings(LadderSettings, config=config, overrides=[*named, *sets])
    data = {"path": str(results) if results else None, "columns": columns}
    settings = _replaced(_replaced(settings, "data", data), "fit", {"law": law})
    result = climb_ladder(settings, _place(runs, False))
    following = "burnish scaling ladder RESULTS.csv" if results is None else "run the first of them"
    _print_result(result, as_json, following)


def _replaced(settings: Any, name: str, given: dict[str, Any]) -> Any:
    import dataclasses

    named = {key: value for key, value in given.items() if value is not None}
    inner = dataclasses.replace(getattr(settings, name), **named)
    return dataclasses.replace(settings, **{name: inner})


def _place(runs: Path, fresh: bool) -> Any:
    from burnish.jobs.job import Place

    return Place(runs=runs, fresh=fresh, command=["burnish", *sys.argv[1:]])


def _print_result(result: dict[str, Any], as_json: bool, following: str) -> None:
    from burnish.report.pages import page_from_json
    from burnish.report.text import page_as_text

    if as_json:
        print_json({name: value for name, value in result.items() if name != "page"})
        return
    page = {**result["page"], "provenance": {}, "command": ""}
    print(page_as_text(page_from_json(page)))
    print(f"run:    {result['run']}")
    print(f"report: {result['run']}/report/index.html")
    print(f"next:   {following}")
