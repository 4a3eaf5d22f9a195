"""From a name, folder, file or address to a model; device and precision are chosen here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from burnish.base.errors import MissingFileError, ModelError, SettingError, UnknownNameError
from burnish.base.files import read_json
from burnish.base.naming import suggest
from burnish.base.progress import say
from burnish.models.adapters import Adapter
from burnish.models.cache import EMBEDDED, converted_gguf, get_embedded
from burnish.models.config import decoder_config
from burnish.models.decoder import Decoder
from burnish.models.precision import choose_precision
from burnish.models.quantise import quantise_decoder, read_blocks


@dataclass(frozen=True, kw_only=True)
class Model:
    """A network in memory, with its tokenizer and where both came from."""

    spec: str
    folder: Path
    network: Decoder | Adapter
    tokenizer: Any
    dtype: torch.dtype
    device: torch.device
    eos_ids: frozenset[int]
    max_position: int

    @property
    def config(self) -> Any:
        """The transformers configuration."""
        return self.network.config


def load_model(spec: str, *, precision: str = "auto", device: str = "auto") -> Model:
    """Load a Hugging Face folder, a run folder, a GGUF file, an embedded model or a hub name.

    `openai:` addresses are not loaded but called: see `burnish.models.remote`.
    Raises ModelError, MissingFileError or UnknownNameError, each with what to do.
    """
    folder = resolve_folder(spec)
    place = choose_device(device)
    dtype, bits = choose_precision(precision, place)
    config = read_config(folder)
    shape = decoder_config(config)
    if shape is None:
        _refuse_bits(bits, config)
        network: Decoder | Adapter = Adapter(_load_transformers(folder, dtype)).to(place)
    else:
        network = load_decoder(folder, config, dtype, place)
        if bits is None:
            network.fuse()
        else:
            quantise_decoder(network, bits, read_blocks(folder))
    return Model(
        spec=spec,
        folder=folder,
        network=network.eval(),
        tokenizer=read_tokenizer(folder),
        dtype=dtype,
        device=place,
        eos_ids=_eos_ids(folder, config),
        max_position=getattr(config, "max_position_embeddings", None) or 1 << 30,
    )


def choose_device(device: str) -> torch.device:
    """`auto` takes the first GPU that torch sees, else the CPU."""
    if device != "auto":
        try:
            return torch.device(device)
        except RuntimeError as error:
            rule, remedy = "is not known to torch", "Use auto, cpu, cuda or cuda:0"
            raise SettingError("device", device, rule, remedy=remedy) from error
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_folder(spec: str) -> Path:
    """The Hugging Face folder behind a spec; fetches and converts where that is needed."""
    if spec in EMBEDDED:
        return get_embedded(spec)
    path = Path(spec)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise MissingFileError("model", spec, "must be an existing file", remedy="Check it")
        return converted_gguf(path)
    for folder in (path, path / "model"):  # a run folder keeps its model inside
        if (folder / "config.json").is_file():
            return folder
    if (base := _base_of_run(path)) is not None:
        return resolve_folder(base)
    if path.exists():
        raise ModelError(
            "model folder", spec, "must hold config.json", remedy="Name the folder that does"
        )
    if spec.count("/") == 1 and not spec.startswith((".", "/", "~")):
        return _hub_folder(spec)
    raise UnknownNameError(
        "model",
        spec,
        "is neither an embedded model, a folder, a GGUF file nor a hub name",
        remedy=suggest(spec, list(EMBEDDED)),
    )


def _base_of_run(path: Path) -> str | None:
    """The base model of a finished `improve` run in which no round helped."""
    if not (path / "result.json").is_file():
        return None
    result = read_json(path / "result.json")
    base = result.get("base")
    if result.get("what") != "improve" or result.get("model") != base:
        return None
    say(f"{path}: no round helped, so its model is the base model, {base}")
    return base


def load_decoder(folder: Path, config: Any, dtype: torch.dtype, device: torch.device) -> Decoder:
    """Our decoder with the weights of a Hugging Face folder; not fused yet."""
    shape = decoder_config(config)
    assert shape is not None
    with torch.device("meta"):
        decoder = Decoder(shape, config)
    state = _read_weights(folder, dtype, device)
    if shape.tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    result = decoder.load_state_dict(state, strict=False, assign=True)
    if result.missing_keys or result.unexpected_keys:
        wrong = [*result.missing_keys, *result.unexpected_keys]
        raise ModelError(
            "weights",
            wrong[0],
            f"of {folder} do not fit its config.json",
            remedy="Check that both come from the same model",
        )
    decoder.tie_weights()
    return decoder.requires_grad_(False)


def _refuse_bits(bits: int | None, config: Any) -> None:
    if bits is not None:
        raise ModelError(
            "model type",
            config.model_type,
            "runs through transformers, which does not know our quantised weights",
            remedy="Use --precision bf16 or fp32",
        )


def _read_weights(folder: Path, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(
            "model folder",
            str(folder),
            "must hold *.safetensors weights",
            remedy="Convert older formats with transformers' save_pretrained",
        )
    state = {}
    for file in files:
        for name, tensor in load_file(file, device=str(device)).items():
            if not name.endswith("rotary_emb.inv_freq"):  # old checkpoints store it; it is derived
                state[name] = tensor.to(dtype)
    return state


def _load_transformers(folder: Path, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    except (ValueError, OSError, ImportError) as error:
        raise ModelError(
            "model",
            str(folder),
            f"cannot be loaded by transformers ({error})",
            remedy="Name a causal language model",
        ) from error


def read_config(folder: Path) -> Any:
    """The transformers configuration of a folder. Raises ModelError."""
    return _read(folder, "AutoConfig")


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder. Raises ModelError."""
    return _read(folder, "AutoTokenizer")


def _read(folder: Path, kind: str) -> Any:
    import transformers

    try:
        return getattr(transformers, kind).from_pretrained(folder, local_files_only=True)
    except (ValueError, OSError, KeyError) as error:
        raise ModelError(
            f"{kind.removeprefix('Auto').lower()} of model",
            str(folder),
            f"cannot be read ({str(error).splitlines()[0]})",
            remedy="Check that the folder is a complete Hugging Face model",
        ) from error


def _eos_ids(folder: Path, config: Any) -> frozenset[int]:
    """All tokens that end a text, from the generation settings where the model has them."""
    found = config.eos_token_id
    if (folder / "generation_config.json").is_file():
        generation = _read(folder, "GenerationConfig")
        found = generation.eos_token_id if generation.eos_token_id is not None else found
    if found is None:
        return frozenset()
    return frozenset([found] if isinstance(found, int) else found)


def _hub_folder(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ModelError(
            "model",
            name,
            f"could not be fetched from the hub ({str(error).splitlines()[0]})",
            remedy=f"Give a local folder, or an embedded model ({', '.join(EMBEDDED)})",
        ) from error
