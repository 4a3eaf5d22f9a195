"""`burnish verify`: runs a claim again from its manifest."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import table
from burnish.cli.verbs import Commands, Outcome

commands = Commands()


@commands.command()
def verify(
    run: Annotated[Path, typer.Argument(help="A run folder, for example runs/last.")],
    full: Annotated[
        bool, typer.Option("--full", help="Repeat the whole run, not only its measurements.")
    ] = False,
) -> Outcome:
    """Check the files of RUN, repeat its measurements, and say what is the same or different.

    Exit status 1: something is different.
    """
    from burnish.recipes.verify import verify_run

    found = verify_run(run, full=full)
    rows = [[one["check"], one["outcome"], one["why"]] for one in found["checks"]]
    return Outcome(
        result=found,
        text=lambda: f"{table(['check', 'outcome', 'why'], rows)}\n{found['sentence']}",
        next_command=f"burnish report show {run}",
        exit_code=0 if found["same"] else 1,
    )
