"""The text of growing tokens, piece by piece: no cut characters, no part of a stop string."""

from collections.abc import Callable, Sequence

BROKEN = "\ufffd"  # what decoding makes of half a character


class Deltas:
    """Pieces of text whose sum is the text of the completion, whatever the tokens.

    A piece is held back while it may end within a character, or begin a stop string.
    `decode` gives the text of tokens without special ones; `specials` are their names.
    Source: ours. Oracle: tests/server/test_deltas.py::test_pieces_are_the_text
    """

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        stop: Sequence[str] = (),
        specials: Sequence[str] = (),
    ) -> None:
        self._decode, self._tokens = decode, list[int]()
        self._begin = self._read = 0  # tokens of known text; from `begin` on they are decoded again
        self._held, self._sent = "", ""
        self._stops = {without for word in stop for without in _without(word, specials)}

    def add(self, tokens: Sequence[int]) -> str:
        """New text that is safe to send."""
        self._tokens += tokens
        num_known = len(self._held)
        before = self._decode(self._tokens[self._begin : self._read])
        now = self._decode(self._tokens[self._begin :])
        if len(now) > len(before) and not now.endswith(BROKEN):
            self._held += now[len(before) :]
            self._begin, self._read = self._read, len(self._tokens)
        safe = min((_safe(self._held, word, num_known) for word in self._stops), default=None)
        piece = self._held[:safe]
        self._held = self._held[len(piece) :]
        self._sent += piece
        return piece

    def finish(self, text: str) -> str:
        """What of the completion's text was not sent yet."""
        assert text.startswith(self._sent), "a piece was sent that is no part of the text"
        rest = text[len(self._sent) :]
        self._sent = text
        return rest


def _without(word: str, specials: Sequence[str]) -> set[str]:
    """A stop string, and what of it is text where special tokens are in it."""
    text = word
    for special in specials:
        text = text.replace(special, "")
    return {word, text} - {""}


def _safe(text: str, word: str, num_known: int) -> int:
    """Characters before a stop string that ends behind the first `num_known`, or that may begin."""
    found = text.find(word, max(num_known - len(word) + 1, 0))
    if found >= 0:
        return found
    most = min(len(text), len(word) - 1)
    return len(text) - next((n for n in range(most, 0, -1) if word.startswith(text[-n:])), 0)
