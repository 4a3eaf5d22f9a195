"""`burnish report`: one run, two runs, one zip."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import AsJson, show_result

app = typer.Typer(
    help="Show, compare and bundle runs.", no_args_is_help=True, rich_markup_mode=None
)

RunArgument = Annotated[Path, typer.Argument(help="A run folder, for example runs/last.")]


@app.command()
def show(run: RunArgument, as_json: AsJson = False) -> None:
    """Print the result of a run, and write its page again."""
    from burnish.base.runs import load_run
    from burnish.report.html import write_report
    from burnish.report.plain import result_page
    from burnish.report.text import page_as_text

    record = load_run(run)
    if as_json:
        show_result(record.result, as_json=True)
        return
    page = result_page(record.result, record.info)
    print(page_as_text(page))
    print(f"report: {write_report(page, record.path / 'report')}")


@app.command()
def compare(
    before: RunArgument,
    after: RunArgument,
    out: Annotated[Path | None, typer.Option(help="Also write the page to this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the numbers and settings of two runs side by side."""
    from dataclasses import asdict

    from burnish.base.runs import load_run
    from burnish.report.comparison import compare_results
    from burnish.report.html import write_report
    from burnish.report.text import page_as_text

    sides = [load_run(path) for path in (before, after)]
    results = [{**side.result, "settings": side.info["settings"]} for side in sides]
    labels = (sides[0].path.name, sides[1].path.name)
    page = compare_results(results[0], results[1], labels=labels)
    written = {} if out is None else {"report": str(write_report(page, out))}
    lines = [page_as_text(page), *(f"report: {path}" for path in written.values())]
    result = {"before": str(before), "after": str(after), "comparison": asdict(page), **written}
    show_result(result, as_json=as_json, text=lambda: "\n".join(lines))


@app.command()
def bundle(
    run: RunArgument,
    target: Annotated[Path, typer.Argument(help="The zip file to write.")],
    as_json: AsJson = False,
) -> None:
    """Put a run's report, result and events into one zip file, without the weights."""
    from burnish.base.runs import load_run
    from burnish.report.archive import bundle_run

    written = str(bundle_run(load_run(run).path, target))
    show_result({"folder": str(run), "bundle": written}, as_json=as_json, text=lambda: written)
