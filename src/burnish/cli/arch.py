"""`burnish arch`: models of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli import arch_pairs
from burnish.cli.options import (
    ModelArgument,
    Precision,
    Sets,
    job_options,
    place_options,
    settings_from,
    table,
)
from burnish.cli.verbs import Commands, Outcome

commands = Commands(
    "arch",
    help="Train small models from text; show what models cost.",
    more=arch_pairs.commands,
)

LAYER_DIGITS = 3  # a size of so few digits is a number of layers: no model has 999 parameters

Corpus = Annotated[
    str | None,
    typer.Option(help="File, folder, stdlib, hub:name=... or a mixture a.txt:0.7,b.jsonl:0.3."),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "--run", help="Run folder; new: start another run. [default: by the settings]"
    ),
]


@commands.command()
def pretrain(
    corpus: Corpus = None,
    params: Annotated[
        str | None,
        typer.Option(
            "--params", "--depth", help="Size: 3M or 500k, or 6 layers 64 wide each. [default: 3M]"
        ),
    ] = None,
    block: Annotated[
        str | None,
        typer.Option(help="dense, moe:experts=8,top_k=2 or pcformer:order=2. [default: dense]"),
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Continue to train this model.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="JSON with n, d, batch_tokens, lr, steps.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget: minutes of training.")] = None,
    tokens: Annotated[
        str | None, typer.Option(help="Budget: 20M. [default: 20 per parameter]")
    ] = None,
    set: Sets = [],  # noqa: B006 - typer copies it
    out: Out = None,
) -> Outcome:
    """Train a model on texts, measure it on held-out documents, and write a report.

    Everything else follows from the size, is printed with its source, and can be set, for example:
    --set vocab=4096 --set context=256 --set optimizer=adamw --set schedule=wsd --set seed=1.
    Interrupted runs resume when you repeat the command.
    """
    from burnish.arch.pretrain_job import pretrain as run
    from burnish.arch.settings import PretrainSettings

    layers = (
        params if params is not None and params.isdecimal() and len(params) <= LAYER_DIGITS else ""
    )
    flags = {"corpus": corpus, "block": block, "base": from_, "minutes": minutes, "tokens": tokens}
    flags |= {"depth": int(layers) if layers else None, "params": None if layers else params}
    settings = settings_from(PretrainSettings, sets=set, flags=flags)
    result = run(settings, plan=plan, **job_options(Path("runs"), out))
    words = f"burnish generate {result['model']} 'Once' --max-new-tokens 40"
    return Outcome(result=result, next_command=words)


@commands.command()
def compare(
    blocks: Annotated[
        str | None, typer.Option(help="Two blocks or more: dense,pcformer:order=2.")
    ] = None,
    corpus: Corpus = None,
    params: Annotated[str | None, typer.Option(help="Size of each model. [default: 1M]")] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget of each run: minutes.")] = None,
    tokens: Annotated[str | None, typer.Option(help="Budget of each run: 1M tokens.")] = None,
    set: Sets = [],  # noqa: B006 - typer copies it
    out: Out = None,
) -> Outcome:
    """Train several blocks on the same text, and compare them at equal cost.

    Every block tries the same learning rates with one seed, and its best with two more. One table
    has the losses at equal parameters, equal FLOPs and equal seconds.
    Interrupted runs resume when you repeat the command.
    """
    from burnish.arch.compare_job import compare as run
    from burnish.arch.compare_settings import CompareSettings
    from burnish.jobs.job import Place

    flags = {"blocks": blocks, "corpus": corpus, "params": params}
    flags |= {"minutes": minutes, "tokens": tokens}
    settings = settings_from(CompareSettings, sets=set, flags=flags)
    result = run(settings, Place(**job_options(Path("runs"), out)))
    return Outcome(result=result, next_command=f"burnish report show {result['run']}")


@commands.command()
def upcycle(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="Folder to write the model into.")],
    block: Annotated[
        str, typer.Option(help="moe:experts=N,top_k=K,shared=WIDTH or pcformer:order=N,beta=B.")
    ] = "moe:experts=8,top_k=2",
    precision: Precision = "fp32",
    seed: Annotated[int, typer.Option(help="Seed of the routers.")] = 0,
) -> Outcome:
    """Write MODEL with other blocks and unchanged logits, ready for training.

    `moe` makes a mixture of experts of a dense model; `pcformer` gives each layer a
    predictor-corrector solver, blended in from beta (0: exactly the same model).
    """
    from burnish.arch.blocks import blocks
    from burnish.arch.blocks.moe import MoEBlock
    from burnish.arch.blocks.pcformer import PCformerBlock
    from burnish.arch.upcycle_experts import upcycle as make
    from burnish.arch.upcycle_solver import upcycle_solver
    from burnish.base.errors import SettingError
    from burnish.models.load import load_model
    from burnish.models.save import save_model

    if out.exists():
        remedy = "Name a folder that does not exist yet"
        raise SettingError("--out", str(out), "must not exist", remedy=remedy)
    parsed = blocks.parse(block)
    if not isinstance(parsed, MoEBlock | PCformerBlock):
        remedy = "Write moe:experts=8 or pcformer:order=2"
        raise SettingError("--block", block, "must be moe or pcformer", remedy=remedy)
    loaded = load_model(model, **place_options(precision, "cpu"))
    if isinstance(parsed, PCformerBlock):
        upcycled = upcycle_solver(loaded, parsed)
    else:
        upcycled = make(loaded, parsed, seed=seed)
    written = save_model(upcycled.model, out)
    result = {"from": model, "block": blocks.spec(parsed), **upcycled.facts, "model": str(written)}
    return Outcome(
        result=result,
        text=lambda: table(["what", "value"], [[k, str(v)] for k, v in result.items()]),
        next_command=f"burnish models show {written}",
    )


@commands.command()
def show(model: ModelArgument) -> Outcome:
    """Print total and active parameters, FLOPs and KV bytes per token of MODEL."""
    from burnish.models.describe import describe

    facts = describe(model)
    return Outcome(
        result=facts,
        text=lambda: table(["what", "value"], [[k, str(v)] for k, v in facts.items()]),
        next_command=f"burnish generate {model} 'Once'",
    )


@commands.command()
def audit(
    model: ModelArgument,
    tokens: Annotated[int, typer.Option(help="Tokens to write greedily.")] = 64,
    prompt: Annotated[str, typer.Option(help="Text to continue.")] = "Once upon a time",
    precision: Precision = "fp32",
) -> Outcome:
    """Check that MODEL decodes with a cache exactly as without one.

    Writes tokens with a cache, then reads the text in one pass and in chunks of 1, 3 and 7 tokens.
    For a model with a solver, the cache of the released code is measured too.
    Exit status 1: they differ.
    """
    from burnish.arch.cache_audit import audit as check
    from burnish.base.errors import SettingError
    from burnish.models.load import load_model

    if tokens < 1:
        raise SettingError("--tokens", tokens, "must be positive", remedy="Write --tokens 64")
    loaded = load_model(model, **place_options(precision, "cpu"))
    ids = loaded.tokenizer(prompt)["input_ids"]
    if not ids:
        raise SettingError("--prompt", prompt, "must contain a token", remedy="Write a word")
    found = check(loaded, ids, num_tokens=tokens)
    return Outcome(
        result={"model": model, **found.numbers},
        exit_code=0 if found.equal else 1,
        text=lambda: table(["what", "value"], [[k, str(v)] for k, v in found.numbers.items()]),
        next_command=f"burnish generate {model} 'Once'",
    )
