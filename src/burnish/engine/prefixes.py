"""What prompts begin with alike, read once and kept for the next ones."""

import itertools
from collections import deque
from collections.abc import Sequence
from typing import Any

from burnish.contracts.session import Session
from burnish.engine.session import LEAST_ROWS

Tokens = tuple[int, ...]
NUM_RECENT = 16  # prompts that a new one is compared with


class Prefixes:
    """One beginning of prompts and its keys and values; new prompts may replace or extend it.

    A prompt uses it where a piece of at least `LEAST_ROWS` tokens is left to read: smaller pieces
    take another path through the attention kernel, and then the numbers of a request would depend
    on what was read before. Next turns of a conversation extend the beginning that the last turn
    left, so that the conversation is not read again.
    Source: ours; prompt caching as llama.cpp's server and vLLM have it.
    Oracle: tests/engine/test_loop.py::test_prompts_that_begin_alike_are_read_once
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.tokens: Tokens = ()
        self._read: Tokens = ()  # what `_state` holds: `tokens`, or a beginning of them
        self._state: Any = None
        self._recent = deque[Tokens](maxlen=NUM_RECENT)

    @property
    def is_read(self) -> bool:
        """Whether the whole beginning is kept."""
        return self._read == self.tokens

    def share(self, prompts: Sequence[Tokens]) -> None:
        """Take what all of several prompts begin with."""
        self._take(shared_prefix(prompts))

    def learn(self, prompt: Tokens) -> None:
        """Take what a new prompt and a recent one begin with, where that is clearly longer."""
        known = len(self.tokens) if self.begins(prompt) else 0
        longest = max((_common(old, prompt) for old in self._recent), default=0)
        if longest >= known + LEAST_ROWS:
            self._take(prompt[:longest])
        self._recent.append(prompt)

    def begins(self, prompt: Tokens) -> bool:
        """Whether a prompt begins with it, and leaves enough to read."""
        length = len(self.tokens)
        return 0 < length <= len(prompt) - LEAST_ROWS and prompt[:length] == self.tokens

    def num_left(self, prompt: Tokens) -> int:
        """Tokens of a prompt that have to be read."""
        return len(prompt) - (len(self._read) if self.begins(prompt) else 0)

    def open(self, slot: int, prompt: Tokens) -> int:
        """Empty a slot, or put the kept part of the beginning into it; how many tokens that is."""
        if self._read and self.begins(prompt):
            self._session.restore(slot, self._state)
            return len(self._read)
        self._session.clear(slot)
        return 0

    def keep(self, slot: int) -> None:
        """Keep the beginning, which is all that a slot holds."""
        self._read, self._state = self.tokens, self._session.snapshot(slot)

    def _take(self, tokens: Tokens) -> None:
        if tokens[: len(self._read)] != self._read:
            self._read, self._state = (), None
        self.tokens = tokens


def shared_prefix(prompts: Sequence[Tokens]) -> Tokens:
    """Tokens that all of several prompts begin with, if that leaves large pieces to read.

    Source: ours. Oracle: tests/engine/test_generate.py::test_shared_prefix_changes_no_text
    """
    distinct = set(prompts)
    if len(distinct) < 2:
        return ()
    most = max(min(map(len, distinct)) - LEAST_ROWS, 0)
    pairs = zip(min(distinct)[:most], max(distinct)[:most], strict=True)  # all lie between them
    shared = tuple(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return shared if len(shared) >= LEAST_ROWS else ()


def _common(old: Tokens, new: Tokens) -> int:
    """Tokens that two prompts begin with, without the last `LEAST_ROWS` of the new one."""
    low, high = 0, max(min(len(old), len(new) - LEAST_ROWS), 0)
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
