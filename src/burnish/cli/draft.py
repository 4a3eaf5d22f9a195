"""`burnish draft`: train a drafter, plan whether it pays here, and measure that it does."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli.options import AsJson, Precision, Runs, Sets, print_json

app = typer.Typer(
    help="Several tokens a pass with the text unchanged (FIRP, arXiv 2410.20488).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ModelArgument = Annotated[str, typer.Argument(help="Embedded name, folder, GGUF file or hub name.")]
Weights = Annotated[str, typer.Option(help="File of `draft train`. [default: what ships]")]
Folder = Annotated[
    Path | None, typer.Option("--run", help="Run folder. [default: found by the settings]")
]


@app.command()
def train(
    model: ModelArgument = "smollm2-135m",
    prompts: Annotated[str, typer.Option(help="Prompts (.jsonl) for the model to answer.")] = "",
    answers: Annotated[str, typer.Option(help="answers.jsonl of an earlier run instead.")] = "",
    drafter: Annotated[str, typer.Option(help="firp or medusa.")] = "firp",
    sets: Sets = [],  # noqa: B006 - typer copies it
    precision: Precision = "auto",
    runs: Runs = Path("runs"),
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Train a drafter for MODEL on its own answers; the model itself stays as it is.

    Settings: --set fit.entries=[20,20,20], fit.epochs, fit.learning_rate, distil.max_prompts ...
    Killed, the same command goes on where it stopped.
    """
    from burnish.base.files import existing_file
    from burnish.base.runs import open_run
    from burnish.base.settings import load_settings
    from burnish.draft.train import DistilSettings, TrainDraftSettings, train_drafter
    from burnish.models.load import load_model

    base = TrainDraftSettings(
        model=model,
        precision=precision,
        distil=DistilSettings(prompts=prompts, answers=answers),
    )
    overrides = [f"fit.kind={drafter}", *sets]
    settings = load_settings(TrainDraftSettings, base=base, overrides=overrides)
    for path in filter(None, (settings.distil.prompts, settings.distil.answers)):
        existing_file(path)  # before a run is begun
    network = load_model(settings.model, precision=settings.precision)
    given, command = dataclasses.asdict(settings), ["burnish", *sys.argv[1:]]
    with open_run(
        "draft-train",
        settings=given,
        seed=settings.fit.seed,
        root=runs,
        folder=folder,
        command=command,
    ) as run:
        result = train_drafter(run, network, settings) | {"run": str(run.path)}
        run.save_result(result)
    if as_json:
        print_json(result)
    else:
        _print_trained(result, model, drafter)


@app.command()
def plan(
    model: ModelArgument = "smollm2-135m",
    weights: Weights = "",
    prompts: Annotated[str, typer.Option(help="Measure acceptance on these (.jsonl), here.")] = "",
    limit: Annotated[int, typer.Option(help="Prompts of the file to answer; 0: all.")] = 16,
    temperature: Annotated[float, typer.Option(help="Of those answers; 0 is greedy.")] = 0.0,
    precision: Precision = "auto",
    batch: Annotated[int, typer.Option(help="Texts decoded together.")] = 1,
    context: Annotated[int, typer.Option(help="Tokens before the measured steps.")] = 256,
    repeats: Annotated[int, typer.Option(help="Measurements of each kind of step.")] = 9,
    as_json: AsJson = False,
) -> None:
    """Measure steps here, and say whether drafting pays for MODEL, and how.

    Without --prompts acceptance is that of the answers held out when the drafter was trained.
    Exit status 1: plain decoding is as fast, or an alarm was raised.
    """
    from burnish.draft.acceptance import Use
    from burnish.draft.bench import stratified
    from burnish.draft.plan import plan_drafts
    from burnish.models.load import load_model

    use = None
    if prompts:
        use = Use(prompts=stratified(Path(prompts), limit), temperature=temperature)
    network = load_model(model, precision=precision)
    found = plan_drafts(
        network,
        weights=weights,
        use=use,
        batch_size=batch,
        context_tokens=context,
        repeats=repeats,
    )
    if as_json:
        print_json({"model": model, "precision": precision, **found.to_dict()})
    else:
        _print_plan(found, model)
    raise typer.Exit(1 if found.alarms or found.choice == "plain" else 0)


