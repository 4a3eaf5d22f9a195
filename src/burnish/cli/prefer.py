"""`burnish prefer`: what preferences teach about length, and alignment that does not learn it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from burnish.cli.options import AsJson, Config, Precision, Sets, print_json

if TYPE_CHECKING:
    from burnish.models.load import Model
    from burnish.prefer.measure import Scores
    from burnish.prefer.pairs import Pair

app = typer.Typer(
    help="Audit preference pairs for length, and align a model with them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

PairsArgument = Annotated[
    Path, typer.Argument(help="Rows of prompt, chosen, rejected (.jsonl, .json or .parquet).")
]
ModelArgument = Annotated[str, typer.Argument(help="Embedded name, folder, GGUF file or hub name.")]
ModelOption = Annotated[str, typer.Option("--model", help="Whose tokens and margins: as above.")]
ReferenceOption = Annotated[
    str | None, typer.Option("--reference", help="Take log-likelihood ratios against this model.")
]


@app.command()
def audit(
    pairs: PairsArgument,
    model: ModelOption = "smollm2-135m",
    score: Annotated[int, typer.Option(help="Also score this many pairs with the model.")] = 0,
    reference: ReferenceOption = None,
    sets: Sets = [],  # noqa: B006 - typer copies it
    precision: Precision = "fp32",
    as_json: AsJson = False,
) -> None:
    """What the PAIRS teach about length, and which rows cannot be used.

    Exit status 1: some rows have problems. Settings: template, max_length_tokens.
    """
    from burnish.models.load import load_model
    from burnish.prefer.audit import audit_pairs
    from burnish.prefer.measure import measure_margins
    from burnish.prefer.reading import read_pairs

    network = load_model(model, precision=precision)
    found = read_pairs(pairs, network, _pair_settings(sets))
    result = {"pairs": str(pairs), "model": model} | audit_pairs(found).to_dict()
    result["margins"] = None
    if score:
        scores = _scores(network, found.pairs[:score], reference, precision)
        result["margins"] = measure_margins(scores).to_dict()
    if as_json:
        print_json(result)
    else:
        _print_audit(result)
    raise typer.Exit(1 if result["num_problems"] else 0)


@app.command()
def curve(
    pairs: PairsArgument,
    model: ModelOption = "smollm2-135m",
    reference: ReferenceOption = None,
    limit: Annotated[int, typer.Option(help="Score only the first pairs; 0: all.")] = 0,
    sets: Sets = [],  # noqa: B006
    precision: Precision = "fp32",
    as_json: AsJson = False,
) -> None:
    """How margins follow length for every alpha, and the length-neutral alpha.

    Give a trained model with --model, and what it was trained from with --reference; without a
    reference, margins are plain log-likelihoods.
    """
    from burnish.models.load import load_model
    from burnish.prefer.audit import check_enough
    from burnish.prefer.curve import alpha_curve
    from burnish.prefer.reading import read_pairs

    network = load_model(model, precision=precision)
    found = read_pairs(pairs, network, _pair_settings(sets))
    check_enough(found.pairs, len(found.problems))
    scores = _scores(network, found.pairs[: limit or None], reference, precision)
    told = {"pairs": str(pairs), "model": model, "reference": reference}
    result = told | alpha_curve(scores).to_dict()
    if as_json:
        print_json(result)
    else:
        _print_curve(result)


@app.command()
def train(
    model: ModelArgument,
    pairs: PairsArgument,
    out: Annotated[Path, typer.Option(help="Run folder; the model is put inside.")],
    loss: Annotated[
        str | None,
        typer.Option(help="dpo, ld-dpo (default), simpo, r-dpo, sampo, ipo, norm-dpo or dpop."),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="LD-DPO: weight of tokens past the public length.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of training. [default: an epoch]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random choice.")] = None,
    config: Config = None,
    sets: Sets = [],  # noqa: B006
    precision: Precision = "fp32",
    as_json: AsJson = False,
) -> None:
    """Align MODEL with PAIRS; measure margins and answer lengths; write a report.

    Killed, the same command goes on where it stopped. Other settings, for example:
    --set loss.beta=0.05 --set train.method=full --set train.learning_rate=1e-6
    """
    from burnish.base.settings import load_settings
    from burnish.prefer.settings import PreferSettings
    from burnish.recipes.preferring import train_preferences

    named = {"loss.name": loss, "loss.alpha": alpha, "train.num_steps": steps, "train.seed": seed}
    said = [f"{name}={value}" for name, value in named.items() if value is not None]
    result = train_preferences(
        model,
        pairs,
        load_settings(PreferSettings, config=config, overrides=[*sets, *said]),
        folder=out,
        precision=precision,
        command=["burnish", *sys.argv[1:]],
    )
    if as_json:
        print_json({name: value for name, value in result.items() if name != "page"})
    else:
        _print_training(result)


def _pair_settings(sets: list[str]) -> Any:
    from burnish.base.settings import load_settings
    from burnish.prefer.settings import PairSettings

    return load_settings(PairSettings, overrides=sets)


def _scores(
    model: "Model", pairs: "tuple[Pair, ...]", reference: str | None, precision: str
) -> "Scores":
    from burnish.base.files import cache_folder
    from burnish.models.load import load_model
    from burnish.prefer.measure import score_pairs
    from burnish.prefer.reference import ReferenceCache

    if reference is None:
        return score_pairs(model.network, pairs)
    other = load_model(reference, precision=precision).network
    known = ReferenceCache(cache_folder() / "preferences", other)
    known.fill(other, pairs)
    return score_pairs(model.network, pairs, reference=known)


def _print_audit(result: Mapping[str, Any]) -> None:
    from burnish.report.text import table_as_text

    intervals = result["intervals"]
    rows = [[name, *(one[part] for part in ("value", "low", "high"))]
            for name, one in intervals.items()]  # fmt: skip
    counts = ("num_pairs", "truncated", "missing_end", "num_undecided", "num_problems")
    rows += [[name, result[name], "", ""] for name in counts]
    print(table_as_text(["what", "value", "low", "high"], rows))
    _print_margins(result["margins"])
    for problem in result["problems"]:
        print(f"row {problem['row']} {problem['problem']}, got {problem['got']}")
    print(f"next: burnish prefer train {result['model']} {result['pairs']} --out runs/aligned")


def _print_margins(margins: Mapping[str, Any] | None) -> None:
    from burnish.report.text import table_as_text

    if margins is None:
        return
    named = {f"accuracy, {name}": one for name, one in margins["strata"].items()}
    named |= {n: one for n, one in margins.items() if isinstance(one, dict) and "value" in one}
    rows = [[n, *(one[part] for part in ("value", "low", "high", "n"))]
            for n, one in named.items() if one is not None]  # fmt: skip
    print(table_as_text(["margins", "value", "low", "high", "n"], rows))


def _print_curve(result: Mapping[str, Any]) -> None:
    from burnish.report.text import table_as_text

    lines = zip(result["alpha"], result["intervals"]["slope"], result["accuracy"], strict=True)
    rows = [[alpha, one["value"], one["low"], one["high"], right] for alpha, one, right in lines]
    print(table_as_text(["alpha", "slope", "low", "high", "accuracy"], rows))
    neutral = result["intervals"]["length_neutral_alpha"]
    outside = " (the line is not zero within [0, 1])" if result["clipped"] else ""
    print(
        f"length-neutral alpha: {neutral['value']:.3f} "
        f"[{neutral['low']:.3f}, {neutral['high']:.3f}]{outside}"
    )
    alpha = round(neutral["value"], 2)
    print(f"next: burnish prefer train {result['reference'] or result['model']} "
          f"{result['pairs']} --alpha {alpha} --out runs/aligned")  # fmt: skip


def _print_training(result: Mapping[str, Any]) -> None:
    from burnish.report.pages import page_from_json
    from burnish.report.text import page_as_text

    print(page_as_text(page_from_json(result["page"])))
    print(f"run:    {result['run']}")
    print(f"model:  {result['model']}")
    print(f"report: {result['run']}/report/index.html")
    print(f"next:   burnish prefer curve {result['pairs']} --model {result['model']} "
          f"--reference {result['base']}")  # fmt: skip
