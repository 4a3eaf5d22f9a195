"""`burnish critique`: grade answers; build, filter, train and use critiques."""

from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli.options import (
    Config,
    ModelArgument,
    RunFolder,
    Runs,
    Sets,
    job_options,
    settings_from,
    table,
)
from burnish.cli.verbs import Commands, Outcome

commands = Commands(
    "critique",
    help="Grade answers; train critics that find the first wrong step, and revise with them.",
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


@commands.command()
def grade(
    gold: Annotated[str | None, typer.Option(help="The reference answer.")] = None,
    answer: Annotated[
        str | None, typer.Option(help="The answer, or a text that states it.")
    ] = None,
    jsonl: Annotated[Path | None, typer.Option(help="File with rows of gold and answer.")] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Largest relative difference of numbers. [default: exact]")
    ] = None,
    launcher: Annotated[
        str, typer.Option(help="For --jsonl: serial, processes or ray.")
    ] = "serial",
) -> Outcome:
    """Grade an answer against a reference: right, wrong, unreadable or unscored.

    Exit status 1: not right; with --jsonl, a row whose correct differs from the verdict.
    """
    from burnish.base.errors import SettingError
    from burnish.critique.grading import grade_file, graded

    if jsonl is not None and gold is None and answer is None:
        found = grade_file(jsonl, tolerance=tolerance, launcher=launcher)
        wrong = bool(found.get("disagreements"))
        return Outcome(result=found, text=lambda: _rows_text(found), exit_code=int(wrong))
    if gold is None or answer is None or jsonl is not None:
        remedy = "Give --gold and --answer, or --jsonl"
        given = {"gold": gold, "answer": answer, "jsonl": jsonl and str(jsonl)}
        raise SettingError("grade", given, "needs one pair or one file", remedy=remedy)
    found = graded(gold, answer, tolerance=tolerance)
    return Outcome(
        result=found,
        text=lambda: table(["what", "value"], [[k, str(v)] for k, v in found.items()]),
        exit_code=0 if found["correct"] else 1,
    )


def _rows_text(found: dict[str, Any]) -> str:
    names = ("verdict", "gold_type", "answer_type", "span", "reason")
    rows = [[number, *(str(row[n]) for n in names)] for number, row in enumerate(found["rows"], 1)]
    right = f"{found['num_correct']} of {found['num']} right; verdicts: {found['verdicts']}"
    lines = [table(["row", *names], rows), right]
    if "disagreements" in found:
        differ = found["disagreements"] or "none"
        lines.append(f"rows that differ from their column correct: {differ}")
    return "\n".join(lines)


@commands.command()
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
    set: Sets = [],  # noqa: B006 - typer copies it
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Build flawed and right solutions of TASKS, with a critique of each.

    Errors are sampled, located after a right prefix, and inserted by type. RUN/triples.jsonl holds
    the critiques, RUN/processbench.jsonl the solutions with their first wrong step. More: --set
    flaws.num_inserted=4, wording.form=compact, flaws.right_frac=0.3.
    """
    from burnish.critique.build_job import build_critiques
    from burnish.critique.settings import CritiqueBuildSettings

    flags = {"tasks": tuple(tasks or ()), "model": model, "annotator": annotator, "limit": limit}
    settings = settings_from(CritiqueBuildSettings, config=config, sets=set, flags=flags)
    result = build_critiques(settings, _place(runs, run))
    return Outcome(result=result, next_command=f"burnish critique filter {result['run']}")


@commands.command(name="filter")
def filter_(
    triples: TriplesArgument,
    model: Annotated[str | None, typer.Option(help="The actor that refines.")] = None,
    kind: Annotated[str | None, typer.Option(help="counterfactual, rate or none.")] = None,
    refinements: Annotated[
        int | None, typer.Option(help="Refinements of each critique. [default: 10]")
    ] = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Keep the critiques of TRIPLES that help refinement more often than a placebo does.

    Critiques that reveal the reference answer are dropped (--set filter.leaks=mask or keep).
    """
    from burnish.critique.build_job import filter_critiques
    from burnish.critique.settings import CritiqueFilterSettings

    flags = {"triples": triples, "model": model, "filter.kind": kind}
    flags |= {"filter.num_refinements": refinements}
    settings = settings_from(CritiqueFilterSettings, config=config, sets=set, flags=flags)
    result = filter_critiques(settings, _place(runs, run))
    return Outcome(
        result=result, next_command=f"burnish critique train smollm2-135m {result['run']}"
    )


