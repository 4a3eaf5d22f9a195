"""`burnish critique`: grade answers; build, filter, train and use critiques."""

from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli.options import (
    AsJson,
    Config,
    ModelArgument,
    RunFolder,
    Runs,
    Sets,
    job_options,
    print_json,
    settings_from,
    show_result,
    table,
)

app = typer.Typer(
    help="Grade answers; train critics that find the first wrong step, and revise with them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

TasksArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Task sources or files. [default: chains of sums]", show_default=False),
]
TriplesArgument = Annotated[
    str, typer.Argument(help="Triples: a run of critique build or filter, or a .jsonl file.")
]
Critic = Annotated[
    str | None, typer.Option(help="A model, self, scripted (verifies steps) or none.")
]
Limit = Annotated[int | None, typer.Option(help="Use only the first tasks. [default: all]")]


@app.command()
def grade(
    gold: Annotated[str | None, typer.Option(help="The reference answer.")] = None,
    answer: Annotated[
        str | None, typer.Option(help="The answer, or a text that states it.")
    ] = None,
    jsonl: Annotated[Path | None, typer.Option(help="Rows of gold and answer instead.")] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Largest relative difference of numbers. [default: exact]")
    ] = None,
    launcher: Annotated[
        str, typer.Option(help="For --jsonl: serial, processes or ray.")
    ] = "serial",
    as_json: AsJson = False,
) -> None:
    """Grade an answer against a reference: right, wrong, unreadable or unscored.

    Exit status 1: not right; with --jsonl, a row whose correct differs from the verdict.
    """
    from burnish.base.errors import SettingError
    from burnish.critique.grading import grade_file, graded

    if jsonl is not None and gold is None and answer is None:
        found = grade_file(jsonl, tolerance=tolerance, launcher=launcher)
        _show_rows(found, as_json)
        raise typer.Exit(1 if found.get("disagreements") else 0)
    if gold is None or answer is None or jsonl is not None:
        remedy = "Give --gold and --answer, or --jsonl"
        given = {"gold": gold, "answer": answer, "jsonl": jsonl and str(jsonl)}
        raise SettingError("grade", given, "needs one pair or one file", remedy=remedy)
    found = graded(gold, answer, tolerance=tolerance)
    show_result(
        found,
        as_json=as_json,
        text=lambda: table(["what", "value"], [[k, str(v)] for k, v in found.items()]),
    )
    raise typer.Exit(0 if found["correct"] else 1)


