"""`burnish report`: one run, two runs, one zip."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import AsJson, print_json

app = typer.Typer(
    help="Show, compare and bundle runs.", no_args_is_help=True, rich_markup_mode=None
)

RunArgument = Annotated[Path, typer.Argument(help="A run folder, for example runs/last.")]


@app.command()
def show(run: RunArgument, as_json: AsJson = False) -> None:
    """Print a run's result, and write its page again."""
    from burnish.base.runs import load_run
    from burnish.report.html import write_report
    from burnish.report.plain import result_page
    from burnish.report.text import page_as_text

    record = load_run(run)
    if as_json:
        print_json({name: value for name, value in record.result.items() if name != "page"})
        return
    page = result_page(record.result, record.info)
    print(page_as_text(page))
    print(f"report: {write_report(page, record.path / 'report')}")


@app.command()
def compare(
    before: RunArgument,
    after: RunArgument,
    out: Annotated[Path | None, typer.Option(help="Write the page to this folder, too.")] = None,
) -> None:
    """Print the numbers and settings of two runs side by side."""
    from burnish.base.runs import load_run
    from burnish.report.compare import compare_results
    from burnish.report.html import write_report
    from burnish.report.text import page_as_text

    sides = [load_run(path) for path in (before, after)]
    results = [{**side.result, "settings": side.info["settings"]} for side in sides]
    labels = (sides[0].path.name, sides[1].path.name)
    page = compare_results(results[0], results[1], labels=labels)
    print(page_as_text(page))
    if out is not None:
        print(f"page: {write_report(page, out)}")


@app.command()
def bundle(
    run: RunArgument,
    target: Annotated[Path, typer.Argument(help="The zip file to write.")],
) -> None:
    """Put a run's report, result and events into one zip, without the weights."""
    from burnish.base.runs import load_run
    from burnish.report.bundle import bundle_run

    print(bundle_run(load_run(run).path, target))
