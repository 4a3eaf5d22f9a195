"""`burnish arch upcycle`: a dense checkpoint as a mixture of experts."""

from pathlib import Path
from typing import Annotated

import typer

from burnish.cli.options import AsJson, ModelArgument, Precision, place_options, show_result, table


def upcycle(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="Where the new model folder goes.")],
    block: Annotated[
        str, typer.Option(help="Experts, as moe:experts=N,top_k=K,shared=WIDTH.")
    ] = "moe:experts=8,top_k=2",
    precision: Precision = "fp32",
    seed: Annotated[int, typer.Option(help="Seed of the routers.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write dense MODEL as a mixture of experts with unchanged logits, ready for training."""
    from burnish.arch.blocks import blocks
    from burnish.arch.blocks.moe import MoEBlock
    from burnish.arch.upcycle import upcycle as make
    from burnish.base.errors import SettingError
    from burnish.models.load import load_model
    from burnish.models.save import save_model

    if out.exists():
        remedy = "Name a folder that does not exist yet"
        raise SettingError("--out", str(out), "must not exist", remedy=remedy)
    parsed = blocks.parse(block)
    if not isinstance(parsed, MoEBlock):
        raise SettingError("--block", block, "must be a moe block", remedy="Write moe:experts=8")
    upcycled = make(load_model(model, **place_options(precision, "cpu")), parsed, seed=seed)
    written = save_model(upcycled.model, out)
    result = {"from": model, "block": blocks.spec(parsed), **upcycled.facts, "model": str(written)}
    show_result(
        result,
        as_json=as_json,
        text=lambda: table(["what", "value"], [[k, str(v)] for k, v in result.items()]),
        next_command=f"burnish models show {written}",
    )
