"""`ngram`: prompt lookup; what followed the text's end the last time it stood there."""

from collections.abc import Sequence
from dataclasses import dataclass

from burnish.base.errors import SettingError
from burnish.contracts.drafter import Anchor, Draft, Proposer, Riders
from burnish.draft import drafters
from burnish.draft.candidates import lookup, merged
from burnish.models.load import Model


@drafters.register("ngram")
@dataclass(frozen=True, kw_only=True)
class Ngram:
    """Drafts a chain of `tokens` tokens behind an earlier match of `min_match` to `max_match`.

    Source: prompt lookup decoding (Saxena 2023).
    Oracle: tests/draft/test_candidates.py::test_lookup_equals_brute_force
    """

    tokens: int = 4
    max_match: int = 4
    min_match: int = 2

    def __post_init__(self) -> None:
        if self.tokens < 1 or not 1 <= self.min_match <= self.max_match:
            value = (self.tokens, self.min_match, self.max_match)
            rule = "must be positive, and min_match at most max_match"
            raise SettingError("ngram", value, rule, remedy="4, 2 and 4 are usual")

    def begin(self, model: Model) -> Proposer:
        """Begin on a model; any model works."""
        return LookupProposer(self)


class LookupProposer:
    """Proposes chains looked up in the text itself."""

    riders: Riders | None = None

    def __init__(self, settings: Ngram) -> None:
        self._settings, self.num_nodes = settings, 1 + settings.tokens

    def propose(self, anchors: Sequence[Anchor]) -> list[Draft]:
        """A chain for each text that repeats itself, a root for the others."""
        given = self._settings
        sizes = {"max_match": given.max_match, "min_match": given.min_match}
        return [
            merged(Draft(tokens=(a.tokens[-1],)), lookup(a.tokens, given.tokens, **sizes))
            for a in anchors
        ]
