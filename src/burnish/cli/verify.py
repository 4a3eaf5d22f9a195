"""`burnish verify`: runs a claim again from its manifest."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import AsJson, print_json

app = typer.Typer()


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(help="A run folder, for example runs/last.")],
    full: Annotated[
        bool, typer.Option("--full", help="Repeat the whole run, not only its measurements.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a run's files, answer its held-out tasks again, and say: same or different, and why.

    Exit status 1: something is different.
    """
    from burnish.recipes.verify import verify_run
    from burnish.report.text import table_as_text

    found = verify_run(run, full=full)
    if as_json:
        print_json(found)
    else:
        rows = [[one["check"], one["outcome"], one["why"]] for one in found["checks"]]
        print(table_as_text(["check", "outcome", "why"], rows))
        print(found["sentence"])
    raise typer.Exit(0 if found["same"] else 1)
