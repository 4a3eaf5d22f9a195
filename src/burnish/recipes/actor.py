"""A model that is loaded only when a stage truly needs it, and known by its content."""

from functools import cached_property
from pathlib import Path

from burnish.base.errors import ModelError
from burnish.base.records import content_hash, file_hash
from burnish.contracts.generation import Request, Sampling
from burnish.contracts.task import Task
from burnish.data.chat import render_prompt
from burnish.models.cache import EMBEDDED
from burnish.models.load import Model, load_model, resolve_folder


class Actor:
    """A model by its spec; reusing a finished stage costs no loading."""

    def __init__(self, spec: str, *, precision: str, device: str) -> None:
        self.spec, self.precision, self.device = spec, precision, device
        self._model: Model | None = None

    @property
    def model(self) -> Model:
        """The loaded model."""
        if self._model is None:
            self._model = load_model(self.spec, precision=self.precision, device=self.device)
        return self._model

    def release(self) -> None:
        """Forget the loaded network, for example because training changed it."""
        self._model = None

    @cached_property
    def key(self) -> str:
        """Hash of the weights and the tokenizer: what the numbers depend on."""
        if self.spec in EMBEDDED:
            return EMBEDDED[self.spec].sha256
        return folder_key(resolve_folder(self.spec))

    def request(
        self,
        task: Task,
        name: str,
        sampling: Sampling,
        demonstrations: tuple[tuple[str, str], ...] = (),
    ) -> Request:
        """The task's prompt under the model's chat template."""
        tokens = render_prompt(self.model.tokenizer, task.prompt, examples=demonstrations)
        return Request(id=name, prompt=tuple(tokens), sampling=sampling)


def folder_key(folder: Path) -> str:
    """Hash of a model folder's files."""
    kept = {".safetensors", ".json", ".jinja", ".model", ".txt"}
    files = sorted(path for path in folder.iterdir() if path.suffix in kept)
    if not files:
        raise ModelError("model folder", str(folder), "must hold a model", remedy="Check the path")
    return content_hash({path.name: file_hash(path) for path in files})
