"""Write a model as a Hugging Face folder that transformers and vLLM load."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from burnish.base.errors import StorageError
from burnish.models.adapters import Adapter
from burnish.models.decoder import Decoder
from burnish.models.expert_weights import split_experts
from burnish.models.load import Model
from burnish.models.quick import whole_config
from burnish.models.remote_code import write_remote_code


def save_model(model: Model, folder: Path) -> Path:
    """Save weights, configuration, tokenizer and chat template; replaces `folder` as a whole.

    Source: ours. Oracle: tests/models/test_save.py::test_saved_folder_has_the_same_logits
    """
    from safetensors import SafetensorError

    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".saving-") as place:
            target = Path(place) / "model"
            target.mkdir()
            _write(model, target)
            if folder.exists():
                folder.rename(Path(place) / "old")
            target.rename(folder)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            "model folder",
            str(folder),
            f"cannot be written ({why})",
            remedy="Free disk space or choose another folder",
        ) from error
    return folder


def _write(model: Model, target: Path) -> None:
    network = model.network
    if isinstance(network, Adapter):
        network.network.save_pretrained(target)
    else:
        _write_decoder(network, model.dtype, target)
        _write_generation_config(model, target)
    model.tokenizer.save_pretrained(target)


def _write_decoder(decoder: Decoder, dtype: torch.dtype, target: Path) -> None:
    from safetensors.torch import save_file

    state = {name: tensor.detach().cpu().clone() for name, tensor in decoder.state_dict().items()}
    if decoder.shape.tied:
        del state["lm_head.weight"]
    if decoder.shape.solver is None:  # transformers joins them for the types that it knows
        state = split_experts(state, decoder.shape.family)
    save_file(state, target / "model.safetensors", metadata={"format": "pt"})
    config = _with_dtype(decoder.config, dtype)
    if getattr(config, "head_dim", None) is None:  # some families only derive it
        config.head_dim = decoder.shape.head_dim
    config.save_pretrained(target)
    if decoder.shape.solver is not None:
        write_remote_code(decoder.shape, target)


def _write_generation_config(model: Model, target: Path) -> None:
    """The model's own, where it has one: often only that file names all end tokens."""
    from transformers import GenerationConfig

    source = model.folder / "generation_config.json"
    if source.is_file():
        shutil.copy(source, target)
    else:
        GenerationConfig.from_model_config(whole_config(model.config)).save_pretrained(target)


def _with_dtype(config: Any, dtype: torch.dtype) -> Any:
    config = whole_config(config)
    copied = type(config).from_dict(config.to_dict())
    copied.dtype = dtype
    return copied
