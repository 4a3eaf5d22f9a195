"""`burnish draft`: train a drafter, plan whether it pays here, and measure that it does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli.options import (
    Config,
    Device,
    ModelArgument,
    OptionalModelArgument,
    Precision,
    RunFolder,
    Runs,
    Sets,
    job_options,
    place_options,
    settings_from,
    table,
)
from burnish.cli.verbs import Commands, Outcome

commands = Commands(
    "draft",
    help="Speculative decoding: several tokens per pass, the same text (FIRP, arXiv 2410.20488).",
)

Weights = Annotated[str, typer.Option(help="File of `draft train`. [default: bundled weights]")]


@commands.command()
def train(
    model: OptionalModelArgument = None,
    prompts: Annotated[
        str | None, typer.Option(help="Prompts (.jsonl) for the model to answer.")
    ] = None,
    answers: Annotated[
        str | None, typer.Option(help="answers.jsonl of an earlier run, instead of prompts.")
    ] = None,
    drafter: Annotated[str | None, typer.Option(help="firp (default) or medusa.")] = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006 - typer copies it
    runs: Runs = Path("runs"),
    run: RunFolder = None,
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Train a drafter for MODEL on its own answers; MODEL itself does not change.

    Interrupted runs resume when you repeat the command. Other settings, for example:
    --set fit.entries=[20,20,20] --set fit.epochs=2 --set distil.max_prompts=500
    """
    from burnish.draft.train_job import TrainDraftSettings, train_draft

    flags = {"model": model, "distil.prompts": prompts, "distil.answers": answers}
    flags |= {"fit.kind": drafter, "device": device, "precision": precision}
    settings = settings_from(TrainDraftSettings, config=config, sets=set, flags=flags)
    result = train_draft(settings, **job_options(runs, run))
    return Outcome(
        result=result,
        text=lambda: _trained_text(result),
        next_command=f"burnish draft plan {settings.model} --weights {result['weights']}",
    )


@commands.command()
def plan(
    model: ModelArgument = "smollm2-135m",
    weights: Weights = "",
    prompts: Annotated[
        str, typer.Option(help="Measure acceptance here, on these prompts (.jsonl).")
    ] = "",
    limit: Annotated[int, typer.Option(help="Number of these prompts; 0: all.")] = 16,
    temperature: Annotated[
        float, typer.Option(help="Temperature of the answers; 0 is greedy.")
    ] = 0.0,
    batch: Annotated[int, typer.Option(help="Texts decoded together.")] = 1,
    context: Annotated[int, typer.Option(help="Tokens before the measured steps.")] = 256,
    repeats: Annotated[int, typer.Option(help="Measurements of each kind of step.")] = 9,
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Measure decoding steps on this machine; report which drafter, if any, is faster for MODEL.

    Without --prompts, acceptance is that of the answers held out in training.
    Exit status 1: plain decoding is as fast, or there was an alarm.
    """
    from burnish.draft.acceptance import Use
    from burnish.draft.bench_cells import stratified
    from burnish.draft.planner import plan_drafts
    from burnish.models.load import load_model

    use = None
    if prompts:
        use = Use(prompts=stratified(Path(prompts), limit), temperature=temperature)
    network = load_model(model, **place_options(precision, device))
    found = plan_drafts(
        network,
        weights=weights,
        use=use,
        batch_size=batch,
        context_tokens=context,
        repeats=repeats,
    )
    return Outcome(
        result={"model": model, "precision": precision or "auto", **found.to_dict()},
        text=lambda: _plan_text(found),
        next_command=f"burnish draft bench {model} --prompts FILE.jsonl --limit 12",
        notes=tuple(f"alarm: {alarm}" for alarm in found.alarms),
        exit_code=1 if found.alarms or found.choice == "plain" else 0,
    )


@commands.command()
def bench(
    model: OptionalModelArgument = None,
    prompts: Annotated[
        str | None, typer.Option(help="Prompts (.jsonl), optionally with categories.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Number of prompts, equal for each category; 0: all. [default: 60]"),
    ] = None,
    drafter: Annotated[
        list[str],
        typer.Option("--drafter", help="NAME, or NAME=SPEC; repeatable. [default: all]"),
    ] = [],  # noqa: B006
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    run: RunFolder = None,
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Measure drafters against plain decoding on the same prompts, in turns.

    Interrupted runs resume when you repeat the command. Other settings: --set max_new_tokens=128
    --set repeats=3. Exit status 1: a drafted text differs from the plain one.
    """
    from burnish.draft.measure import BenchSettings, bench_drafts

    flags = {"model": model, "prompts": prompts, "limit": limit, "drafters": drafter}
    flags |= {"device": device, "precision": precision}
    settings = settings_from(BenchSettings, config=config, sets=set, flags=flags)
    result = bench_drafts(settings, **job_options(runs, run))
    words = f"burnish draft plan {settings.model} --prompts {settings.prompts}"
    return Outcome(result=result, next_command=words, exit_code=0 if result["all_identical"] else 1)


def _trained_text(result: Mapping[str, Any]) -> str:
    rows = [
        [f"+{i}", f"{top1['value']:.1%} [{top1['low']:.1%}, {top1['high']:.1%}]",
         f"{top4['value']:.1%}"]
        for i, (top1, top4) in enumerate(zip(result["top1"], result["top4"], strict=True), 1)
    ]  # fmt: skip
    passes = ", ".join(f"{n}: {value}" for n, value in result["tokens_per_pass"].items())
    told = table(["offset", "top-1, held out", "top-4"], rows)
    return f"{told}\ntokens per pass by number of nodes: {passes}"


def _plan_text(found: Any) -> str:
    rows = [
        [option.spec, f"{option.step_s * 1e3:.1f}", f"{option.tokens_per_pass:.2f}",
         f"{option.speedup:.2f}x"]
        for option in found.options
        if not option.rough
    ]  # fmt: skip
    rows.append(["plain", f"{found.plain_step_s * 1e3:.1f}", "1.00", "1.00x"])
    parts = [table(["method", "ms a step", "tokens per step", "predicted"], rows)]
    if found.probe_tokens_per_pass is not None:
        parts.append(f"probe: {found.probe_tokens_per_pass:.2f} tokens per step, decoded here now")
    return "\n".join([*parts, found.sentence()])
