"""Configuration and tokenizer of common folders, read without importing transformers.

That import costs two seconds. What is read here is what transformers would say, or it is not read
here: folders that leave something to transformers' defaults, and whatever else is asked of these
objects, go to transformers.
"""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from burnish.base.errors import ModelError
from burnish.models.config import FAMILIES
from burnish.models.remote_code import has_solver, solver_config
from burnish.models.templates import render
from burnish.models.weights import first_line

NEEDED = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "hidden_act",
          "num_attention_heads", "num_key_value_heads", "max_position_embeddings", "rms_norm_eps",
          "eos_token_id")  # fmt: skip
COUNTS = ("vocab_size", "hidden_size", "intermediate_size", "num_", "max_")
OPTIONAL = {"tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False,
            "bos_token_id": None, "pad_token_id": None, "layer_types": None,
            "solver": None}  # fmt: skip
ROPES = {
    "default": {"rope_theta"},
    "linear": {"rope_theta", "factor"},
    "llama3": {"rope_theta", "factor", "low_freq_factor", "high_freq_factor"}
    | {"original_max_position_embeddings"},
}
TOKENIZERS = {"PreTrainedTokenizerFast", "TokenizersBackend"}
# for other families transformers takes a class that splits texts in its own way, whatever is named
AS_NAMED = {"llama", "mistral", "mixtral", "pcformer_llama", "pcformer_mistral"}
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
CHANGED = ("add_bos_token", "add_eos_token", "add_prefix_space", "split_special_tokens", "auto_map",
           "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output")  # fmt: skip


class QuickConfig:
    """The settings of a model; others are read from transformers' own configuration."""

    def __init__(self, folder: Path, fields: Mapping[str, Any]) -> None:
        self._folder = folder
        self.__dict__ |= fields

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_folder" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.whole(), name)

    def get_text_config(self) -> "QuickConfig":
        """These families have no other parts."""
        return self

    def whole(self) -> Any:
        """Transformers' configuration."""
        whole = _whole(self._folder, "AutoConfig")
        whole.tie_word_embeddings = self.tie_word_embeddings  # the one thing that loading changes
        return whole


def whole_config(config: Any) -> Any:
    """Transformers' own configuration, whichever was read."""
    return config.whole() if isinstance(config, QuickConfig) else config


class QuickTokenizer:
    """A `tokenizer.json` with its special tokens and chat template; the rest is transformers'."""

    def __init__(self, folder: Path, backend: Any, settings: Mapping[str, Any]) -> None:
        self._folder, self._backend = folder, backend
        self.name_or_path = str(folder)
        self.chat_template = settings["chat_template"]
        for role in ROLES:
            setattr(self, role, settings["specials"].get(role))

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """The special tokens that have a role."""
        named = {role: self.__dict__[role] for role in ROLES}
        return {role: token for role, token in named.items() if token is not None}

    @property
    def all_special_ids(self) -> list[int]:
        """Their ids, each once."""
        named = dict.fromkeys(self.special_tokens_map.values())
        return [self._backend.token_to_id(token) for token in named]

    def __call__(self, text: Any, add_special_tokens: bool = True, **others: Any) -> Any:
        """Token ids of one text; several, and what else may be asked for, by transformers."""
        if others or not isinstance(text, str):
            whole = _whole(self._folder, "AutoTokenizer")
            return whole(text, add_special_tokens=add_special_tokens, **others)
        return {"input_ids": self._backend.encode(text, add_special_tokens=add_special_tokens).ids}

    def __len__(self) -> int:
        return self._backend.get_vocab_size(with_added_tokens=True)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_folder" not in self.__dict__:
            raise AttributeError(name)
        if name in ("add_tokens", "add_special_tokens", "train_new_from_iterator"):
            raise AttributeError(f"{name}: this tokenizer is only read")
        if name.removesuffix("_id") in ROLES:
            token = self.__dict__[name.removesuffix("_id")]
            return None if token is None else self._backend.token_to_id(token)
        return getattr(_whole(self._folder, "AutoTokenizer"), name)

    @property
    def vocab_size(self) -> int:
        """Tokens of the vocabulary, without added ones."""
        return self._backend.get_vocab_size(with_added_tokens=False)

    def decode(self, ids: Any, skip_special_tokens: bool = False, **_: Any) -> str:
        """The text of tokens. Spaces are never cleaned up: transformers leaves BPE's alone too."""
        listed = ids.tolist() if hasattr(ids, "tolist") else ids
        tokens = [listed] if isinstance(listed, int) else list(listed)
        return self._backend.decode(tokens, skip_special_tokens=skip_special_tokens)

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tokenize: bool = True,
        add_generation_prompt: bool = False,
        **others: Any,
    ) -> Any:
        """The text of a conversation. Raises jinja2.TemplateError, where the template refuses it.

        Tokens, and what else may be asked for, are given by transformers.
        Source: transformers, `apply_chat_template` with `tokenize=False`.
        Oracle: tests/models/test_quick.py::test_conversations_are_rendered_as_transformers_does
        """
        if tokenize or others or self.chat_template is None:
            whole = _whole(self._folder, "AutoTokenizer")
            said = {"tokenize": tokenize, "add_generation_prompt": add_generation_prompt}
            return whole.apply_chat_template(messages, **said, **others)
        given = [{k: v for k, v in message.items() if v is not None} for message in messages]
        settings = {"add_generation_prompt": add_generation_prompt, **self.special_tokens_map}
        return render(self.chat_template, given, settings)


