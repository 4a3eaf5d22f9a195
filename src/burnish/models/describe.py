"""The facts of `burnish models show`, without loading weights if possible."""

from pathlib import Path
from typing import Any

from burnish.base.files import read_json
from burnish.models.config import decoder_config
from burnish.models.count import count
from burnish.models.load import read_config, resolve_folder


def describe(spec: str) -> dict[str, Any]:
    """Family, size, costs and window of a model.

    Models outside our decoder's families are counted by loading them on torch's meta device, and
    have no FLOPs, because their operations are unknown.
    Source: ours. Oracle: tests/models/test_count.py::test_params_equal_numel
    """
    folder = resolve_folder(spec)
    config = read_config(folder)
    facts: dict[str, Any] = {
        "model": spec,
        "folder": str(folder),
        "family": config.model_type,
        "max_position": getattr(config, "max_position_embeddings", None),
    }
    shape = decoder_config(config)
    if shape is not None:
        counted = count(shape)
        width = _element_bytes(folder)
        own = {"weight_bytes": counted.num_params * width}  # all experts lie in memory
        own |= {"kv_bytes_per_token": counted.kv_bytes_per_token(width)}
        return facts | {"engine": "decoder"} | counted.to_dict() | own
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
    return facts | {
        "engine": "adapter",
        "num_params": sum(parameter.numel() for parameter in network.parameters()),
        "num_embedding_params": network.get_input_embeddings().weight.numel(),
    }


def _element_bytes(folder: Path) -> int:
    """Width of a number in the folder's own dtype; four bytes where it names none."""
    given = read_json(folder / "config.json")
    return 2 if str(given.get("dtype") or given.get("torch_dtype")).endswith("16") else 4
