"""`first_order`: a solver's first evaluations draft, all of them verify. No second model."""

from collections.abc import Sequence
from dataclasses import dataclass

from burnish.base.errors import ModelError, SettingError
from burnish.contracts.drafter import Anchor, Draft, Proposer, Riders
from burnish.draft import drafters
from burnish.draft.candidates import merged
from burnish.engine.session import DecoderSession
from burnish.models.decoder import Decoder, first_order
from burnish.models.load import Model

LEAST_ROOM = 256  # tokens that a cache begins with; it doubles


@drafters.register("first_order")
@dataclass(frozen=True, kw_only=True)
class FirstOrder:
    """Drafts a chain of `tokens` tokens with one evaluation a layer, greedily.

    The first-order pass has a cache of its own: its keys and values are those of another stream.
    Source: ours; drafting with a part of the model: LayerSkip, arXiv 2404.16710.
    Oracle: tests/draft/test_first_order.py::test_drafted_equals_plain
    """

    tokens: int = 4

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise SettingError("tokens", self.tokens, "must be positive", remedy="Use 4")

    def begin(self, model: Model) -> Proposer:
        """Begin on a model. Raises ModelError if its layers are evaluated only once."""
        network = model.network
        if not isinstance(network, Decoder) or network.shape.solver is None:
            rule = "has no cheaper pass for drafting"
            remedy = "Draft with ngram, or convert it with arch upcycle --block pcformer:order=2"
            raise ModelError("model", model.spec, rule, remedy=remedy)
        return FirstOrderProposer(model, self.tokens)


class FirstOrderProposer:
    """Proposes chains from the first-order pass; texts are recognised by their prefixes."""

    riders: Riders | None = None

    def __init__(self, model: Model, num_tokens: int) -> None:
        self._model, self._num_tokens = model, num_tokens
        self.num_nodes = 1 + num_tokens
        self._session: DecoderSession | None = None
        self._read: list[list[int]] = []  # what each slot's cache holds

    def propose(self, anchors: Sequence[Anchor]) -> list[Draft]:
        """A chain of guesses for each text."""
        longest = max(len(anchor.tokens) for anchor in anchors)
        session = self._room(len(anchors), longest + self._num_tokens)
        slots = self._place([anchor.tokens for anchor in anchors])
        rest = [
            list(anchor.tokens[len(self._read[slot]) :])
            for anchor, slot in zip(anchors, slots, strict=True)
        ]
        chains: list[list[int]] = [[] for _ in anchors]
        network = self._model.network
        assert isinstance(network, Decoder)
        with first_order(network):
            for number in range(self._num_tokens):
                logits = session.prefill(slots, rest)
                for slot, own in zip(slots, rest, strict=True):
                    self._read[slot] += own
                rest = [[token] for token in logits.argmax(-1).tolist()]
                for chain, own in zip(chains, rest, strict=True):
                    chain += own
                if number + 1 == self._num_tokens:
                    break
        return [
            merged(Draft(tokens=(anchor.tokens[-1],)), chain)
            for anchor, chain in zip(anchors, chains, strict=True)
        ]

    def _place(self, texts: Sequence[Sequence[int]]) -> list[int]:
        """A slot for each text, the one that shares most with it; what differs is forgotten.

        At least the last token is read again: its logits are wanted.
        """
        assert self._session is not None
        free, slots = set(range(len(self._read))), []
        for tokens in texts:
            slot = max(free, key=lambda one: (_shared(self._read[one], tokens), -one))
            free.remove(slot)
            kept = min(_shared(self._read[slot], tokens), len(tokens) - 1)
            del self._read[slot][kept:]
            self._session.cache.rollback(slot, kept)
            slots.append(slot)
        return slots

    def _room(self, num_slots: int, num_tokens: int) -> DecoderSession:
        """A session with so much room; a larger one reads all texts again."""
        session = self._session
        enough = len(self._read) >= num_slots
        if session is not None and enough and session.cache.capacity_tokens >= num_tokens:
            return session
        room = LEAST_ROOM if session is None else session.cache.capacity_tokens
        while room < num_tokens:
            room *= 2
        network = self._model.network
        assert isinstance(network, Decoder)
        self._session = DecoderSession(
            network,
            num_slots=max(num_slots, len(self._read)),
            capacity_tokens=room,
            dtype=self._model.dtype,
            device=self._model.device,
        )
        self._read = [[] for _ in range(max(num_slots, len(self._read)))]
        return self._session


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens that two texts begin with alike."""
    for number, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return number
    return min(len(one), len(other))
