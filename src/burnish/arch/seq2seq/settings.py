"""Settings of `burnish arch train`."""

import math
from dataclasses import dataclass
from typing import Literal

from burnish.arch.blocks import blocks
from burnish.arch.blocks.moe import MoEBlock
from burnish.arch.settings import parse_count
from burnish.base.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class BeamSettings:
    """How translations are searched: `beam` hypotheses, scored by log-probability / length^penalty.

    The length counts the end token; 0 turns the penalty off. `batch` sources are decoded together,
    which changes no result.
    """

    beam: int = 4
    length_penalty: float = 0.6
    max_new_tokens: int = 96
    batch: int = 32

    def __post_init__(self) -> None:
        for name in ("beam", "max_new_tokens", "batch"):
            if getattr(self, name) < 1:
                value, rule = getattr(self, name), "must be at least 1"
                raise SettingError(name, value, rule, remedy="Raise it")
        if not (math.isfinite(self.length_penalty) and self.length_penalty >= 0):
            value, rule = self.length_penalty, "must not be negative"
            raise SettingError("length_penalty", value, rule, remedy="0 turns it off")


@dataclass(frozen=True, kw_only=True)
class Seq2SeqSettings:
    """One model of aligned pairs.

    `pairs` is a .tsv file (source, tab, target) or rows with the columns `source` and `target`.
    `split_seed` decides which pairs are held out.
    `block` is what an encoder layer is and `decoder_block` what a decoder layer is: dense or
    pcformer. The feed-forward is fitted to `params`, for dense blocks of `encoder_layers` and
    `decoder_layers`. Pairs with more than `most_tokens` on a side are left out and counted.
    `dropout` is that of the embeddings. `bleu`: measure BLEU, which needs the extra `translate`;
    on at most `most_translations` held-out pairs. `steps`, where it is given, counts instead of
    `epochs`.
    """

    pairs: str
    source: str = "source"
    target: str = "target"
    heldout_frac: float = 0.05
    most_tokens: int = 64

    block: str = "dense"
    decoder_block: str = "dense"
    params: str = "1.5M"
    vocab: int = 2048
    width: int = 128
    num_heads: int = 4
    encoder_layers: int = 3
    decoder_layers: int = 3

    epochs: int = 10
    steps: int | None = None
    pairs_per_step: int = 64
    pass_tokens: int = 4096
    learning_rate: float = 3e-3
    optimizer: Literal["adamw", "muon"] = "muon"
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    warmup_frac: float = 0.05
    weight_decay: float = 0.1
    label_smoothing: float = 0.1
    dropout: float = 0.1
    max_grad_norm: float = 1.0
    num_evaluations: int = 5
    evaluation_pairs: int = 200
    save_every_steps: int = 200

    search: BeamSettings = BeamSettings()
    bleu: bool = True
    most_translations: int = 500
    device: str = "auto"
    seed: int = 0
    split_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("block", "decoder_block"):
            if isinstance(blocks.parse(getattr(self, name)), MoEBlock):
                rule, remedy = "must be dense or pcformer", "Write pcformer:order=2"
                raise SettingError(name, getattr(self, name), rule, remedy=remedy)
        parse_count("params", self.params)
        positive = ("most_tokens", "vocab", "width", "num_heads", "encoder_layers", "epochs")
        positive += ("decoder_layers", "pairs_per_step", "pass_tokens", "learning_rate")
        positive += ("save_every_steps", "evaluation_pairs", "most_translations")
        for name in (*positive, *(("steps",) if self.steps is not None else ())):
            if getattr(self, name) <= 0:
                value = getattr(self, name)
                raise SettingError(name, value, "must be positive", remedy="Raise it")
        for name in ("heldout_frac", "label_smoothing", "dropout"):
            value = getattr(self, name)
            if not 0 <= value < 1 or (name == "heldout_frac" and not value):
                remedy = "0.05 is the default" if name == "heldout_frac" else "0 turns it off"
                raise SettingError(name, value, "must lie in [0, 1)", remedy=remedy)
        if self.width % self.num_heads or (self.width // self.num_heads) % 2:
            got = f"width {self.width}, {self.num_heads} heads"
            rule = "must divide: width by heads, evenly into pairs"
            raise SettingError("shape", got, rule, remedy="Set width and num_heads")
