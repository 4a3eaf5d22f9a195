"""The weight files of a Hugging Face folder, and their tensors."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from burnish.base.errors import InputError, ModelError
from burnish.base.files import read_json

SINGLE = ("model.safetensors", "pytorch_model.bin")
OTHERS = ("adapter", "consolidated")  # beginnings of names that lie beside a model's own weights
LFS = b"version https://git-lfs"
DERIVED = "rotary_emb.inv_freq"  # old checkpoints store it


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights: the one file, else those that its index names.

    Without either, a complete set of numbered shards counts. Adapters and Mistral's
    `consolidated.safetensors` are other models' weights.
    Raises ModelError, where there are none, or one that is named is absent.
    Source: transformers, `_get_resolved_checkpoint_files`.
    Oracle: tests/models/test_weights.py::test_files_are_those_of_transformers
    """
    for single in SINGLE:
        if (folder / single).is_file():
            return [folder / single]
        index = folder / f"{single}.index.json"
        if index.is_file():
            names = sorted(set(_weight_map(index).values()))
            return [_present(folder, name, index.name) for name in names]
    found = [p for p in sorted(folder.glob("*.safetensors")) if not p.name.startswith(OTHERS)]
    if not found:
        raise ModelError(
            "model folder",
            str(folder),
            "must contain model.safetensors, pytorch_model.bin or the index of several",
            remedy="Fetch the model again, with its weights",
        )
    _check_shards(found)
    return found


def read_weights(folder: Path) -> Iterator[tuple[str, Tensor, Path]]:
    """Name, tensor and file of every weight, mapped from disk where the format allows it.

    Raises ModelError, naming the file that is cut, empty, a git-lfs pointer or no such format.
    """
    for file in weight_files(folder):
        check_file(file)
        try:
            state = _read_bin(file) if file.suffix == ".bin" else _read_safetensors(file)
        except Exception as error:  # each format has errors of its own; all say: not readable
            rule = f"cannot be read ({first_line(error)})"
            raise _broken(file, rule) from error
        for name, tensor in state.items():
            if not name.endswith(DERIVED):
                yield name, tensor, file


def check_file(file: Path) -> None:
    """Raise ModelError, naming the file, if it is empty or a pointer to the weights."""
    try:
        with file.open("rb") as opened:
            start = opened.read(len(LFS))
    except OSError as error:  # a folder of this name, a link to nothing, no permission
        raise _broken(file, f"cannot be read ({error.strerror})") from error
    if start == LFS:
        rule, remedy = "is a git-lfs pointer, not the weights", "Run `git lfs pull` in its folder"
        raise ModelError("weights file", str(file), rule, remedy=remedy)
    if not start:
        raise _broken(file, "is empty")


def check_shapes(
    wanted: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    files: Mapping[str, Path],
    folder: Path,
) -> None:
    """Raise ModelError, naming the file, where a weight is missing, unknown or of another shape."""
    for name, tensor in found.items():
        if name not in wanted:
            refuse_weight(name, files[name], "is not in a model of its config.json")
        if name in files and tensor.shape != wanted[name].shape:
            shapes = f"{tuple(tensor.shape)} does not fit config.json's {tuple(wanted[name].shape)}"
            refuse_weight(name, files[name], f"of shape {shapes}")
    for name in wanted:
        if name not in found:
            refuse_weight(name, folder, "is missing")


def first_line(error: BaseException) -> str:
    """The first line of what an error of another library says, and the next where that explains.

    A key that is missing says nothing by itself: the kind of the error stands before it.
    """
    kind = type(error).__name__
    first, *rest = map(str.strip, str(error).strip().splitlines() or [kind])
    said = f"{first} {rest[0]}" if first.endswith(":") and rest else first
    return (f"{kind}: {said}" if isinstance(error, LookupError) else said)[:160]


def refuse_weight(name: str, place: Path, rule: str) -> None:
    """Raise ModelError about one weight; `place` is the file, or the folder that lacks it."""
    remedy = "Check that weights and config.json come from the same model"
    raise ModelError(f"weight {name}", str(place), rule, remedy=remedy)


def _broken(file: Path, rule: str) -> ModelError:
    return ModelError("weights file", str(file), rule, remedy="Fetch or write it again")


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(file)


def _read_bin(file: Path) -> dict[str, Tensor]:
    return torch.load(file, map_location="cpu", weights_only=True, mmap=True)


def _weight_map(index: Path) -> Mapping[str, str]:
    try:
        content: Any = read_json(index)
        return {str(name): str(file) for name, file in content["weight_map"].items()}
    except (InputError, KeyError, TypeError, AttributeError) as error:
        raise _broken(index, "must be an index with a weight_map") from error


def _present(folder: Path, name: str, index: str) -> Path:
    file = folder / name
    if Path(name).name != name or not file.is_file():
        raise _broken(file, f"is named in {index} and does not exist in its folder")
    return file


def _check_shards(files: list[Path]) -> None:
    """Shards without their index: model-00001-of-00003 and so on, all of them."""
    for file in files:
        _, _, total = file.stem.rpartition("-of-")
        if total.isdigit() and len(files) < int(total):
            raise _broken(file.parent, f"must contain all {int(total)} shards ({len(files)} found)")
