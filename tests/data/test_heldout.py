"""Held-out documents: whole, seeded, by content."""

import pytest

from burnish.base.errors import InputError
from burnish.data.heldout import document_key, survey
from burnish.data.mixtures import Skipped, Text


def texts(*found: str) -> list[Text]:
    return [Text(part=0, file="a.txt", text=text) for text in found]


def held(*found: str, frac: float = 0.05, seed: int = 0) -> set[str]:
    told = survey(texts(*found), Skipped(), heldout_frac=frac, seed=seed)
    return {text for text in found if document_key(text, seed) in told.heldout}


def test_duplicates_are_on_one_side() -> None:
    many = [f"text {i % 30} {'x' * (i % 30)}" for i in range(90)]
    told = survey(texts(*many), Skipped(), heldout_frac=0.25, seed=3)
    assert (told.num_documents, told.num_duplicates) == (90, 60)
    sides = {text: document_key(text, 3) in told.heldout for text in many}
    assert 0 < sum(sides.values()) < 30  # of 30 distinct ones
    assert told.num_heldout_bytes == sum(len(t) for t, is_held in sides.items() if is_held)


def test_the_split_is_seeded_and_sized() -> None:
    many = [f"document number {i}" for i in range(400)]
    assert held(*many) == held(*reversed(many))
    assert held(*many) != held(*many, seed=1)
    assert 78 <= len(held(*many)) <= 82  # a fifth: the corpus is small
    # a large document is passed over where others make up the part
    assert "z" * 9000 not in held(*many, "z" * 9000)


@pytest.mark.parametrize("found", [["A", "B", "A", "C"], ["a" * 999, "b" * 999, "c"]])
def test_few_documents(found: list[str]) -> None:
    assert len(held(*found, frac=0.25)) == 2


def test_one_paragraph_fifty_times() -> None:
    with pytest.raises(InputError, match="50 documents, 1 distinct"):
        survey(texts(*["the same paragraph"] * 50), Skipped(), heldout_frac=0.1, seed=0)
    with pytest.raises(InputError, match="0 documents"):
        survey([], Skipped(), heldout_frac=0.1, seed=0)


def test_documents_are_added_until_the_part_is_whole() -> None:
    """A fifth of 80 bytes is 16: three documents of 5 are one byte too few."""
    assert len(held(*[f"doc{i:02d}" for i in range(16)])) == 4
    assert len(held(*[f"doc{i:02d}" for i in range(15)])) == 3
