"""The one count of what a model was made to do."""

from collections.abc import Mapping
from typing import Self

from burnish.base.errors import SettingError, UnknownNameError
from burnish.base.naming import suggest

KINDS = ("generated", "prefilled", "trained_on", "scored", "passes")


class Meter:
    """Counts tokens (generated, prefilled, trained on, scored) and forward passes, by stage.

    `stage` is the label that `add` counts under; merging keeps labels apart. All kinds are in
    tokens, except `passes`, which counts forward passes of the network.
    Source: ours.
    """

    def __init__(self, stage: str = "") -> None:
        self.stage = stage
        self._counts: dict[str, dict[str, int]] = {}

    def add(self, kind: str, n: int) -> None:
        """Count `n` more of `kind`. Raises: UnknownNameError; SettingError, if `n` < 0."""
        self._add(self.stage, kind, n)

    def merge(self, other: "Meter") -> None:
        """Add all counts of another meter, under its labels."""
        for stage, counts in other.to_dict().items():
            for kind, n in counts.items():
                self._add(stage, kind, n)

    def totals(self) -> dict[str, int]:
        """Every kind's count, over all stages."""
        return {k: sum(c.get(k, 0) for c in self._counts.values()) for k in KINDS}

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Counts by stage, then kind; only those that were added."""
        return {stage: dict(counts) for stage, counts in self._counts.items()}

    @classmethod
    def from_dict(cls, counts: Mapping[str, Mapping[str, int]], *, stage: str = "") -> Self:
        """Rebuild a meter from `to_dict`, for example out of a stage that is reused."""
        meter = cls(stage)
        for label, kinds in counts.items():
            for kind, n in kinds.items():
                meter._add(label, kind, n)
        return meter

    def _add(self, stage: str, kind: str, n: int) -> None:
        if kind not in KINDS:
            remedy = suggest(kind, KINDS)
            raise UnknownNameError("meter kind", kind, "is not counted", remedy=remedy)
        if n < 0:
            raise SettingError(f"count of {kind}", n, "must not be negative", remedy="Add up only")
        counts = self._counts.setdefault(stage, {})
        counts[kind] = counts.get(kind, 0) + int(n)
