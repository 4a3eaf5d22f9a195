"""Examples, and the order in which a run sees them: a plain function of the seed."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from burnish.base.errors import InputError
from burnish.base.rng import stream
from burnish.data.packing import pack
from burnish.train.settings import TrainSettings


@runtime_checkable
class Item(Protocol):
    """What the loop can learn from: a text, a pair of answers. Its length is its rows in a pass."""

    def __len__(self) -> int:
        """Rows of a forward pass [tokens]."""
        ...

    @property
    def num_terms(self) -> int:
        """Terms that it adds to the sum of which a step takes the mean."""
        ...

    @property
    def num_answer_tokens(self) -> int:
        """Tokens that are learned from."""
        ...


@dataclass(frozen=True, kw_only=True)
class Example:
    """A text to learn: the loss is on the answer's tokens only."""

    id: str
    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    def __post_init__(self) -> None:
        if not (self.prompt and self.answer):
            got = (len(self.prompt), len(self.answer))
            remedy = "Give each at least one token"
            name = f"example {self.id}"
            raise InputError(name, got, "must have a prompt and an answer", remedy=remedy)

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)

    @property
    def num_terms(self) -> int:
        """A step's loss is the mean over its answer tokens."""
        return len(self.answer)

    @property
    def num_answer_tokens(self) -> int:
        """Tokens that are learned from."""
        return len(self.answer)


Pass = tuple[int, ...]  # indices of the examples of one forward pass
Step = tuple[Pass, ...]


def plan_steps(examples: Sequence[Item], settings: TrainSettings) -> list[Step]:
    """Every step of the run, as passes of example indices; the same for the same seed.

    Passes are packed by length and never exceed `pass_tokens`, so nothing is padded; every epoch
    sees each example once. With `num_steps` there are exactly so many, over as many epochs as
    that takes.
    Source: ours. Oracle: tests/train/test_examples.py::test_every_example_once_an_epoch
    """
    if not examples:
        raise InputError("training set", 0, "must contain an example", remedy="Sample more answers")
    steps: list[Step] = []
    for epoch in itertools.count() if settings.num_steps else range(settings.epochs):
        rng = stream(settings.seed, "epoch", epoch)
        order = rng.permutation(len(examples)).tolist()
        for begin in range(0, len(order), settings.examples_per_step):
            chosen = order[begin : begin + settings.examples_per_step]
            lengths = [len(examples[index]) for index in chosen]
            bins = pack(lengths, settings.pass_tokens, rng=rng)
            steps.append(tuple(tuple(chosen[place] for place in one) for one in bins))
            if len(steps) == settings.num_steps:
                return steps
    return steps
