"""How to align: the loss, its reference, the pairs, the training, what is measured."""

import dataclasses
import functools
import inspect
from dataclasses import dataclass, field
from typing import Literal

import torch

from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.naming import suggest
from burnish.data.chat import Template
from burnish.prefer.losses import LOSSES, REFERENCE_FREE, Batch, LdReference, Loss
from burnish.prefer.weights import LdEnd
from burnish.train.settings import TrainSettings

ReferenceKind = Literal["auto", "cache", "adapter-off", "copy"]


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """A loss by name, and its settings; None is the loss's own default.

    A setting that the loss does not take is an error: nothing is ignored without a word.
    """

    name: str = "ld-dpo"
    beta: float | None = None
    alpha: float | None = None
    ld_reference: LdReference | None = None
    ld_end: LdEnd | None = None
    gamma: float | None = None
    tau: float | None = None
    length_penalty: float | None = None
    drop_penalty: float | None = None
    sampling_seed: int | None = None

    def __post_init__(self) -> None:
        if self.name not in LOSSES:
            remedy = suggest(self.name, list(LOSSES))
            raise UnknownNameError("loss", self.name, "is not known", remedy=remedy)
        defaults = self._defaults()
        for name, value in self._given().items():
            if name not in defaults:
                remedy = f"It takes {', '.join(defaults)}"
                raise SettingError(name, value, f"is not a setting of {self.name}", remedy=remedy)
        nothing = torch.zeros(2)  # the loss itself knows which values it takes
        self.build()(Batch(policy=nothing, reference=nothing, lengths=((1, 1),), keys=("",)))

    @property
    def needs_reference(self) -> bool:
        """Whether the loss compares with a reference model."""
        return self.name not in REFERENCE_FREE

    def build(self) -> Loss:
        """The loss as a function of a batch."""
        return functools.partial(LOSSES[self.name], **self._given())

    def resolved(self) -> dict[str, float | str | int]:
        """Every setting that the loss takes, with the value that counts."""
        return {"name": self.name} | self._defaults() | self._given()

    def _given(self) -> dict[str, float | str | int]:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {n: value for n, value in values.items() if n != "name" and value is not None}

    def _defaults(self) -> dict[str, float | str | int]:
        parameters = inspect.signature(LOSSES[self.name]).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


@dataclass(frozen=True, kw_only=True)
class PairSettings:
    """How rows become pairs of tokens.

    `max_length_tokens` bounds prompt and answer together, within the model's window; an answer
    that is longer loses its end, and is counted. `heldout_frac` of the prompts are never trained
    on (at least two pairs).
    """

    template: Template = "auto"
    max_length_tokens: int = 2048
    heldout_frac: float = 0.1

    def __post_init__(self) -> None:
        if self.max_length_tokens < 2:
            rule, remedy = "must be at least 2", "2048 is usual"
            raise SettingError("max_length_tokens", self.max_length_tokens, rule, remedy=remedy)
        if not 0 < self.heldout_frac < 1:
            rule, remedy = "must lie in (0, 1)", "0.1 is usual"
            raise SettingError("heldout_frac", self.heldout_frac, rule, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """What is measured on held-out pairs before, at checkpoints and after.

    `num_generated` prompts are answered greedily with at most `max_new_tokens`;
    `every_steps` 0: only before and after.
    """

    num_generated: int = 32
    max_new_tokens: int = 256
    every_steps: int = 0

    def __post_init__(self) -> None:
        for name in ("num_generated", "every_steps"):
            if getattr(self, name) < 0:
                value = getattr(self, name)
                raise SettingError(name, value, "must not be negative", remedy="0 turns it off")
        if self.max_new_tokens < 1:
            rule, remedy = "must be at least 1", "256 is usual"
            raise SettingError("max_new_tokens", self.max_new_tokens, rule, remedy=remedy)


def default_training() -> TrainSettings:
    """LoRA with a small rate.

    Source: rate within 5e-6..5e-5 and one epoch (shared notes of the field, SimPO's repository);
    batch 128 there, 16 here for a single machine (ours).
    """
    return TrainSettings(learning_rate=5e-5, epochs=1, examples_per_step=16, pass_tokens=1024)


@dataclass(frozen=True, kw_only=True)
class PreferSettings:
    """Everything that decides how a model is aligned."""

    loss: LossSettings = field(default_factory=LossSettings)
    reference: ReferenceKind = "auto"
    pairs: PairSettings = field(default_factory=PairSettings)
    train: TrainSettings = field(default_factory=default_training)
    evaluate: EvaluateSettings = field(default_factory=EvaluateSettings)

    def __post_init__(self) -> None:
        if self.reference != "auto" and not self.loss.needs_reference:
            rule = f"cannot be set: the loss {self.loss.name} has no reference"
            raise SettingError("reference", self.reference, rule, remedy="Leave it out")
        if self.reference == "adapter-off" and self.train.method != "lora":
            rule = "needs adapters, which can be turned off"
            remedy = "Use cache or copy, or train.method=lora"
            raise SettingError("reference", self.reference, rule, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class PreferTrainSettings(PreferSettings):
    """What `burnish prefer train` can be told: the alignment, and where it is computed."""

    precision: str = "fp32"
    device: str = "auto"

    def alignment(self) -> PreferSettings:
        """The settings without model, precision and device."""
        names = [one.name for one in dataclasses.fields(PreferSettings)]
        return PreferSettings(**{name: getattr(self, name) for name in names})