def quick_config(folder: Path) -> QuickConfig | None:
    """The configuration of a folder, where it states all that the decoder reads; else None.

    Source: transformers, each family's configuration class.
    Oracle: tests/models/test_quick.py::test_configurations_are_those_of_transformers
    """
    given = _read(folder / "config.json")
    family = given.get("model_type")
    if family not in FAMILIES or given.get("quantization_config") or "auto_map" in given:
        return None
    if any(given.get(name) is None for name in NEEDED) or isinstance(given.get("head_dim"), str):
        return None
    if not all(type(given[name]) is int for name in NEEDED if name.startswith(COUNTS)):
        return None
    rope, window = _rope(given), given.get("sliding_window")
    if rope is None or (family == "qwen3" and not given.get("head_dim")):
        return None
    if family == "mistral" and "sliding_window" not in given:
        return None
    if family in ("qwen2", "qwen3") and given.get("use_sliding_window"):
        return None
    fields = {name: given[name] for name in NEEDED}
    fields |= {name: given.get(name, default) for name, default in OPTIONAL.items()}
    heads = fields["num_attention_heads"]
    return QuickConfig(
        folder,
        fields
        | {"model_type": family, "rope_parameters": rope, "quantization_config": None}
        | {"head_dim": given.get("head_dim") or fields["hidden_size"] // heads}
        | {"sliding_window": window if family == "mistral" else None},
    )


def quick_tokenizer(folder: Path) -> QuickTokenizer | None:
    """The tokenizer of a folder, where its files say all that transformers would make of it.

    Source: transformers, `TokenizersBackend`.
    Oracle: tests/models/test_quick.py::test_texts_are_tokenised_as_transformers_does
    """
    given, file = _read(folder / "tokenizer_config.json"), folder / "tokenizer.json"
    if given.get("tokenizer_class") not in TOKENIZERS or not file.is_file():
        return None
    if _read(folder / "config.json").get("model_type") not in AS_NAMED:
        return None
    if any(given.get(name) for name in CHANGED) or (folder / "special_tokens_map.json").exists():
        return None
    extra = [*given.get("extra_special_tokens", []), *given.get("additional_special_tokens", [])]
    template = _template(folder, given)
    if extra or not isinstance(template, str | None) or "generation %}" in (template or ""):
        return None
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(file))
    backend.no_truncation()
    backend.no_padding()
    if type(backend.model).__name__ != "BPE":
        return None
    named = {role: given[role] for role in ROLES if given.get(role)}
    specials = {r: t["content"] if isinstance(t, dict) else t for r, t in named.items()}
    added = {token.content for token in backend.get_added_tokens_decoder().values()}
    listed = given.get("added_tokens_decoder", {}).values()
    if not {*specials.values(), *(token["content"] for token in listed)} <= added:
        return None
    return QuickTokenizer(folder, backend, {"chat_template": template, "specials": specials})


def read_with_transformers(folder: Path, kind: str) -> Any:
    """What the class `kind` of transformers makes of a folder. Raises ModelError."""
    import transformers

    given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        if kind == "AutoTokenizer" and attempt(has_solver, folder):
            given["config"] = solver_config(folder)  # else transformers wants the folder's code
        return getattr(transformers, kind).from_pretrained(folder, **given)
    except Exception as error:  # each class of transformers, and tokenizers, has errors of its own
        raise ModelError(
            f"{kind.removeprefix('Auto').lower()} of model",
            str(folder),
            f"cannot be read ({first_line(error)})",
            remedy="Check that the folder is a complete Hugging Face model",
        ) from error


def attempt(read: Callable[[Path], Any], folder: Path) -> Any:
    """The result of `read`; None for unexpected files, about which transformers reports."""
    try:
        return read(folder)
    except Exception:  # whatever it was, transformers reads the folder next and names the fault
        return None


def _template(folder: Path, given: Mapping[str, Any]) -> Any:
    if (folder / "additional_chat_templates").exists():
        return {}
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    if (folder / "chat_template.json").is_file():
        return {}
    return given.get("chat_template")


def _rope(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Rotary settings in today's form, from it or from the older pair of fields; None: unsure."""
    if given.get("rope_parameters") and given.get("rope_scaling"):
        return None  # written by hand beside the other: transformers says which one holds
    rope = dict(given.get("rope_parameters") or given.get("rope_scaling") or {})
    rope.setdefault("rope_theta", given.get("rope_theta"))
    rope.setdefault("rope_type", rope.pop("type", "default"))
    wanted = ROPES.get(rope["rope_type"])
    if wanted is None or any(rope.get(name) is None for name in wanted):
        return None
    return rope if rope.keys() == {*wanted, "rope_type"} else None


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=4)
def _whole(folder: Path, kind: str) -> Any:
    return read_with_transformers(folder, kind)
