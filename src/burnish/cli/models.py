"""`burnish models`: what is embedded and cached, what a model costs, export."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import (
    ModelArgument,
    Precision,
    place_options,
    table,
)
from burnish.cli.verbs import Commands, Outcome

commands = Commands("models", help="List, fetch, count and export models.")


@commands.command("list")
def list_models() -> Outcome:
    """List embedded models, and whether they are in the cache."""
    from burnish.models.cache import EMBEDDED, embedded_folder

    rows = [
        {
            "name": name,
            "cached": embedded_folder(name).exists(),
            "download_bytes": model.num_bytes,
            "licence": model.licence,
            "package": f"{model.package} {model.version}",
            "folder": str(embedded_folder(name)),
        }
        for name, model in EMBEDDED.items()
    ]
    return Outcome(
        result={"models": rows},
        text=lambda: table(list(rows[0]), [list(row.values()) for row in rows]),
        next_command="burnish models get smollm2-135m",
    )


@commands.command()
def get(model: ModelArgument) -> Outcome:
    """Fetch and convert MODEL unless it is in the cache; print its folder."""
    from burnish.models.load import resolve_folder

    folder = str(resolve_folder(model))
    return Outcome(result={"model": model, "folder": folder}, text=lambda: folder)


@commands.command()
def show(model: ModelArgument) -> Outcome:
    """Print parameters, FLOPs and KV bytes per token of MODEL."""
    from burnish.models.describe import describe

    facts = describe(model)
    return Outcome(
        result=facts,
        text=lambda: table(["what", "value"], [[k, str(v)] for k, v in facts.items()]),
    )


@commands.command()
def export(
    model: ModelArgument,
    folder: Annotated[Path, typer.Argument(help="Folder to write the model into.")],
    precision: Precision = "fp32",
) -> Outcome:
    """Write MODEL as a Hugging Face folder (safetensors, config, tokenizer, chat template)."""
    from burnish.base.errors import SettingError
    from burnish.models.load import load_model
    from burnish.models.save import save_model

    if folder.exists():
        remedy = "Name a folder that does not exist yet"
        raise SettingError("folder", str(folder), "must not exist", remedy=remedy)
    network = load_model(model, **place_options(precision, "cpu"))
    written = str(save_model(network, folder))
    return Outcome(result={"model": model, "folder": written}, text=lambda: written)
