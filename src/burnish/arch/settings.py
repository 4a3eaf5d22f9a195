"""Settings of `burnish arch pretrain`; the plan derives what is not given from the dial."""

import math
import re
from dataclasses import dataclass, field
from typing import Literal

from burnish.arch.blocks import blocks
from burnish.base.errors import SettingError
from burnish.data.mixtures import Reading, Units
from burnish.train.routing_settings import RoutingSettings

OWN = "own"
BYTES = 256  # every one has a token
FRACTIONS = {
    "warmup_frac": (0.0, 0.99),
    "decay_frac": (0.0, 1.0),
    "final_frac": (0.0, 1.0),
    "weight_decay": (0.0, 1e3),
    "max_grad_norm": (1e-9, 1e9),
}


@dataclass(frozen=True, kw_only=True)
class PretrainSettings:
    """One pretraining run. None: chosen by the plan, which says why.

    `corpus`: sources with or without weights, `a.txt:0.7,b.jsonl:0.3`. One dial, `params` (3M) or
    `depth`; `base` continues a model instead. One budget, `minutes` of training or `tokens`.
    `tokenizer`: `own`, or the model whose tokenizer is taken; `vocab` the size of an own one.
    `attention`: rows see their own document only (`within`) or the whole window (`across`).
    `block`: what a layer is, `dense`, `moe:experts=8,top_k=2` or `pcformer:order=2`; `routing` is
    for models with experts. `first_order_loss` adds so many times the loss of a solver's first
    evaluations alone, which then draft better. `planned`: what a plan file said, and
    `planned_counts` the convention in which it counts n. `gradient_norms`: note the norms that
    `scaling noise` reads; takes two passes per step.
    """

    corpus: str
    block: str = "dense"
    params: str | None = None
    depth: int | None = None
    base: str | None = None
    minutes: float | None = None
    tokens: str | None = None
    planned: dict[str, float] | None = None
    planned_counts: str = "all"

    tokenizer: str = OWN
    vocab: int | None = None
    units: Units = "auto"
    column: str = "text"
    skip_bad_files: bool = False
    heldout_frac: float = 0.05
    shard_tokens: int = 1 << 24
    attention: Literal["within", "across"] = "within"

    context: int | None = None
    width: int | None = None
    ffn_width: int | None = None
    num_heads: int | None = None
    num_kv_heads: int | None = None
    tied: bool = True

    batch_tokens: int | None = None
    learning_rate: float | None = None
    steps: int | None = None
    optimizer: Literal["adamw", "muon"] = "muon"
    schedule: Literal["cosine", "linear", "constant", "wsd"] = "linear"
    warmup_frac: float = 0.02
    decay_frac: float = 0.2
    final_frac: float = 0.0
    weight_decay: float = 0.1
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    first_order_loss: float = 0.0
    max_grad_norm: float = 1.0
    pass_tokens: int = 8192
    compile: bool = False
    gradient_checkpointing: bool = False
    sharding: Literal["none", "fsdp2"] = "none"
    gradient_norms: bool = False
    save_every_steps: int = 200
    num_evaluations: int = 10
    evaluation_tokens: int = 16384
    sample_tokens: int = 48
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_dial()
        blocks.parse(self.block)
        for name in ("minutes", "tokens", "steps"):
            value = getattr(self, name)
            if value is not None and not 0 < parse_count(name, value) < math.inf:
                raise SettingError(name, value, "must be positive", remedy="Raise it")
        if self.minutes is not None and self.tokens is not None:
            got = f"{self.minutes} minutes, {self.tokens} tokens"
            rule = "must be only one of minutes and tokens"
            raise SettingError("budget", got, rule, remedy="Leave one out")
        positive = ("depth", "vocab", "context", "width", "ffn_width", "num_heads", "num_kv_heads")
        positive += ("batch_tokens", "learning_rate", "pass_tokens", "save_every_steps")
        positive += ("evaluation_tokens",)
        for name in (*positive, "shard_tokens"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingError(name, value, "must be positive and finite", remedy="Raise it")
        for name in ("num_evaluations", "sample_tokens"):
            if (value := getattr(self, name)) < 0:
                raise SettingError(name, value, "must not be negative", remedy="0 turns it off")
        for name, (least, most) in FRACTIONS.items():
            if not least <= (value := getattr(self, name)) <= most:
                rule = f"must lie between {least:g} and {most:g}"
                raise SettingError(name, value, rule, remedy="Leave it out for the default")
        if self.vocab is not None and self.vocab <= BYTES:
            rule = f"must be more than {BYTES}: every byte and the end of a text need a token"
            raise SettingError("vocab", self.vocab, rule, remedy="512 is a small one")
        if not (math.isfinite(self.first_order_loss) and self.first_order_loss >= 0):
            value, rule = self.first_order_loss, "must not be negative"
            raise SettingError("first_order_loss", value, rule, remedy="0 leaves it out")
        if not 0 < self.heldout_frac < 1:
            rule, remedy = "must lie in (0, 1)", "0.05 is the default"
            raise SettingError("heldout_frac", self.heldout_frac, rule, remedy=remedy)

    def _check_dial(self) -> None:
        if self.params is not None:
            parse_count("params", self.params)
        given = [name for name in ("params", "depth", "base") if getattr(self, name) is not None]
        if len(given) > 1:
            rule = "must be only one of --params, --depth and --from"
            raise SettingError("size", given, rule, remedy="Leave the others out")
        if self.base is not None and self.block != "dense":
            rule = "is already that of the model named by --from"
            remedy = "Write it with arch upcycle"
            raise SettingError("block", self.block, rule, remedy=remedy)
        if self.base is not None and (self.tokenizer != OWN or self.vocab is not None):
            rule = "is already that of the model named by --from"
            got = self.vocab if self.tokenizer == OWN else self.tokenizer
            raise SettingError("tokenizer", got, rule, remedy="Leave it out")

    def reading(self) -> Reading:
        """How texts become documents."""
        return Reading(units=self.units, column=self.column, skip_bad_files=self.skip_bad_files)


def parse_count(name: str, value: str | float) -> float:
    """A number that may end with k, M, B or G: `3M` is 3,000,000.

    Raises SettingError for anything else. Source: ours.
    Oracle: tests/arch/test_plan.py::test_counts
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?)\s*([kKmMbBgG]?)\s*", str(value))
    if not found:
        raise SettingError(
            name, value, "must be a number such as 3M", remedy="Write 500k, 3M or 1B"
        )
    factor = {"": 1, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9}[found[2].lower()]
    return float(found[1]) * factor
