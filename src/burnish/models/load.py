"""From a name, folder, file or address to a model; device and precision are chosen here."""

from dataclasses import dataclass, replace
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
from burnish.models.expert_weights import join_experts
from burnish.models.precision import choose_precision
from burnish.models.prepared import keep_prepared, load_prepared, prepared_folder
from burnish.models.quantise import quantise_decoder, read_blocks
from burnish.models.quick import (
    attempt,
    quick_config,
    quick_tokenizer,
    read_with_transformers,
)
from burnish.models.remote_code import has_solver, solver_config
from burnish.models.weights import (
    check_file,
    check_shapes,
    first_line,
    read_weights,
    refuse_weight,
    weight_files,
)

HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
PREFIX = "model."  # checkpoints of the bare stack leave it out


@dataclass(frozen=True, kw_only=True)
class Model:
    """A network in memory, with its tokenizer and their source."""

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
        """The configuration, with transformers' names."""
        return self.network.config

    @property
    def decoder(self) -> Decoder:
        """The network, where the caller knows that it is burnish's own decoder."""
        assert isinstance(self.network, Decoder)
        return self.network


def load_model(
    spec: str, *, precision: str = "auto", device: str = "auto", prepared: bool = False
) -> Model:
    """Load a Hugging Face folder, a run folder, a GGUF file, an embedded model or a hub name.

    With `prepared`, what the kernels make of the weights is kept in the cache, for a quick start.
    `openai:` addresses are not loaded but called: see `burnish.models.remote`.
    Raises ModelError, MissingFileError or UnknownNameError, each with a remedy.
    """
    folder = resolve_folder(spec)
    place = choose_device(device)
    dtype, bits = choose_precision(precision, place)
    config = read_config(folder)
    if decoder_config(config) is None:
        _refuse_bits(bits, config)
        network: Decoder | Adapter = Adapter(_load_transformers(folder, config, dtype)).to(place)
    elif bits is not None:
        network = load_decoder(folder, config, dtype, place)
        quantise_decoder(network, bits, read_blocks(folder))
    elif prepared and dtype == torch.bfloat16 and place.type == "cpu":
        network = _prepared_decoder(folder, config)
    else:
        network = load_decoder(folder, config, dtype, place)
        network.fuse()
    return Model(
        spec=spec,
        folder=folder,
        network=network.eval(),
        tokenizer=read_tokenizer(folder),
        dtype=dtype,
        device=place,
        eos_ids=_eos_ids(folder, config),
        max_position=getattr(config.get_text_config(), "max_position_embeddings", None) or 1 << 30,
    )


def choose_device(device: str) -> torch.device:
    """`auto` takes the first GPU that torch sees, else the CPU."""
    if device != "auto":
        try:
            place = torch.device(device)
        except RuntimeError as error:
            rule, remedy = "is not known to torch", "Use auto, cpu, cuda or cuda:0"
            raise SettingError("device", device, rule, remedy=remedy) from error
        _check_usable(place)
        return place
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _check_usable(place: torch.device) -> None:
    """Raise SettingError for a device that torch knows, and that is not here."""
    try:
        here = torch.zeros(1, device=place).tolist() == [0.0]
    except (AssertionError, NotImplementedError, RuntimeError) as error:  # by kind and build
        rule = f"cannot be used here ({first_line(error)})"
        raise SettingError("device", str(place), rule, remedy="Use auto or cpu") from error
    assert here


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
            "model folder", spec, "must contain config.json", remedy="Name the folder that has it"
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
    say(f"{path}: no round improved the model, so it is the base model, {base}")
    return base


def load_decoder(folder: Path, config: Any, dtype: torch.dtype, device: torch.device) -> Decoder:
    """Our decoder with the weights of a Hugging Face folder; not fused yet.

    A head that is stored beside an embedding it should share is kept where it differs, and a
    shared matrix may stand under either name. Raises ModelError, naming the file.
    Source: transformers, `tie_weights`.
    Oracle: tests/models/test_weights.py::test_stored_heads_are_read_as_transformers_does
    """
    shape = decoder_config(config)
    assert shape is not None
    state, files = {}, {}
    for name, tensor, file in read_weights(folder):
        whole = name if name.startswith((PREFIX, HEAD)) else PREFIX + name
        state[whole], files[whole] = tensor.to(device, dtype), file
    if shape.experts is not None:
        join_experts(
            state, shape.experts.num_experts, lambda old, new: files.update({new: files[old]})
        )
    if shape.tied:
        head, table = state.get(HEAD), state.get(EMBEDDING)
        if head is None or table is None or torch.equal(head, table):
            whole = table if head is None else head
            state |= {} if whole is None else {HEAD: whole, EMBEDDING: whole}
        else:
            config.tie_word_embeddings = False
            shape = replace(shape, tied=False)
    with torch.device("meta"):
        decoder = Decoder(shape, config)
    check_shapes(decoder.state_dict(), state, files, folder)
    decoder.load_state_dict(state, assign=True)
    decoder.tie_weights()
    return decoder.requires_grad_(False)


