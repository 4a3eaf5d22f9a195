"""The cost of a step and what it reports; plan, result and page are put together from these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from burnish.contracts.page import Block, Page
from burnish.contracts.record import Claim, Gate

Section = Literal["results", "controls", "training", "memory", "samples", "notes"]
SECTIONS: tuple[Section, ...] = ("results", "controls", "training", "memory", "samples", "notes")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The expected cost of a step. Tokens and disk add up over steps; memory is a peak.

    `num_items`: the expected number of items in each value that the step writes; later steps
    plan with it.
    """

    generated_tokens: int = 0
    prefilled_tokens: int = 0
    trained_tokens: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    num_items: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a step contributes to `result.json` and to the page.

    `section` orders claims, gates and blocks; within a section, steps keep their order. `numbers`
    are merged into the result, nested mappings included. Tables with the same title become one
    table. `verdict` is the page's first sentence and its colour; a job has one.
    """

    section: Section = "results"
    numbers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    gates: Sequence[Gate] = ()
    claims: Sequence[Claim] = ()
    headline: Sequence[tuple[str, str, str]] = ()
    blocks: Sequence[Block] = ()
    verdict: tuple[str, bool | Literal["measured"] | None] | None = None

    @classmethod
    def of_page(cls, page: Page, numbers: Mapping[str, Any]) -> Self:
        """The report of a one-step job: the page's verdict, tiles and blocks, and its numbers."""
        return cls(
            numbers=numbers,
            headline=page.headline,
            blocks=page.blocks,
            verdict=(page.verdict, page.good),
        )
