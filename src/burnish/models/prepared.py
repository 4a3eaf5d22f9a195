"""A decoder's weights in the kernels' layout, cached and memory-mapped at the next start.

Full weights are stored too, for training and saving; generation does not touch their
pages, so the memory holds each weight once.
"""

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from burnish.base.canonical import content_hash
from burnish.base.files import cache_folder
from burnish.base.progress import say
from burnish.kernels import tiles
from burnish.kernels.tiles import Tiles
from burnish.models.cache import build_once
from burnish.models.decoder import Decoder
from burnish.models.mapped import read_mapped, write_mapped
from burnish.models.mlp import MLP
from burnish.models.products import Tiled
from burnish.models.weights import weight_files

FORM = 1  # of what is kept; raised when the layout of tiles changes
KEPT = 4  # models; those longest unused are removed
PARTS = ("joined", "out", "gates", "down")
HEAD = "head"


def prepared_folder(folder: Path) -> Path | None:
    """Where the prepared weights of a model's folder are kept; None where tiles do not run.

    Tiles are used here also where oneDNN multiplies many rows faster: they alone can be mapped.
    """
    if not tiles.usable(16):
        return None
    files = [file.resolve() for file in weight_files(folder)]
    facts = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    config = (folder / "config.json").read_text(encoding="utf-8")
    key = content_hash({"form": FORM, "files": facts, "config": config})
    return cache_folder() / "prepared" / key[:24]


def keep_prepared(decoder: Decoder, place: Path) -> bool:
    """Write what `load_prepared` maps; False where the disk or the memory has no room for it.

    Source: ours. Oracle: tests/models/test_prepared.py::test_prepared_equals_fused
    """
    whole = {f"whole/{name}": value for name, value in decoder.state_dict().items()}
    if decoder.shape.tied:
        del whole["whole/lm_head.weight"]
    num_bytes = 2 * sum(t.numel() * t.element_size() for t in whole.values())
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not decoder.may_pack() or shutil.disk_usage(place.parent).free < 2 * num_bytes:
            return False
        say(f"saving prepared weights for the next start ({num_bytes / 1e6:.0f} MB)")
        laid = {f"tiles/{name}": _laid(*linears) for name, linears in _groups(decoder).items()}
        build_once(place, lambda target: write_mapped(target, whole | laid))
        _drop_unused(place.parent)
    except OSError:  # StorageError is one
        return False
    return True


def load_prepared(decoder: Decoder, place: Path) -> None:
    """Give a decoder on the meta device the weights that `keep_prepared` wrote."""
    tensors = read_mapped(place)
    place.touch()
    state = _under(tensors, "whole/")
    if decoder.shape.tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    decoder.load_state_dict(state, assign=True)
    decoder.tie_weights()
    laid = _under(tensors, "tiles/")
    made = {name: _tiled(laid[name], *linears) for name, linears in _groups(decoder).items()}
    for index, layer in enumerate(decoder.model.each_layer()):
        attention, mlp = layer.self_attn, layer.mlp
        assert isinstance(mlp, MLP)
        parts = (made[f"{index}/{part}"] for part in PARTS)
        attention.fused, attention.o_proj.fast, mlp.fused, mlp.down_proj.fast = parts
    decoder.lm_head.fast = made[HEAD]
    decoder.join_layers()


def _groups(decoder: Decoder) -> dict[str, tuple[Any, ...]]:
    """The linear layers of each product, by the name that it is kept under."""
    found: dict[str, tuple[Any, ...]] = {HEAD: (decoder.lm_head,)}
    for index, layer in enumerate(decoder.model.each_layer()):
        attention, mlp = layer.self_attn, layer.mlp
        assert isinstance(mlp, MLP)
        found[f"{index}/joined"] = (attention.q_proj, attention.k_proj, attention.v_proj)
        found[f"{index}/out"] = (attention.o_proj,)
        found[f"{index}/gates"] = (mlp.gate_proj, mlp.up_proj)
        found[f"{index}/down"] = (mlp.down_proj,)
    return found


def _laid(*linears: Any) -> Tensor:
    weights = [linear.weight for linear in linears]
    return tiles.tile_whole(torch.cat(weights) if len(weights) > 1 else weights[0]).data


def _tiled(data: Tensor, *linears: Any) -> Tiled:
    biases = [linear.bias for linear in linears if linear.bias is not None]
    num_outputs = sum(linear.out_features for linear in linears)
    weight = Tiles(data=data, bits=16, size=linears[0].in_features, num_outputs=num_outputs)
    return Tiled(weight, torch.cat(biases) if biases else None)


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _drop_unused(folder: Path) -> None:
    places = sorted((p for p in folder.iterdir() if not p.name.startswith(".")),
                    key=lambda p: p.stat().st_mtime)  # fmt: skip
    for place in places[:-KEPT]:
        shutil.rmtree(place, ignore_errors=True)
