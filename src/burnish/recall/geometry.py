"""Where the scored tokens stand, in both modes."""

from dataclasses import dataclass

from burnish.base.errors import SettingError

ESTIMATORS = {
    "paper": "second half of a whole repetition (Forgetting Curve, arXiv 2410.04727)",
    "probe": "short cue after the prefix (ours; the same distance, another estimator)",
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What follows a prefix of L tokens: the first tokens of the same text, the last scored.

    `paper`: all L, of which the last ceil(L/2) are scored; the rest shows that this is a copy.
    `probe`: a cue, then `scored_tokens`; where L is short, the cue is at most L/2.
    In both, a scored token's source lies exactly L+1 tokens before it, so a query looks back L.
    Source: official code, `get_order_example` and `get_acc`; probe mode is ours.
    Departure: the closing EOS is not fed, since no scored row sees it.
    Oracle: tests/recall/test_geometry.py::test_scored_tokens_by_hand
    """

    mode: str = "probe"
    cue_tokens: int = 32
    scored_tokens: int = 128

    def __post_init__(self) -> None:
        if self.mode not in ESTIMATORS:
            remedy = "paper repeats the whole text, probe its beginning"
            raise SettingError("mode", self.mode, "must be paper or probe", remedy=remedy)
        for name in ("cue_tokens", "scored_tokens"):
            if getattr(self, name) < 1:
                value, remedy = getattr(self, name), "32 and 128 are usual"
                raise SettingError(name, value, "must be at least 1", remedy=remedy)

    def repeated(self, length: int) -> int:
        """How many tokens of the text are repeated."""
        if self.mode == "paper":
            return length
        return min(length, min(self.cue_tokens, length // 2) + self.scored_tokens)

    def scored(self, length: int) -> int:
        """How many of the repeated tokens, the last ones, are scored."""
        if self.mode == "paper":
            return -(-length // 2)
        return self.repeated(length) - min(self.cue_tokens, length // 2)

    def positions(self, length: int) -> range:
        """The positions of the rows that predict the scored tokens; the first token is 0."""
        last = 1 + length + self.repeated(length)  # two separators, less the last token
        return range(last - self.scored(length), last)


def parse_lengths(text: str) -> list[int]:
    """Lengths [tokens] from `64:1024:x2`, `64:1024:+96`, `8:1024:32` (evenly) or `64,256,512`.

    The end always belongs to the grid. Raises SettingError.
    """
    parts = text.split(":")
    try:
        if len(parts) == 1:
            found = [int(part) for part in text.split(",")]
        elif len(parts) == 3:
            found = _grid(int(parts[0]), int(parts[1]), parts[2].strip())
        else:
            raise ValueError
    except (ValueError, OverflowError):
        rule = "must be FIRST:LAST:STEP or a list"
        remedy = "For example 64:1024:x2, 64:1024:+96, 8:1024:32 (points) or 64,256,512"
        raise SettingError("lengths", text, rule, remedy=remedy) from None
    if not found or min(found) < 2 or sorted(set(found)) != found:
        rule = "must grow, and begin with 2 tokens or more"
        raise SettingError("lengths", text, rule, remedy="Write them in order, each once")
    return found


def _grid(first: int, last: int, step: str) -> list[int]:
    if not 0 < first < last:
        raise ValueError
    if step.startswith("x"):
        factor, found = float(step[1:]), [first]
        if not 1.01 <= factor < 1e6:
            raise ValueError
        while round(first * factor ** len(found)) < last:
            found.append(max(found[-1] + 1, round(first * factor ** len(found))))
        return [*found, last]
    if step.startswith("+"):
        return [*range(first, last, int(step[1:])), last]
    num = int(step)
    if num < 2:
        raise ValueError
    return sorted({round(first + (last - first) * i / (num - 1)) for i in range(num)})
