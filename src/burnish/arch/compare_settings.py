"""Settings of `burnish arch compare`."""

from dataclasses import dataclass, replace

from burnish.arch.blocks import blocks
from burnish.arch.settings import PretrainSettings
from burnish.base.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """Blocks trained on the same data with the same tokenizer, seeds and grid of rates.

    `blocks`: specs with commas between. One size, `params` (1M) or `depth`, with widths as in
    `PretrainSettings`. One budget, `minutes` a run or `tokens` a run. `rates`
    are factors of the rule's learning rate: each block tries all of them with the first seed, and
    the best with the other `num_seeds`. The rate is constant behind the warm-up, so that a curve
    may be read at any of its `num_points`.
    """

    corpus: str
    blocks: str = "dense,pcformer:order=2"
    params: str | None = None
    depth: int | None = None
    width: int | None = None
    ffn_width: int | None = None
    num_heads: int | None = None
    minutes: float | None = None
    tokens: str | None = None
    rates: tuple[float, ...] = (0.5, 1.0, 2.0)
    num_seeds: int = 3
    num_points: int = 20
    vocab: int | None = None
    context: int | None = None
    batch_tokens: int | None = None
    learning_rate: float | None = None
    optimizer: str = "adamw"
    warmup_frac: float = 0.02
    heldout_frac: float = 0.05
    heldout_tokens: int = 32768
    units: str = "auto"
    column: str = "text"
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.specs) < 2 or len(set(self.specs)) < len(self.specs):
            rule, remedy = "must be two blocks or more, each once", "Write dense,pcformer:order=2"
            raise SettingError("blocks", self.blocks, rule, remedy=remedy)
        if not self.rates or min(self.rates) <= 0 or len(set(self.rates)) < len(self.rates):
            rule, remedy = "must be different positive factors", "Write [0.5,1,2]"
            raise SettingError("rates", list(self.rates), rule, remedy=remedy)
        for name in ("num_seeds", "num_points", "heldout_tokens"):
            if getattr(self, name) < 1:
                rule = "must be at least 1"
                raise SettingError(name, getattr(self, name), rule, remedy="Raise it")
        if (self.minutes is None) == (self.tokens is None):
            got = f"{self.minutes} minutes, {self.tokens} tokens"
            rule = "must be only one of minutes and tokens"
            raise SettingError("budget", got, rule, remedy="Write --minutes 2")
        for spec in self.specs:
            self.run_settings(spec)

    @property
    def specs(self) -> tuple[str, ...]:
        """The blocks one by one; a comma before a block's name begins the next one.

        Source: ours. Oracle: tests/arch/test_compare_job.py::test_blocks_are_parted
        """
        parts: list[str] = []
        for piece in filter(None, self.blocks.split(",")):
            if not parts or piece.partition(":")[0].strip() in blocks.names():
                parts.append(piece.strip())
            else:
                parts[-1] += f",{piece}"
        return tuple(parts)

    def run_settings(self, block: str, *, seed: int = 0) -> PretrainSettings:
        """The pretraining of one block. Raises SettingError, as that does."""
        shared = ("corpus", "params", "minutes", "tokens", "vocab", "context", "batch_tokens")
        shared += (
            "learning_rate",
            "optimizer",
            "warmup_frac",
            "heldout_frac",
            "units",
            "column",
            "precision",
        )
        shared += ("depth", "width", "ffn_width", "num_heads", "device")
        given = {name: getattr(self, name) for name in shared}
        if self.params is None and self.depth is None:
            given["params"] = "1M"
        plain = PretrainSettings(block=block, schedule="constant", sample_tokens=0, **given)
        return replace(plain, seed=self.seed + seed)