@commands.command()
def train(
    model: ModelArgument,
    triples: TriplesArgument,
    role: Annotated[
        str | None, typer.Option(help="critic (the default), actor, self-talk, step or trajectory.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps. [default: two epochs]")] = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Train MODEL to write the critiques of TRIPLES; measure it before and after on held-out ones.

    --role actor trains on worked answers and on revisions after a critique, with equal weight;
    self-talk on answers that check their steps and revise wrong ones, which are not learned; step
    and trajectory on the same corrections in place, and after the whole attempt.
    """
    from burnish.recipes.critic_settings import CriticTrainSettings
    from burnish.recipes.critic_training import train_critic

    flags = {"model": model, "triples": triples, "role": role, "train.num_steps": steps}
    settings = settings_from(CriticTrainSettings, config=config, sets=set, flags=flags)
    result = train_critic(settings, _place(runs, run))
    return Outcome(
        result=result, next_command=f"burnish critique refine {model} --critic {result['model']}"
    )


@commands.command()
def bench(
    model: ModelArgument,
    data: Annotated[
        str | None,
        typer.Argument(
            help="ProcessBench file, run of critique build, or source of chains to plant errors "
            "in. [default: chains of sums]",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Use only the first rows. [default: all]")
    ] = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Measure whether MODEL finds the first wrong step of the solutions in DATA.

    Prints the accuracy on solutions with an error and on right ones, their harmonic mean F1 as
    ProcessBench defines it, chance, and the share of critiques that can be parsed.
    RUN/processbench.jsonl holds the rows with critique and prediction. MODEL may be scripted, the
    program that verifies chains.
    """
    from burnish.critique.bench_job import bench_critic
    from burnish.critique.settings import CritiqueBenchSettings

    flags = {"model": model, "data": data, "limit": limit}
    settings = settings_from(CritiqueBenchSettings, config=config, sets=set, flags=flags)
    result = bench_critic(settings, _place(runs, run))
    return Outcome(result=result, next_command=f"burnish report show {result['run']}")


@commands.command()
def refine(
    model: ModelArgument,
    tasks: TasksArgument = None,
    critic: Critic = None,
    gate: Annotated[str | None, typer.Option(help="gated (the default), always or oracle.")] = None,
    scorer: Annotated[
        str | None,
        typer.Option(help="Chooses among answers: critic, a reward model's folder, or none."),
    ] = None,
    limit: Limit = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Answer TASKS, criticise and revise; compare with majority votes at equal tokens.

    Paths and rounds: --set refine.num_paths=16 --set refine.num_rounds=2. The oracle gate revises
    exactly the wrong answers, which is an upper bound. The first answers are also chosen by score:
    the best of K, and votes weighted by the critic's P(correct).
    """
    from burnish.critique.refine_job import refine_answers
    from burnish.critique.settings import CritiqueRefineSettings

    flags = {"model": model, "tasks": tuple(tasks or ()), "critic": critic}
    flags |= {"refine.gate": gate, "scorer": scorer, "limit": limit}
    settings = settings_from(CritiqueRefineSettings, config=config, sets=set, flags=flags)
    result = refine_answers(settings, _place(runs, run))
    return Outcome(result=result, next_command=f"burnish report show {result['run']}")


@commands.command()
def loop(
    model: ModelArgument,
    tasks: TasksArgument = None,
    critic: Critic = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds of sampling and training.")] = None,
    budget: Annotated[str | None, typer.Option(help="implicit (the default) or explicit.")] = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
) -> Outcome:
    """Train MODEL on its right answers to TASKS, and on wrong answers revised after a critique.

    Every round starts from MODEL. --critic none is rejection sampling (STaR, RFT) exactly.
    """
    from burnish.recipes.critic_loop import run_loop
    from burnish.recipes.critic_settings import CriticLoopSettings

    flags = {"model": model, "tasks": tuple(tasks or ()), "critic": critic}
    flags |= {"rounds": rounds, "budget": budget}
    settings = settings_from(CriticLoopSettings, config=config, sets=set, flags=flags)
    result = run_loop(settings, _place(runs, run))
    return Outcome(result=result, next_command=f"burnish report show {result['run']}")


def _place(runs: Path, folder: Path | None) -> Any:
    from burnish.jobs.job import Place

    return Place(**job_options(runs, folder))
