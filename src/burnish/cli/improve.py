"""`burnish improve`: the main job."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import (
    Config,
    Device,
    OptionalModelArgument,
    Precision,
    RunFolder,
    Runs,
    Sets,
    job_options,
    settings_from,
)
from burnish.cli.verbs import Commands, Outcome

commands = Commands()

Preset = Annotated[str, typer.Option(help="quick, laptop, workstation or cluster.")]
Tasks = Annotated[
    list[str],
    typer.Option(
        "--tasks",
        help="reasoning-gym:NAME?size=500, gsm8k:PATH, programs:PATH, graph:FOLDER, "
        "documents:PATH or a JSONL file; repeatable.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan of each step, and stop.")]


@commands.command()
def improve(
    model: OptionalModelArgument = None,
    preset: Preset = "laptop",
    tasks: Tasks = [],  # noqa: B006 - typer copies it
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
    device: Device = None,
    precision: Precision = None,
    dry_run: DryRun = False,
) -> Outcome:
    """Improve MODEL on checkable tasks, measure it before and after, and write a report.

    Interrupted runs resume when you repeat the command. Other settings, for example:
    --set seed=1 --set rounds=2, and for controls that are trained: --set controls=full.
    Exit status 1: no gain was shown, or a gate failed.
    """
    from burnish.recipes.settings import ImproveSettings
    from burnish.recipes.settings import preset as preset_settings

    flags = {"model": model, "tasks": tasks, "device": device, "precision": precision}
    base = preset_settings(preset, tasks)
    settings = settings_from(ImproveSettings, base=base, config=config, sets=set, flags=flags)
    if dry_run:
        from burnish.recipes.step_plan import dry_run as plan_steps

        plan, text = plan_steps(settings, runs)
        return Outcome(result=plan, text=lambda: text)
    from burnish.recipes.improve import improve as run_improve

    result = run_improve(settings, **job_options(runs, run))
    # a job whose steps leave a gate out has no such finding
    outcomes = {gate["name"]: gate["outcome"] for gate in result.get("gates", ())}
    good = outcomes.get("better", "pass") == "pass" and "fail" not in outcomes.values()
    return Outcome(
        result=result,
        next_command=f'burnish generate {result["model"]} "your prompt" --chat',
        exit_code=0 if good else 1,
    )


@commands.command()
def ablate(
    model: OptionalModelArgument = None,
    preset: Preset = "quick",
    tasks: Tasks = [],  # noqa: B006 - typer copies it
    only: Annotated[
        list[str], typer.Option("--only", help="Part to switch off; repeatable. [default: each]")
    ] = [],  # noqa: B006
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Run `improve`, then again without each of its parts, and report what each part adds.

    Stages that a part does not change are reused. A part is compared on the same held-out tasks,
    with a paired interval. More held-out tasks: --set split.heldout=1000.
    """
    from burnish.recipes.ablating import ablate as run_ablate
    from burnish.recipes.settings import ImproveSettings
    from burnish.recipes.settings import preset as preset_settings

    flags = {"model": model, "tasks": tasks, "device": device, "precision": precision}
    base = preset_settings(preset, tasks)
    settings = settings_from(ImproveSettings, base=base, config=config, sets=set, flags=flags)
    result = run_ablate(settings, only=only, **job_options(runs, run))
    return Outcome(result=result)
