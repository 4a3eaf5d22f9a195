"""`burnish report`: one run, two runs, one zip."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.verbs import Commands, Outcome

commands = Commands("report", help="Show, compare and bundle runs.")

RunArgument = Annotated[Path, typer.Argument(help="A run folder, for example runs/last.")]


@commands.command()
def show(run: RunArgument) -> Outcome:
    """Print the result of a run, and write its page again."""
    from burnish.base.runs import load_run
    from burnish.report.html import write_report
    from burnish.report.plain import result_page
    from burnish.report.text import page_as_text

    record = load_run(run)

    def show() -> None:
        page = result_page(record.result, record.info)
        print(page_as_text(page))
        print(f"report: {write_report(page, record.path / 'report')}")

    return Outcome(result=record.result, show=show)


@commands.command()
def compare(
    before: RunArgument,
    after: RunArgument,
    out: Annotated[Path | None, typer.Option(help="Also write the page to this folder.")] = None,
) -> Outcome:
    """Compare the numbers and settings of two runs."""
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
    return Outcome(result=result, text=lambda: "\n".join(lines))


@commands.command()
def bundle(
    run: RunArgument,
    target: Annotated[Path, typer.Argument(help="The zip file to write.")],
) -> Outcome:
    """Put a run's report, result and events into one zip file, without the weights."""
    from burnish.base.runs import load_run
    from burnish.report.archive import bundle_run

    written = str(bundle_run(load_run(run).path, target))
    return Outcome(result={"folder": str(run), "bundle": written}, text=lambda: written)
