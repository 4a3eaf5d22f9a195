"""`constant`: a deliberately bad drafter; whatever it says, the text must stay the same."""

from collections.abc import Sequence
from dataclasses import dataclass

from burnish.contracts.drafter import Anchor, Draft, Proposer, Riders
from burnish.draft import drafters
from burnish.draft.firp import check_sizes
from burnish.models.load import Model


@drafters.register("constant")
@dataclass(frozen=True, kw_only=True)
class Constant:
    """Drafts `num` times the token `token`. Source: ours."""

    token: int = 0
    num: int = 3

    def __post_init__(self) -> None:
        check_sizes(token=self.token, num=self.num)

    def begin(self, model: Model) -> Proposer:
        """Begin on a model; any model works."""
        return ConstantProposer(self)


class ConstantProposer:
    """Proposes the same chain every time."""

    riders: Riders | None = None

    def __init__(self, settings: Constant) -> None:
        self._chain, self.num_nodes = (settings.token,) * settings.num, 1 + settings.num

    def propose(self, anchors: Sequence[Anchor]) -> list[Draft]:
        """The constant chain after each root."""
        parents = tuple(range(-1, len(self._chain)))
        return [Draft(tokens=(a.tokens[-1], *self._chain), parents=parents) for a in anchors]
