"""Settings of `burnish recall curve`."""

from dataclasses import dataclass

from burnish.base.errors import SettingError
from burnish.recall.geometry import Layout, parse_lengths
from burnish.recall.material import check_control


@dataclass(frozen=True, kw_only=True)
class RecallSettings:
    """Everything that a curve depends on.

    `fine_share`: copy accuracy that counts as perfect. `margin`: copy minus language-model
    accuracy that counts as memory. `least_tokens`: shorter lengths define no memory length (they
    score too few tokens). `tokenizer`: of a server's model, as a folder or name.
    `shards`: parts of the trials that the launcher maps over.
    Source: thresholds are ours; the text of the paper that could be read gives none.
    """

    model: str = "smollm2-135m"
    lengths: str = "64:1024:x2"
    trials: int = 8
    corpus: str = "stdlib"
    control: str = "none"
    mode: str = "probe"
    kv: str = "full"
    separator: str = "auto"
    cue_tokens: int = 32
    scored_tokens: int = 128
    fine_share: float = 0.99
    margin: float = 0.05
    least_tokens: int = 64
    chunk_rows: int = 512
    tokenizer: str = ""
    precision: str = "auto"
    device: str = "auto"
    launcher: str = "serial"
    shards: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("trials", 2), ("chunk_rows", 1), ("shards", 1), ("least_tokens", 2)):
            if getattr(self, name) < least:
                rule, value = f"must be at least {least}", getattr(self, name)
                raise SettingError(name, value, rule, remedy="Raise it")
        for name in ("fine_share", "margin"):
            if not 0 < getattr(self, name) < 1:
                value, remedy = getattr(self, name), "0.99 and 0.05 are the defaults"
                raise SettingError(name, value, "must lie in (0, 1)", remedy=remedy)
        if self.grid()[-1] < self.least_tokens:
            rule = f"must reach least_tokens ({self.least_tokens})"
            raise SettingError("lengths", self.lengths, rule, remedy="Measure longer ones")
        self.layout()
        check_control(self.control)

    def layout(self) -> Layout:
        """The positions of scored tokens."""
        return Layout(mode=self.mode, cue_tokens=self.cue_tokens, scored_tokens=self.scored_tokens)

    def grid(self) -> list[int]:
        """The lengths [tokens]."""
        return parse_lengths(self.lengths)


@dataclass(frozen=True, kw_only=True)
class MemorySettings:
    """A short probe curve that `burnish improve` measures twice.

    `margin`: how much copy accuracy, mean over the lengths, may fall and still count as kept.
    `trials`: 0 leaves memory unmeasured.
    """

    lengths: str = "64:512:x2"
    trials: int = 6
    corpus: str = "stdlib"
    margin: float = 0.05

    def __post_init__(self) -> None:
        if self.trials:
            self.curve(seed=0)

    def curve(self, *, seed: int) -> RecallSettings:
        """The settings of the curve; the model is given by the actor."""
        return RecallSettings(
            lengths=self.lengths, trials=self.trials, corpus=self.corpus, seed=seed
        )
