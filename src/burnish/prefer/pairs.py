"""Pairs of answers as tokens: what training, auditing and measuring read."""

from collections.abc import Sequence
from dataclasses import dataclass

from burnish.base.canonical import content_hash
from burnish.base.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two answers to one prompt, of which the first was preferred. `row` is its place in a file.

    `cut` says which answers, chosen and rejected, lost their end to the length limit.
    """

    row: int
    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    cut: tuple[bool, bool] = (False, False)

    def __post_init__(self) -> None:
        sizes = (len(self.prompt), *self.lengths)
        if not all(sizes):
            remedy = "Leave the row out, or give each at least one token"
            rule = "must have a prompt and two answers [tokens]"
            raise InputError(f"row {self.row}", sizes, rule, remedy=remedy)

    def __len__(self) -> int:
        """Rows of a pass that computes the prompt once; an answer's last token predicts nothing."""
        return len(self.prompt) + sum(self.lengths) - 2

    @property
    def lengths(self) -> tuple[int, int]:
        """Tokens of the chosen and of the rejected answer, the end token included."""
        return len(self.chosen), len(self.rejected)

    @property
    def excess_tokens(self) -> int:
        """Chosen minus rejected length."""
        return len(self.chosen) - len(self.rejected)

    @property
    def num_terms(self) -> int:
        """1: a step's loss is the mean over its pairs."""
        return 1

    @property
    def num_answer_tokens(self) -> int:
        """Tokens of both answers."""
        return sum(self.lengths)

    @property
    def key(self) -> str:
        """Hash of all tokens: what the log-probabilities of its answers depend on."""
        return content_hash([self.prompt, self.chosen, self.rejected])


def all_lengths(pairs: Sequence[Pair]) -> tuple[tuple[int, int], ...]:
    """Answer lengths [tokens] of every pair, chosen first."""
    return tuple(pair.lengths for pair in pairs)