def _prepared_decoder(folder: Path, config: Any) -> Decoder:
    """A decoder in bf16, ready for inference, its weights mapped from the cache if they are there.

    Source: ours. Oracle: tests/models/test_prepared.py::test_prepared_equals_fused
    """
    shape = decoder_config(config)
    assert shape is not None
    place = prepared_folder(folder) if shape.experts is None else None  # dense layers alone
    if place is None or not place.exists():
        decoder = load_decoder(folder, config, torch.bfloat16, torch.device("cpu"))
        if place is None or decoder.shape.tied != shape.tied or not keep_prepared(decoder, place):
            decoder.fuse()
            return decoder
    with torch.device("meta"):
        decoder = Decoder(shape, config)
    load_prepared(decoder, place)
    return decoder.requires_grad_(False)


def _refuse_bits(bits: int | None, config: Any) -> None:
    if bits is not None:
        raise ModelError(
            "model type",
            config.model_type,
            "runs through transformers, which cannot use burnish's quantised weights",
            remedy="Use --precision bf16 or fp32",
        )


def _load_transformers(folder: Path, config: Any, dtype: torch.dtype) -> Any:
    """A model of transformers, all of whose weights were found. Raises ModelError."""
    from transformers import AutoModelForCausalLM

    if _sees_what_follows(config):
        raise _not_causal(folder, config.model_type)
    for file in weight_files(folder):
        check_file(file)
    settings: dict[str, Any] = {"dtype": dtype, "local_files_only": True}
    if not _experts_are_aligned(config, dtype):
        settings["experts_implementation"] = "eager"
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True, **settings
        )
        network, found = loaded
    except Exception as error:  # of safetensors, torch and each architecture's own code
        if "Unrecognized configuration class" in str(error):
            raise _not_causal(folder, config.model_type) from error
        rule = f"cannot be loaded by transformers ({first_line(error)})"
        remedy = "Name a folder with a complete causal language model"
        raise ModelError("model", str(folder), rule, remedy=remedy) from error
    if missing := sorted(found["missing_keys"]):
        refuse_weight(missing[0], folder, "is missing")
    return network


def _not_causal(folder: Path, kind: str) -> ModelError:
    rule = f"is of type {kind}, which does not generate text"
    return ModelError("model", str(folder), rule, remedy="Name a causal language model")


def _sees_what_follows(config: Any) -> bool:
    """Whether a model is an encoder, with or without a decoder behind it (T5, BERT)."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED

    encoder = config.model_type in MASKED and not getattr(config, "is_decoder", False)
    return encoder or getattr(config, "is_encoder_decoder", False)


def _experts_are_aligned(config: Any, dtype: torch.dtype) -> bool:
    """Whether torch's grouped product takes the experts: rows of whole 16 bytes."""
    names = ("hidden_size", "intermediate_size", "moe_intermediate_size")
    text = config.get_text_config()
    return not any((getattr(text, name, None) or 0) * dtype.itemsize % 16 for name in names)


def read_config(folder: Path) -> Any:
    """The configuration of a folder, as transformers has it. Raises ModelError."""
    if (found := attempt(quick_config, folder)) is not None:
        return found
    if attempt(has_solver, folder):
        return solver_config(folder)
    return read_with_transformers(folder, "AutoConfig")


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder, as transformers has it. Raises ModelError."""
    return attempt(quick_tokenizer, folder) or read_with_transformers(folder, "AutoTokenizer")


def _eos_ids(folder: Path, config: Any) -> frozenset[int]:
    """All tokens that end a text, from the generation settings where the model has them."""
    found = getattr(config.get_text_config(), "eos_token_id", None)
    settings = folder / "generation_config.json"
    if settings.is_file():
        said = read_json(settings).get("eos_token_id")
        found = said if said is not None else found
    if found is None:
        return frozenset()
    ids = found if isinstance(found, list | tuple) else [found]
    if not all(type(one) is int for one in ids):
        rule, remedy = (
            "must be a token's number, or a list of them",
            "Correct generation_config.json",
        )
        raise ModelError("eos_token_id of model", found, rule, remedy=remedy)
    return frozenset(ids)


def _hub_folder(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
    others = ["consolidated*", "adapter*", "*/*"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns=others))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ModelError(
            "model",
            name,
            f"could not be fetched from the hub ({first_line(error)})",
            remedy=f"Give a local folder, or an embedded model ({', '.join(EMBEDDED)})",
        ) from error
