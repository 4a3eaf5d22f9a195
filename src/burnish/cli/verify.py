"""`burnish verify`: runs a claim again from its manifest."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import AsJson, show_result, table

app = typer.Typer()


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(help="A run folder, for example runs/last.")],
    full: Annotated[
        bool, typer.Option("--full", help="Repeat the whole run, not only its measurements.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check the files of RUN, repeat its measurements, and say what is the same or different.

    Exit status 1: something is different.
    """
    from burnish.recipes.verify import verify_run

    found = verify_run(run, full=full)
    rows = [[one["check"], one["outcome"], one["why"]] for one in found["checks"]]
    show_result(
        found,
        as_json=as_json,
        text=lambda: f"{table(['check', 'outcome', 'why'], rows)}\n{found['sentence']}",
        next_command=f"burnish report show {run}",
    )
    raise typer.Exit(0 if found["same"] else 1)
