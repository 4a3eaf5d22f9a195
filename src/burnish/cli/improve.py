"""`burnish improve`: the main job."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import AsJson, Config, Runs, Sets, print_json

app = typer.Typer()

ModelArgument = Annotated[
    str | None, typer.Argument(help="Embedded name, folder, GGUF file or hub name.")
]
Preset = Annotated[str, typer.Option(help="laptop, workstation or cluster.")]
Tasks = Annotated[
    list[str],
    typer.Option(
        "--tasks", help="reasoning-gym:NAME?size=500, gsm8k:PATH or a JSONL file; may be repeated."
    ),
]
Folder = Annotated[
    Path | None, typer.Option("--run", help="Run folder. [default: found by the settings]")
]
Seed = Annotated[int | None, typer.Option(help="Seed of every random choice.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start a new run even if one exists.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")]


@app.command()
def improve(
    model: ModelArgument = None,
    preset: Preset = "laptop",
    tasks: Tasks = [],  # noqa: B006 - typer copies it
    config: Config = None,
    sets: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    folder: Folder = None,
    seed: Seed = None,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Improve MODEL on checkable tasks; measure before and after; write a report.

    Killed, the same command goes on where it stopped. Exit status 1: no gain was shown, or a gate
    failed.
    """
    import dataclasses

    from burnish.base.settings import load_settings
    from burnish.recipes.settings import ImproveSettings
    from burnish.recipes.settings import preset as preset_settings

    given = {"model": model, "tasks": tuple(tasks) or None, "seed": seed}
    named = {name: value for name, value in given.items() if value is not None}
    base = preset_settings(preset)
    settings = load_settings(ImproveSettings, base=base, config=config, overrides=sets)
    settings = dataclasses.replace(settings, **named)  # said here, so it counts more than a file
    if dry_run:
        _print_plan(settings, runs, as_json)
        return
    from burnish.recipes.improve import improve as run_improve

    command = ["burnish", *sys.argv[1:]]
    result = run_improve(settings, runs=runs, folder=folder, fresh=fresh, command=command)
    if as_json:
        print_json({name: value for name, value in result.items() if name != "page"})
    else:
        _print_result(result)
    outcomes = {gate["name"]: gate["outcome"] for gate in result["gates"]}
    good = outcomes["better"] == "pass" and "fail" not in outcomes.values()
    raise typer.Exit(0 if good else 1)


def _print_plan(settings: object, runs: Path, as_json: bool) -> None:
    from burnish.recipes.planning import plan_improve

    plan = plan_improve(settings, runs)
    if as_json:
        print_json(plan.to_dict())
    else:
        print(plan.sentence())


def _print_result(result: dict) -> None:
    from burnish.report.pages import page_from_json
    from burnish.report.text import page_as_text

    page = page_from_json(result["page"])
    print(page_as_text(page))
    print(f"run:    {result['run']}")
    print(f"model:  {result['model']}")
    print(f"report: {result['run']}/report/index.html")
    print(f'next:   burnish generate {result["model"]} "your prompt" --chat')