def _show_rows(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    names = ("verdict", "gold_type", "answer_type", "span", "reason")
    rows = [[number, *(str(row[n]) for n in names)] for number, row in enumerate(found["rows"], 1)]
    print(table(["row", *names], rows))
    print(f"{found['num_correct']} of {found['num']} right; verdicts: {found['verdicts']}")
    if "disagreements" in found:
        print(f"rows that differ from their column correct: {found['disagreements'] or 'none'}")


@app.command()
def build(
    tasks: TasksArgument = None,
    model: Annotated[
        str | None, typer.Option(help="Samples flawed answers. [default: none]")
    ] = None,
    annotator: Annotated[
        str | None, typer.Option(help="Writes critiques: scripted (the default) or a model.")
    ] = None,
    limit: Limit = None,
    config: Config = None,
    sets: Sets = [],  # noqa: B006 - typer copies it
    runs: Runs = Path("runs"),
    out: RunFolder = None,
    as_json: AsJson = False,
) -> None:
    """Build flawed solutions of TASKS and critiques of them, with a share of right ones.

    Errors are sampled, located behind a right prefix, and inserted by type. RUN/triples.jsonl holds
    them, RUN/processbench.jsonl the solutions with their first wrong step. More: --set
    flaws.num_inserted=4, wording.form=compact, flaws.right_frac=0.3.
    """
    from burnish.critique.build_job import build_critiques
    from burnish.critique.settings import CritiqueBuildSettings

    flags = {"tasks": tuple(tasks or ()), "model": model, "annotator": annotator, "limit": limit}
    settings = settings_from(CritiqueBuildSettings, config=config, sets=sets, flags=flags)
    result = build_critiques(settings, _place(runs, out))
    _show(result, as_json, f"burnish critique filter {result['run']}")


@app.command(name="filter")
def filter_(
    triples: TriplesArgument,
    model: Annotated[str | None, typer.Option(help="The actor that refines.")] = None,
    kind: Annotated[str | None, typer.Option(help="counterfactual, rate or none.")] = None,
    refinements: Annotated[
        int | None, typer.Option(help="Refinements of each. [default: 10]")
    ] = None,
    config: Config = None,
    sets: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    out: RunFolder = None,
    as_json: AsJson = False,
) -> None:
    """Keep the critiques of TRIPLES whose refinements succeed more often than a placebo's.

    Critiques that tell the reference are dropped (--set filter.leaks=mask or keep).
    """
    from burnish.critique.build_job import filter_critiques
    from burnish.critique.settings import CritiqueFilterSettings

    flags = {"triples": triples, "model": model, "filter.kind": kind}
    flags |= {"filter.num_refinements": refinements}
    settings = settings_from(CritiqueFilterSettings, config=config, sets=sets, flags=flags)
    result = filter_critiques(settings, _place(runs, out))
    _show(result, as_json, f"burnish critique train smollm2-135m {result['run']}")


@app.command()
def train(
    model: ModelArgument,
    triples: TriplesArgument,
    role: Annotated[str | None, typer.Option(help="critic (the default) or actor.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps. [default: two epochs]")] = None,
    config: Config = None,
    sets: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    out: RunFolder = None,
    as_json: AsJson = False,
) -> None:
    """Train MODEL to write the critiques of TRIPLES, measured before and after on held-out ones.

    --role actor trains worked answers, and revisions that follow a critique, in equal weight.
    """
    from burnish.recipes.critic_settings import CriticTrainSettings
    from burnish.recipes.critic_training import train_critic

    flags = {"model": model, "triples": triples, "role": role, "train.num_steps": steps}
    settings = settings_from(CriticTrainSettings, config=config, sets=sets, flags=flags)
    result = train_critic(settings, _place(runs, out))
    _show(result, as_json, f"burnish critique refine {model} --critic {result['model']}")


@app.command()
def refine(
    model: ModelArgument,
    tasks: TasksArgument = None,
    critic: Critic = None,
    gate: Annotated[str | None, typer.Option(help="gated (the default), always or oracle.")] = None,
    limit: Limit = None,
    config: Config = None,
    sets: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    out: RunFolder = None,
    as_json: AsJson = False,
) -> None:
    """Answer TASKS, criticise and revise, and compare with plain votes at equal tokens.

    Paths and rounds: --set refine.num_paths=16 --set refine.num_rounds=2. The oracle gate revises
    what is wrong in truth: an upper bound.
    """
    from burnish.critique.refine_job import refine_answers
    from burnish.critique.settings import CritiqueRefineSettings

    flags = {"model": model, "tasks": tuple(tasks or ()), "critic": critic}
    flags |= {"refine.gate": gate, "limit": limit}
    settings = settings_from(CritiqueRefineSettings, config=config, sets=sets, flags=flags)
    result = refine_answers(settings, _place(runs, out))
    _show(result, as_json, f"burnish report show {result['run']}")


@app.command()
def loop(
    model: ModelArgument,
    tasks: TasksArgument = None,
    critic: Critic = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds of sampling and training.")] = None,
    budget: Annotated[str | None, typer.Option(help="implicit (the default) or explicit.")] = None,
    config: Config = None,
    sets: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    out: RunFolder = None,
    as_json: AsJson = False,
) -> None:
    """Train MODEL on its right answers to TASKS, and on revisions of wrong ones after a critique.

    Every round starts from MODEL. --critic none is rejection sampling (STaR, RFT) exactly.
    """
    from burnish.recipes.critic_loop import run_loop
    from burnish.recipes.critic_settings import CriticLoopSettings

    flags = {"model": model, "tasks": tuple(tasks or ()), "critic": critic}
    flags |= {"rounds": rounds, "budget": budget}
    settings = settings_from(CriticLoopSettings, config=config, sets=sets, flags=flags)
    result = run_loop(settings, _place(runs, out))
    _show(result, as_json, f"burnish report show {result['run']}")


def _place(runs: Path, out: Path | None) -> Any:
    from burnish.jobs.job import Place

    return Place(**job_options(runs, out))


def _show(result: dict[str, Any], as_json: bool, next_command: str) -> None:
    show_result(result, as_json=as_json, next_command=next_command)
