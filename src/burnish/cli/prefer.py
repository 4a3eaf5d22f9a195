"""`burnish prefer`: what preferences teach about length, and alignment that does not learn it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from burnish.cli.options import (
    Config,
    Device,
    ModelArgument,
    Runs,
    Sets,
    job_options,
    place_options,
    settings_from,
    table,
)
from burnish.cli.verbs import Commands, Outcome

commands = Commands(
    "prefer", help="Audit preference pairs for length, and align a model with them."
)

PairsArgument = Annotated[
    Path,
    typer.Argument(help="Rows of prompt, chosen, rejected (.jsonl, .json, .parquet), or a run."),
]
ModelOption = Annotated[
    str, typer.Option("--model", help="Model that tokenizes and scores the pairs.")
]
ReferenceOption = Annotated[
    str | None, typer.Option("--reference", help="Reference model of the log-likelihood ratios.")
]
Precision = Annotated[str | None, typer.Option(help="fp32 (the default), bf16 or auto.")]
RunFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", "--run", help="Run folder; new: start another run. [default: by the settings]"
    ),
]


@commands.command()
def audit(
    pairs: PairsArgument,
    model: ModelOption = "smollm2-135m",
    score: Annotated[int, typer.Option(help="Also score this many pairs with the model.")] = 0,
    reference: ReferenceOption = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006 - typer copies it
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Measure how much longer the chosen answers of PAIRS are; list rows that cannot be used.

    Settings: template, max_length_tokens. Exit status 1: some rows have problems.
    """
    from burnish.prefer.commands import audit_file
    from burnish.prefer.length_audit import check_enough_pairs
    from burnish.prefer.settings import PairSettings

    settings = settings_from(PairSettings, config=config, sets=set, flags={})
    place = place_options(precision, device)
    given: dict[str, Any] = {"model": model, "num_scored": score, "reference": reference}
    result = audit_file(pairs, settings, **given, **place)
    return Outcome(
        result=result,
        text=lambda: _audit_text(result),
        next_command=f"burnish prefer train {model} {pairs} --out runs/aligned"
        if result["num_pairs"] > 1
        else "",
        exit_code=1 if result["num_problems"] else 0,
        check=lambda: check_enough_pairs(result["num_pairs"], result["num_problems"]),
    )


@commands.command()
def curve(
    pairs: PairsArgument,
    model: ModelOption = "smollm2-135m",
    reference: ReferenceOption = None,
    limit: Annotated[int, typer.Option(help="Score only the first pairs; 0: all.")] = 0,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Measure how margins depend on length for every alpha; find the length-neutral alpha.

    Give a trained model as --model, and the model that it was trained from as --reference;
    without a reference, margins are plain log-likelihoods.
    """
    from burnish.prefer.commands import curve_file
    from burnish.prefer.settings import PairSettings

    settings = settings_from(PairSettings, config=config, sets=set, flags={})
    place = place_options(precision, device)
    result = curve_file(pairs, settings, model=model, limit=limit, reference=reference, **place)
    alpha = round(result["intervals"]["length_neutral_alpha"]["value"], 2)
    words = f"burnish prefer train {reference or model} {pairs} --alpha {alpha} --out runs/aligned"
    return Outcome(result=result, text=lambda: _curve_text(result), next_command=words)


@commands.command()
def train(
    model: ModelArgument,
    pairs: PairsArgument,
    loss: Annotated[
        str | None,
        typer.Option(help="dpo, ld-dpo (default), simpo, r-dpo, sampo, ipo, norm-dpo or dpop."),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="LD-DPO: weight of tokens past the public length.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps. [default: one epoch]")] = None,
    config: Config = None,
    set: Sets = [],  # noqa: B006
    runs: Runs = Path("runs"),
    out: RunFolder = None,
    device: Device = None,
    precision: Precision = None,
) -> Outcome:
    """Align MODEL with PAIRS, measure margins and answer lengths, and write a report.

    Interrupted runs resume when you repeat the command. Other settings, for example:
    --set loss.beta=0.05 --set train.method=full --set train.seed=1
    """
    from burnish.prefer.settings import PreferTrainSettings
    from burnish.recipes.preferring import train_preferences

    flags = {"loss.name": loss, "loss.alpha": alpha, "train.num_steps": steps}
    flags |= {"device": device, "precision": precision}
    settings = settings_from(PreferTrainSettings, config=config, sets=set, flags=flags)
    result = train_preferences(model, pairs, settings, **job_options(runs, out))
    words = f"burnish prefer curve {pairs} --model {result['model']} --reference {model}"
    return Outcome(result=result, next_command=words)


def _audit_text(result: Mapping[str, Any]) -> str:
    intervals = result.get("intervals", {})  # none with fewer than two pairs
    rows = [[name, *(one[part] for part in ("value", "low", "high"))]
            for name, one in intervals.items()]  # fmt: skip
    counts = ("num_pairs", "truncated", "missing_end", "num_undecided", "num_problems")
    rows += [[name, result[name], "", ""] for name in counts if name in result]
    parts = [table(["what", "value", "low", "high"], rows)]
    if (margins := result["margins"]) is not None:
        parts.append(_margins_text(margins))
    parts += [
        f"row {problem['row']} {problem['problem']}, got {problem['got']}"
        for problem in result["problems"]
    ]
    return "\n".join(parts)


def _margins_text(margins: Mapping[str, Any]) -> str:
    named = {f"accuracy, {name}": one for name, one in margins["strata"].items()}
    named |= {n: one for n, one in margins.items() if isinstance(one, dict) and "value" in one}
    rows = [[n, *(one[part] for part in ("value", "low", "high", "n"))]
            for n, one in named.items() if one is not None]  # fmt: skip
    return table(["margins", "value", "low", "high", "n"], rows)


def _curve_text(result: Mapping[str, Any]) -> str:
    lines = zip(result["alpha"], result["intervals"]["slope"], result["accuracy"], strict=True)
    rows = [[alpha, one["value"], one["low"], one["high"], right] for alpha, one, right in lines]
    neutral = result["intervals"]["length_neutral_alpha"]
    outside = " (the line does not cross zero within [0, 1])" if result["clipped"] else ""
    found = f"{neutral['value']:.3f} [{neutral['low']:.3f}, {neutral['high']:.3f}]{outside}"
    told = table(["alpha", "slope", "low", "high", "accuracy"], rows)
    return f"{told}\nlength-neutral alpha: {found}"