@app.command()
def bench(
    model: ModelArgument = "smollm2-135m",
    prompts: Annotated[str, typer.Option(help="Prompts (.jsonl), with categories or not.")] = "",
    limit: Annotated[int, typer.Option(help="Prompts, equal shares a category; 0: all.")] = 60,
    drafters: Annotated[
        list[str],
        typer.Option("--drafter", help="NAME, or NAME=SPEC; may be repeated. [default: all]"),
    ] = [],  # noqa: B006
    max_new_tokens: Annotated[int, typer.Option(help="Tokens to write, greedily.")] = 128,
    repeats: Annotated[int, typer.Option(help="Measurements of each prompt.")] = 1,
    precision: Precision = "auto",
    runs: Runs = Path("runs"),
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Measure drafters against plain decoding on the same prompts, taking turns.

    Exit status 1: a drafted text was not identical to the plain one. Killed, the same command
    goes on where it stopped.
    """
    from burnish.base.files import existing_file
    from burnish.base.runs import open_run
    from burnish.draft.measure import BenchSettings, measure_drafters
    from burnish.models.load import load_model

    settings = BenchSettings(
        model=model,
        prompts=prompts,
        limit=limit,
        drafters=tuple(drafters),
        max_new_tokens=max_new_tokens,
        repeats=repeats,
        precision=precision,
    )
    existing_file(prompts)  # before a run is begun
    network = load_model(model, precision=precision)
    given, command = dataclasses.asdict(settings), ["burnish", *sys.argv[1:]]
    with open_run(
        "draft-bench", settings=given, seed=0, root=runs, folder=folder, command=command
    ) as run:
        result = measure_drafters(run, network, settings)
        run.save_result(result)
    if as_json:
        print_json({name: value for name, value in result.items() if name != "page"})
    else:
        _print_bench(result)
    raise typer.Exit(0 if result["all_identical"] else 1)


def _print_trained(result: dict[str, Any], model: str, drafter: str) -> None:
    from burnish.report.text import table_as_text

    rows = [
        [f"+{i}", f"{top1['value']:.1%} [{top1['low']:.1%}, {top1['high']:.1%}]",
         f"{top4['value']:.1%}"]
        for i, (top1, top4) in enumerate(zip(result["top1"], result["top4"], strict=True), 1)
    ]  # fmt: skip
    print(table_as_text(["offset", "top-1, held out", "top-4"], rows))
    print(f"tokens per pass by nodes: {result['tokens_per_pass']}")
    print(f"run:     {result['run']}\nweights: {result['weights']}")
    print(f"next:    burnish draft plan {model} --weights {result['weights']}")


def _print_plan(found: Any, model: str) -> None:
    from burnish.report.text import table_as_text

    rows = [
        [option.spec, f"{option.step_s * 1e3:.1f}", f"{option.tokens_per_pass:.2f}",
         f"{option.speedup:.2f}x"]
        for option in found.options
        if not option.rough
    ]  # fmt: skip
    rows.append(["plain", f"{found.plain_step_s * 1e3:.1f}", "1.00", "1.00x"])
    print(table_as_text(["way", "ms a step", "tokens a step", "predicted"], rows))
    if found.probe_tokens_per_pass is not None:
        print(f"probe: {found.probe_tokens_per_pass:.2f} tokens a step, decoded here and now")
    for alarm in found.alarms:
        print(f"alarm: {alarm}", file=sys.stderr)
    print(found.sentence())
    print(f"next: burnish draft bench {model} --prompts FILE.jsonl --limit 12")


def _print_bench(result: dict[str, Any]) -> None:
    from burnish.report.pages import page_from_json
    from burnish.report.text import page_as_text

    print(page_as_text(page_from_json(result["page"])))
    print(f"run:  {result['run']}")
    print(f"next: burnish report show {result['run']}")
