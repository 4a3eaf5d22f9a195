"""`burnish recall`: how far back a model remembers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli.options import (
    Config,
    Device,
    Precision,
    RunFolder,
    Runs,
    ServedModelArgument,
    Sets,
    job_options,
    settings_from,
    table,
)
from burnish.cli.verbs import Commands, Outcome

commands = Commands("recall", help="Measure how far back a model remembers.")

CurveArgument = Annotated[Path, typer.Argument(help="A run of `recall curve`, or its JSON.")]
CurvesArgument = Annotated[list[str], typer.Argument(help="Runs, curve files or models.")]
Lengths = Annotated[str | None, typer.Option(help="64:1024:x2, 64:1024:+96 or 64,256,512.")]
Mode = Annotated[str | None, typer.Option(help="probe (short cue) or paper (whole repetition).")]
KV = Annotated[
    str | None, typer.Option("--kv", help="full, window:budget_tokens=512, triangle-dp ...")
]
Out = Annotated[Path | None, typer.Option(help="Also write the page to this folder.")]


@commands.command()
def curve(
    model: ServedModelArgument,
    lengths: Lengths = None,
    mode: Mode = None,
    kv: KV = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006 - typer copies it
    runs: Runs = Path("runs"),
    run: RunFolder = None,
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Measure copy and language-model accuracy of MODEL by length, and its memory lengths.

    Interrupted runs resume when you repeat the command. Other settings, for example:
    --set trials=16 --set corpus=austen. Exit status 1: a length failed.
    """
    from burnish.recall.run import measure_curve
    from burnish.recall.settings import RecallSettings

    flags = {"model": model, "lengths": lengths, "mode": mode, "kv": kv}
    flags |= {"device": device, "precision": precision}
    settings = settings_from(RecallSettings, config=config, sets=set, flags=flags)
    result = measure_curve(settings, **job_options(runs, run))
    return Outcome(
        result=result,
        text=lambda: _curve_text(result),
        next_command=f"burnish recall fit {result['run']}",
        exit_code=1 if result["num_failed_lengths"] else 0,
    )


@commands.command()
def fit(curve: CurveArgument) -> Outcome:
    """Decide whether a measured curve is limited by position or by distance."""
    from burnish.recall.comparison import read_curve
    from burnish.recall.limits import fit_limits

    found = fit_limits(read_curve(curve))
    return Outcome(
        result=found,
        text=lambda: table(["what", "value"], [[name, value] for name, value in found.items()]),
        next_command=f"burnish recall compare {curve} OTHER",
    )


@commands.command()
def compare(
    curves: CurvesArgument,
    lengths: Lengths = None,
    mode: Mode = None,
    kv: KV = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    device: Device = None,
    precision: Precision = None,
    out: Out = None,
) -> Outcome:
    """Compare curves; a name that is neither a run nor a file is a model, and is measured first.

    Interrupted measurements resume when you repeat the command.
    """
    from burnish.recall.run import compare_models
    from burnish.recall.settings import RecallSettings

    flags = {"lengths": lengths, "mode": mode, "kv": kv, "device": device, "precision": precision}
    settings = settings_from(RecallSettings, config=config, sets=set, flags=flags)
    command = job_options(runs)["command"]
    result = compare_models(curves, settings, runs=runs, out=out, command=command)
    return Outcome(result=result, next_command=f"burnish recall fit {curves[0]}")


def _curve_text(result: Mapping[str, Any]) -> str:
    from burnish.recall.page import points_table, verdict

    points = points_table(result)
    return f"{verdict(result)}\n{table(points.columns, points.rows)}"
