"""What prompts begin with alike, read once and kept for the next ones."""

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from burnish.contracts.session import Session
from burnish.engine.session import LEAST_ROWS
from burnish.engine.trie import common_length

Tokens = tuple[int, ...]
NUM_RECENT = 16  # prompts that a new one is compared with
MOST_KEPT = 8  # beginnings: their keys and values stay in memory


@dataclass(eq=False)
class Beginning:
    """What several prompts begin with, and the keys and values of the part that was read."""

    tokens: Tokens
    read: Tokens = ()  # what `state` holds: `tokens`, or a beginning of them
    state: Any = None

    @property
    def is_read(self) -> bool:
        """Whether the whole beginning is kept."""
        return self.read == self.tokens

    def fits(self, prompt: Tokens) -> bool:
        """Whether a prompt begins with it, and leaves enough to read."""
        length = len(self.tokens)
        return length <= len(prompt) - LEAST_ROWS and prompt[:length] == self.tokens


class Prefixes:
    """Beginnings of prompts with their keys and values; new prompts may replace or extend one.

    A prompt uses one where a piece of at least `LEAST_ROWS` tokens is left to read: smaller pieces
    take another path through the attention kernel, and then the numbers of a request would depend
    on what was read before. Prompts that are known together may have several beginnings, examples
    of their group for instance. Next turns of a conversation extend the beginning that the last
    turn left, so that the conversation is not read again.
    Source: ours; prompt caching as llama.cpp's server and vLLM have it.
    Oracle: tests/engine/test_loop.py::test_prompts_that_begin_alike_are_read_once
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known = list[Beginning]()
        self._recent = deque[Tokens](maxlen=NUM_RECENT)

    def share(self, prompts: Sequence[Tokens]) -> None:
        """Take what several prompts begin with, and what groups of them do."""
        self._take(shared_prefixes(prompts))

    def learn(self, prompt: Tokens) -> None:
        """Take what a new prompt and a recent one begin with, where that is clearly longer."""
        known = self.of(prompt)
        longest = max((_common(old, prompt) for old in self._recent), default=0)
        if longest >= (len(known.tokens) if known else 0) + LEAST_ROWS:
            self._take([prompt[:longest]])
        self._recent.append(prompt)

    def of(self, prompt: Tokens) -> Beginning | None:
        """The longest beginning that a prompt can use."""
        return max(self._fitting(prompt), key=lambda one: len(one.tokens), default=None)

    def unread(self, prompts: Sequence[Tokens]) -> list[tuple[Beginning, Tokens]]:
        """What these prompts begin with and is not read, shortest first, with a prompt of each."""
        found = {id(one): (one, prompt) for prompt in prompts for one in self._fitting(prompt)}
        unread = [(one, prompt) for one, prompt in found.values() if not one.is_read]
        return sorted(unread, key=lambda pair: len(pair[0].tokens))

    def num_left(self, prompt: Tokens) -> int:
        """Tokens of a prompt that have to be read."""
        return len(prompt) - len(self._longest_read(prompt).read)

    def open(self, slot: int, prompt: Tokens) -> int:
        """Empty a slot, or put what is kept of a prompt into it; how many tokens that is."""
        known = self._longest_read(prompt)
        if known.read:
            self._session.restore(slot, known.state)
        else:
            self._session.clear(slot)
        return len(known.read)

    def keep(self, known: Beginning, slot: int) -> None:
        """Keep a beginning, which is all that a slot holds."""
        known.read, known.state = known.tokens, self._session.snapshot(slot)

    def _fitting(self, prompt: Tokens) -> list[Beginning]:
        return [one for one in self._known if one.fits(prompt)]

    def _longest_read(self, prompt: Tokens) -> Beginning:
        fitting = self._fitting(prompt)
        return max(fitting, key=lambda one: len(one.read), default=Beginning(tokens=()))

    def _take(self, tokens: Sequence[Tokens]) -> None:
        taken = [Beginning(tokens=one) for one in tokens]
        for one in taken:
            for old in self._known:
                if len(one.read) < len(old.read) and one.tokens[: len(old.read)] == old.read:
                    one.read, one.state = old.read, old.state
        self._known = taken


def shared_prefixes(prompts: Sequence[Tokens]) -> list[Tokens]:
    """What all of several prompts begin with, and what groups of them do, the most saving ones.

    Each leaves pieces of at least `LEAST_ROWS` tokens to read, and is as much longer than that of
    the group around it. No more than `MOST_KEPT`.
    Source: ours. Oracle: tests/engine/test_generate.py::test_shared_prefix_changes_no_text
    """
    found = list[tuple[int, Tokens]]()
    usable = sorted(prompt[: max(len(prompt) - LEAST_ROWS, 0)] for prompt in set(prompts))
    groups = [(usable, 0)] if usable else []
    while groups:
        group, known = groups.pop()
        alike = common_length(group[0], group[-1])  # all others lie between them
        if len(group) > 1 and alike >= known + LEAST_ROWS:
            found.append(((len(group) - 1) * (alike - known), group[0][:alike]))
            known = alike
        parts = itertools.groupby(group, key=lambda prompt: prompt[alike : alike + 1])
        groups += [(list(part), known) for next_token, part in parts if next_token]
    found.sort(key=lambda one: one[0], reverse=True)
    return [tokens for _, tokens in found[:MOST_KEPT]]


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
