"""`burnish recall`: how far back a model remembers."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli.options import AsJson, Config, Runs, Sets, print_json

app = typer.Typer(
    help="Measure how far back a model remembers.", no_args_is_help=True, rich_markup_mode=None
)

ModelArgument = Annotated[
    str, typer.Argument(help="Embedded name, folder, GGUF file, hub name or openai:URL#name.")
]
CurveArgument = Annotated[Path, typer.Argument(help="A run of `recall curve`, or its JSON.")]
CurvesArgument = Annotated[list[str], typer.Argument(help="Runs, curve files or models.")]
Lengths = Annotated[str | None, typer.Option(help="64:1024:x2, 64:1024:+96 or 64,256,512.")]
Trials = Annotated[int | None, typer.Option(help="Texts for each length.")]
Corpus = Annotated[
    str | None, typer.Option(help="stdlib, austen, kjv, hub:name=NAME, or a file or folder.")
]
Mode = Annotated[str | None, typer.Option(help="probe (short cue) or paper (whole repetition).")]
KV = Annotated[str | None, typer.Option("--kv", help="full, or window:budget_tokens=512.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start a new run even if one exists.")]
Out = Annotated[Path | None, typer.Option(help="Write the page to this folder, too.")]


@app.command()
def curve(
    model: ModelArgument,
    lengths: Lengths = None,
    trials: Trials = None,
    corpus: Corpus = None,
    mode: Mode = None,
    kv: KV = None,
    config: Config = None,
    sets: Sets = [],  # noqa: B006 - typer copies it
    runs: Runs = Path("runs"),
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Measure MODEL's copy and language-model curves, its memory lengths and its state.

    Killed, the same command goes on where it stopped. Exit status 1: a length failed.
    """
    given = {"lengths": lengths, "trials": trials, "corpus": corpus, "mode": mode, "kv": kv}
    settings = _settings(model, given, config, sets)
    from burnish.recall.run import measure_curve

    result = measure_curve(settings, runs=runs, fresh=fresh, command=["burnish", *sys.argv[1:]])
    if as_json:
        print_json({name: value for name, value in result.items() if name != "page"})
    else:
        _print_curve(result)
    raise typer.Exit(1 if result["num_failed_lengths"] else 0)


@app.command()
def fit(curve: CurveArgument, as_json: AsJson = False) -> None:
    """Tell a limit of positions from a limit of distance, in a curve that was measured."""
    from burnish.recall.compare import read_curve
    from burnish.recall.fit import fit_limits
    from burnish.report.text import table_as_text

    found = fit_limits(read_curve(curve))
    if as_json:
        print_json(found)
        return
    print(table_as_text(["what", "value"], [[name, value] for name, value in found.items()]))
    print(f"next: burnish recall compare {curve} OTHER")


@app.command()
def compare(
    curves: CurvesArgument,
    lengths: Lengths = None,
    trials: Trials = None,
    corpus: Corpus = None,
    mode: Mode = None,
    kv: KV = None,
    sets: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Put curves side by side; what is no run or file is a model, and is measured first."""
    from burnish.recall.compare import compare_curves, compare_page, read_curve
    from burnish.recall.run import measure_curve
    from burnish.report.html import write_report
    from burnish.report.text import page_as_text

    given = {"lengths": lengths, "trials": trials, "corpus": corpus, "mode": mode, "kv": kv}
    found = []
    for name in curves:
        if _is_curve(Path(name)):
            found.append((name, read_curve(Path(name))))
        else:
            settings = _settings(name, given, None, sets)
            found.append((name, measure_curve(settings, runs=runs)))
    compared = compare_curves(found)
    page = compare_page(compared, found)
    written = write_report(page, out) if out is not None else None
    if as_json:
        print_json(compared)
        return
    print(page_as_text(page))
    print(f"page: {written}" if written else f"next: burnish recall fit {curves[0]}")


def _is_curve(path: Path) -> bool:
    return path.suffix == ".json" or (path / "run.json").is_file()


def _settings(model: str, given: dict[str, Any], config: Path | None, sets: list[str]) -> Any:
    import dataclasses

    from burnish.base.settings import load_settings
    from burnish.recall.settings import RecallSettings

    settings = load_settings(RecallSettings, config=config, overrides=sets)
    named = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(settings, model=model, **named)


def _print_curve(result: dict[str, Any]) -> None:
    from burnish.recall.page import points_table, verdict
    from burnish.report.text import table_as_text

    table = points_table(result)
    print(verdict(result))
    print(table_as_text(table.columns, table.rows))
    print(f"run:    {result['run']}")
    print(f"report: {result['run']}/report/index.html")
    print(f"next:   burnish recall fit {result['run']}")
