"""Aligned pairs of texts, read from a file and split by content into training and held-out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError
from burnish.base.files import existing_file
from burnish.base.records import read_records
from burnish.data.heldout import document_key
from burnish.data.plain import plain_documents

LEAST_HELDOUT = 2  # an interval needs two
ENDINGS = (".tsv", ".jsonl", ".jsonl.gz", ".json", ".parquet")


@dataclass(frozen=True, kw_only=True)
class TextPair:
    """A source and its translation."""

    source: str
    target: str


@dataclass(frozen=True, kw_only=True)
class Parted:
    """Training and held-out pairs, and how many were left out of either."""

    train: Sequence[TextPair]
    heldout: Sequence[TextPair]
    num_pairs: int
    num_duplicates: int
    num_overlapping: int

    def facts(self) -> dict[str, int]:
        """The counts, as a result lists them."""
        return {
            "num_pairs": self.num_pairs,
            "num_duplicates": self.num_duplicates,
            "num_overlapping": self.num_overlapping,
            "num_train_pairs": len(self.train),
            "num_heldout_pairs": len(self.heldout),
        }


class _Counted:
    num_line_ends = 0


def read_pairs(path: Path | str, *, source: str = "source", target: str = "target") -> list:
    """Pairs of a .tsv file (source, tab, target), or of rows with these two columns.

    Raises MissingFileError; InputError, with file and line, for a row that is no pair.
    Source: ours. Oracle: tests/arch/seq2seq/test_pairs.py::test_both_formats_read_the_same
    """
    path = existing_file(path)
    if not path.name.endswith(ENDINGS):
        rule, remedy = f"must end in one of {', '.join(ENDINGS)}", "Rename or convert it"
        raise InputError("pairs", str(path), rule, remedy=remedy)
    rows = _lines(path) if path.suffix == ".tsv" else _rows(path, source, target)
    pairs = [_checked(place, both) for place, both in rows]
    if not pairs:
        rule = "must contain a pair"
        raise InputError(f"pairs {path}", 0, rule, remedy="Write source, tab, target")
    return pairs


def part_pairs(pairs: Sequence[TextPair], *, heldout_frac: float, seed: int) -> Parted:
    """Hold out pairs by a hash of the source; of pairs with one source, the first is kept.

    A training pair whose source or target is also that of a held-out pair is left out.
    Raises InputError for fewer than three distinct pairs.
    Source: ours. Oracle: tests/arch/seq2seq/test_pairs.py::test_no_text_is_on_both_sides
    """
    distinct = list({pair.source: pair for pair in reversed(pairs)}.values())[::-1]
    if len(distinct) <= LEAST_HELDOUT:
        rule = "must contain three pairs with distinct sources: one to train on, two to measure on"
        raise InputError("pairs", len(distinct), rule, remedy="Add pairs")
    order = sorted(distinct, key=lambda pair: document_key(pair.source, seed))
    num = min(max(LEAST_HELDOUT, round(heldout_frac * len(order))), len(order) - 1)
    heldout = order[:num]
    told = {text for pair in heldout for text in (pair.source, pair.target)}
    train = [pair for pair in order[num:] if not {pair.source, pair.target} & told]
    if not train:
        rule = "must leave a training pair that shares no text with the held-out pairs"
        raise InputError("pairs", len(distinct), rule, remedy="Lower heldout_frac, or add pairs")
    return Parted(
        train=train,
        heldout=heldout,
        num_pairs=len(pairs),
        num_duplicates=len(pairs) - len(distinct),
        num_overlapping=len(order) - num - len(train),
    )


def _checked(place: str, both: tuple[Any, Any]) -> TextPair:
    for side, text in zip(("source", "target"), both, strict=True):
        if not isinstance(text, str) or not text.strip():
            remedy = "Correct or remove the line"
            raise InputError(f"{place}: {side}", text, "must contain text", remedy=remedy)
    return TextPair(source=both[0].strip(), target=both[1].strip())


def _lines(path: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    try:
        lines = list(plain_documents(path, "lines", _Counted()))
    except InputError as error:
        raise InputError(error.name, error.value, error.rule, remedy="Write UTF-8 text") from None
    for number, line in enumerate(lines, start=1):
        parts = line.split("\t")
        if len(parts) != 2:
            got, rule = line[:60], "must have two texts separated by a tab"
            remedy = "Write source, tab, target; or rows of JSON with columns"
            raise InputError(f"{path}:{number}", got, rule, remedy=remedy)
        yield f"{path}:{number}", (parts[0], parts[1])


def _rows(path: Path, source: str, target: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for number, row in enumerate(read_records(path), start=1):
        for name in (source, target):
            if name not in row:
                rule = f"must have the column {name!r}"
                remedy = "Name the columns with --set source=NAME --set target=NAME"
                got = ", ".join(row)[:80]
                raise InputError(f"{path}:row {number}", got, rule, remedy=remedy)
        yield f"{path}:row {number}", (row[source], row[target])
