"""How to train: one frozen record of every choice."""

from dataclasses import dataclass
from typing import Any, Literal

from burnish.base.errors import SettingError
from burnish.train.optim import AdamW, Muon, Optimizer
from burnish.train.schedule import WSD, Constant, Cosine, Linear, Schedule


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """Low-rank adapters on every linear layer of the blocks.

    Source: LoRA, arXiv 2106.09685, section 4.1: the update is `alpha / rank * B @ A`.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """One training run.

    A step takes `examples_per_step` examples, in as many passes as memory asks for:
    `pass_tokens` bounds the rows of one forward pass and changes no number. `num_steps`, where it
    is not 0, counts instead of `epochs`. `sharding="fsdp2"` keeps only a part of the layers in each
    of several processes (torchrun); it changes no number but for rounding. `optimizer="muon"`
    takes Muon for the matrices of the layers and AdamW for the rest, at the same rate; `decay` says
    what `weight_decay` is for. `schedule="wsd"` decays in the last `decay_frac` of the steps only.
    `compile` compiles the layers with torch.compile.
    """

    method: Literal["lora", "full"] = "lora"
    lora: LoraSettings = LoraSettings()
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    warmup_frac: float = 0.1
    final_frac: float = 0.0
    decay_frac: float = 0.2
    optimizer: Literal["adamw", "muon"] = "adamw"
    weight_decay: float = 0.0
    decay: Literal["all", "matrices"] = "all"
    max_grad_norm: float = 1.0
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    momentum: float = 0.95
    epochs: int = 2
    num_steps: int = 0
    examples_per_step: int = 16
    pass_tokens: int = 2048
    gradient_checkpointing: bool = False
    compile: bool = False
    sharding: Literal["none", "fsdp2"] = "none"
    save_every_steps: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "examples_per_step", "pass_tokens", "save_every_steps"):
            if getattr(self, name) < 1:
                raise SettingError(
                    name, getattr(self, name), "must be at least 1", remedy="Raise it"
                )
        if self.num_steps < 0:
            rule, remedy = "must not be negative", "0 trains whole epochs"
            raise SettingError("num_steps", self.num_steps, rule, remedy=remedy)
        if self.learning_rate <= 0:
            raise SettingError(
                "learning_rate", self.learning_rate, "must be positive", remedy="1e-3 suits LoRA"
            )
        self.make_schedule()
        self.make_optimizer()

    def make_schedule(self) -> Schedule:
        """The schedule. Raises SettingError, naming the setting."""
        shared: dict[str, Any] = {"warmup_frac": self.warmup_frac, "final_frac": self.final_frac}
        if self.schedule == "wsd":
            return WSD(decay_frac=self.decay_frac, **shared)
        return {"cosine": Cosine, "linear": Linear, "constant": Constant}[self.schedule](**shared)

    def make_optimizer(self) -> Optimizer:
        """The optimiser's own settings. Raises SettingError, naming the setting."""
        rest = AdamW(
            learning_rate=self.learning_rate,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            decay=self.decay,
        )
        if self.optimizer == "adamw":
            return rest
        return Muon(
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            rest=rest,
        )
