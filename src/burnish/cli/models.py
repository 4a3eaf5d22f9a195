"""`burnish models`: what is embedded and cached, what a model costs, export."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import AsJson, Precision, print_json

app = typer.Typer(
    help="List, fetch, count and export models.", no_args_is_help=True, rich_markup_mode=None
)

Model = Annotated[str, typer.Argument(help="Embedded name, folder, GGUF file or hub name.")]


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """Embedded models, and whether they are in the cache."""
    from burnish.models.cache import EMBEDDED, embedded_folder
    from burnish.report.text import table_as_text

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
    if as_json:
        print_json({"models": rows})
        return
    print(table_as_text(list(rows[0]), [list(row.values()) for row in rows]))
    print("next: burnish models get smollm2-135m")


@app.command()
def get(model: Model, as_json: AsJson = False) -> None:
    """Fetch and convert MODEL if it is not here yet; print its folder."""
    from burnish.models.load import resolve_folder

    folder = resolve_folder(model)
    if as_json:
        print_json({"model": model, "folder": str(folder)})
    else:
        print(folder)


@app.command()
def show(model: Model, as_json: AsJson = False) -> None:
    """Parameters, FLOPs and KV bytes per token of MODEL."""
    from burnish.models.describe import describe
    from burnish.report.text import table_as_text

    facts = describe(model)
    if as_json:
        print_json(facts)
    else:
        print(table_as_text(["what", "value"], [[k, str(v)] for k, v in facts.items()]))


@app.command()
def export(
    model: Model,
    folder: Annotated[Path, typer.Argument(help="Where the Hugging Face folder goes.")],
    precision: Precision = "fp32",
) -> None:
    """Write MODEL as a Hugging Face folder (safetensors, config, tokenizer, chat template)."""
    from burnish.base.errors import SettingError
    from burnish.models.load import load_model
    from burnish.models.save import save_model

    if folder.exists():
        remedy = "Name a folder that does not exist yet"
        raise SettingError("folder", str(folder), "must not exist", remedy=remedy)
    print(save_model(load_model(model, precision=precision, device="cpu"), folder))
