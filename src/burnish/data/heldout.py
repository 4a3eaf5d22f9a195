"""Which documents of a corpus are kept apart from training: by content, seeded, whole."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from burnish.base.errors import InputError
from burnish.data.mixtures import Skipped, Text

LEAST_DOCUMENTS = 2  # an interval needs two
ENOUGH_BYTES = 600_000  # a small corpus gives up to a fifth of itself for as much
MOST_BYTES = 10_000_000  # more only costs time


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a corpus holds, and which documents are held out (their keys)."""

    num_documents: int
    num_duplicates: int
    num_bytes: int
    num_heldout_bytes: int
    files: dict[str, int]  # documents by file
    heldout: frozenset[str]
    skipped: Skipped

    def facts(self) -> dict[str, Any]:
        """The numbers, as a result has them."""
        return {
            "num_files": len(self.files),
            "num_documents": self.num_documents,
            "num_duplicates": self.num_duplicates,
            "num_bytes": self.num_bytes,
            "num_heldout_documents": len(self.heldout),
            "num_heldout_bytes": self.num_heldout_bytes,
            "num_empty": self.skipped.num_empty,
            "num_line_ends": self.skipped.num_line_ends,
            "skipped_files": dict(self.skipped.files),
        }


def document_key(text: str, seed: int) -> str:
    """The place of a document among all: equal texts have equal keys."""
    return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()[:24]


def survey(texts: Iterable[Text], skipped: Skipped, *, heldout_frac: float, seed: int) -> Survey:
    """Read all documents once, count them, and choose the held-out ones.

    Documents are taken in the order of their keys until they hold `heldout_frac` of the bytes, or
    as many as `ENOUGH_BYTES` says; one that would double that is passed over. Duplicates share a
    key, so they are on one side. About 150 bytes of memory a document.
    Raises InputError for a corpus of fewer than three distinct documents.
    Source: ours. Oracle: tests/data/test_heldout.py::test_duplicates_are_on_one_side
    """
    files: Counter[str] = Counter()
    sizes: dict[str, int] = {}
    copies: Counter[str] = Counter()
    num_bytes = 0
    for text in texts:
        files[text.file] += 1
        key, size = document_key(text.text, seed), len(text.text.encode())
        copies[key] += 1
        sizes[key] = size
        num_bytes += size
    num_documents = copies.total()
    _check(num_documents, len(sizes), skipped)
    chosen = _choose(sizes, num_bytes, heldout_frac)
    return Survey(
        num_documents=num_documents,
        num_duplicates=num_documents - len(sizes),
        num_bytes=num_bytes,
        num_heldout_bytes=sum(sizes[key] for key in chosen),
        files=dict(files),
        heldout=frozenset(chosen),
        skipped=skipped,
    )


def _check(num_documents: int, num_distinct: int, skipped: Skipped) -> None:
    if num_distinct > LEAST_DOCUMENTS:
        return
    got = f"{num_documents} documents, {num_distinct} distinct"
    if skipped.files:
        got += f", {len(skipped.files)} files skipped"
    rule = "must contain three distinct documents: one to train on, two to measure on"
    remedy = "Add texts; --set units=lines or units=paragraphs splits long ones"
    raise InputError("corpus", got, rule, remedy=remedy)


def _choose(sizes: dict[str, int], num_bytes: int, heldout_frac: float) -> list[str]:
    target = max(heldout_frac * num_bytes, min(ENOUGH_BYTES, num_bytes / 5))
    target = min(target, max(MOST_BYTES, 1))
    chosen: list[str] = []
    total, order = 0, sorted(sizes)
    for key in order:
        if total >= target and len(chosen) >= LEAST_DOCUMENTS:
            break
        if total + sizes[key] <= 2 * target:
            chosen.append(key)
            total += sizes[key]
    for key in sorted(order, key=lambda k: (sizes[k], k)):  # documents are few and large
        if len(chosen) >= LEAST_DOCUMENTS:
            break
        if key not in chosen:
            chosen.append(key)
    return chosen if len(chosen) < len(sizes) else chosen[:-1]
