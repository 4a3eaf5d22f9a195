"""A model by its spec: loaded only when needed, and identified by its content."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burnish.base.canonical import content_hash
from burnish.base.errors import ModelError
from burnish.base.hashes import remembered_hash
from burnish.models.cache import EMBEDDED
from burnish.models.remote import PREFIX, Remote

if TYPE_CHECKING:
    from burnish.models.load import Model

KEPT = {".safetensors", ".json", ".jinja", ".model", ".txt"}  # what a model's folder is made of


class ModelHandle:
    """A local model (our decoder or an adapter) or a server, by its spec.

    The model is loaded when `model` is first read, so reusing a finished stage loads nothing.
    `prepared` is that of `load_model`.
    Source: ours. Oracle: tests/models/test_handle.py::test_the_key_loads_nothing
    """

    def __init__(
        self, spec: str, *, precision: str = "auto", device: str = "auto", prepared: bool = False
    ) -> None:
        self.spec, self.precision, self.device = spec, precision, device
        self._prepared = prepared
        self._model: Model | None = None

    @property
    def is_server(self) -> bool:
        """Whether the spec is the address of a server."""
        return self.spec.startswith(PREFIX)

    @cached_property
    def key(self) -> str:
        """What its numbers depend on: hash of weights, tokenizer and configuration.

        The key of a server is its address and name; which weights it serves is unknown.
        Raises what `resolve_folder` and `Remote.parse` raise.
        """
        if self.is_server:
            return f"{PREFIX}{self.remote.url}#{self.remote.name}"
        if self.spec in EMBEDDED:
            return EMBEDDED[self.spec].sha256
        return folder_key(self.folder)

    @property
    def short_key(self) -> str:
        """The key as records name their model: 16 characters of a hash, or a server's address."""
        return self.key if self.is_server else self.key[:16]

    @property
    def folder(self) -> Path:
        """The Hugging Face folder of a local model. Raises what `resolve_folder` does."""
        self._check_local("has no folder")
        from burnish.models.load import resolve_folder

        return resolve_folder(self.spec)

    @property
    def model(self) -> "Model":
        """The loaded model. Raises ModelError for a server, and what `load_model` raises."""
        if self._model is None:
            self._check_local("cannot be loaded")
            from burnish.models.load import load_model

            place = {"precision": self.precision, "device": self.device}
            self._model = load_model(self.spec, **place, prepared=self._prepared)
        return self._model

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, without the weights. Raises ModelError for a server."""
        if self._model is not None:
            return self._model.tokenizer
        from burnish.models.load import read_tokenizer

        return read_tokenizer(self.folder)

    @cached_property
    def remote(self) -> Remote:
        """The server. Raises ModelError for a local model, SettingError for a wrong address."""
        if not self.is_server:
            remedy = f"Write {PREFIX}URL#name for a model behind a server"
            raise ModelError("model", self.spec, "is not a server", remedy=remedy)
        return Remote.parse(self.spec)

    def release(self) -> None:
        """Drop the loaded network, for example because training changed it."""
        self._model = None

    def _check_local(self, rule: str) -> None:
        if self.is_server:
            remedy = "Name a local model: an embedded one, a folder, a GGUF file or a hub name"
            raise ModelError("server", self.spec, f"{rule}: it holds its weights", remedy=remedy)


def folder_key(folder: Path) -> str:
    """Hash of a model folder's files: names and contents, never times.

    Source: ours. Oracle: tests/models/test_handle.py::test_key_is_that_of_the_content
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in KEPT)
    if not files:
        rule = "must contain a model"
        raise ModelError("model folder", str(folder), rule, remedy="Check the path")
    return content_hash({path.name: remembered_hash(path) for path in files})
