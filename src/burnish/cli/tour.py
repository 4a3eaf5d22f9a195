"""`burnish tour`: every discipline once, on a small job."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import (
    Config,
    Device,
    OptionalModelArgument,
    Precision,
    Runs,
    Sets,
    job_options,
    settings_from,
)
from burnish.cli.verbs import Commands, Outcome

commands = Commands()


@commands.command()
def tour(
    model: OptionalModelArgument = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of data and jobs. [default: 0]", show_default=False)
    ] = None,
    stop: Annotated[
        list[str],
        typer.Option("--stop", help="Discipline to visit; repeatable. [default: all ten]"),
    ] = [],  # noqa: B006 - typer copies it
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "--run", help="Run folder; new: start another run. [default: by the settings]"
        ),
    ] = None,
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Run one small job of each of the ten disciplines, and print one number with its interval.

    Takes under seven minutes on two cores. The jobs are those of the disciplines' own commands, on
    data that is drawn with the seed. Interrupted runs resume when you repeat the command. Sizes are
    settings, for example: --set recall.trials=8 --set material.programs=100.
    """
    from burnish.recipes.tour_settings import TourSettings
    from burnish.recipes.touring import take_tour

    flags = {"model": model, "seed": seed, "stops": tuple(stop)}
    flags |= {"device": device, "precision": precision}
    settings = settings_from(TourSettings, config=config, sets=set, flags=flags)
    result = take_tour(settings, **job_options(runs, out))
    return Outcome(result=result, next_command="burnish improve --preset quick")
