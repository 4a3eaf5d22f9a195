"""Pairs from files, parted by content; and what is told of wrong ones."""

import re
from pathlib import Path
from typing import Any

import pytest
from fixtures.translating import write_pairs

from burnish.arch.seq2seq import pairs as module
from burnish.arch.seq2seq.pairs import TextPair, part_pairs, read_pairs
from burnish.base.errors import InputError, MissingFileError
from burnish.base.records import write_records


def test_both_formats_read_the_same(tmp_path: Path) -> None:
    found = read_pairs(write_pairs(tmp_path))
    assert len(found) == 60 and found[1].target.split()[:-1] == found[1].source.split()[::-1]
    rows = [{"en": pair.source, "de": pair.target, "more": 1} for pair in found]
    for name in ("pairs.jsonl", "pairs.json", "pairs.parquet", "pairs.jsonl.gz"):
        write_records(tmp_path / name, rows)
        assert read_pairs(tmp_path / name, source="en", target="de") == found
    (tmp_path / "windows.tsv").write_bytes(b"\xef\xbb\xbfa b\tc\r\nd\te\r\n")
    read = read_pairs(tmp_path / "windows.tsv")
    assert read == [TextPair(source="a b", target="c"), TextPair(source="d", target="e")]


WRONG = [
    ("a\tb\nno tab\n", "pairs.tsv:2 must have two texts separated by a tab, got 'no tab'"),
    ("a\tb\tc\n", "pairs.tsv:1 must have two texts separated by a tab"),
    ("a\t \n", "pairs.tsv:1: target must contain text, got ''"),
    ("\tb\n", "pairs.tsv:1: source must contain text"),
    ("\n", "pairs.tsv:1 must have two texts"),
    ("", "pairs.tsv must contain a pair, got 0"),
    (b"a\xff\tb\n", "got 'byte 1'. Write UTF-8 text."),
    (b"a\0\tb\n", "NUL"),
]


@pytest.mark.parametrize(("content", "says"), WRONG)
def test_wrong_lines(content: Any, says: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        read_pairs(path)
    text = str(caught.value)
    assert says.replace("got ''", "got ") in text.replace("got ' '", "got ") and len(text) < 400


def test_wrong_rows(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"source": "a", "target": "b"}\n{"source": "a", "zeil": "b"}\n')
    with pytest.raises(InputError, match="row 2 must have the column 'target', got 'source, zeil'"):
        read_pairs(path)
    path.write_text('{"source": 3, "target": "b"}\n')
    with pytest.raises(InputError, match=re.escape("row 1: source must contain text, got 3")):
        read_pairs(path)
    with pytest.raises(MissingFileError):
        read_pairs(tmp_path / "none.tsv")
    with pytest.raises(InputError, match=re.escape("must end in one of .tsv")):
        read_pairs(write_pairs(tmp_path).rename(tmp_path / "pairs.csv"))


def check_apart(part: Any) -> None:
    pairs = [TextPair(source=f"s{i % 40}", target=f"t{i % 25}") for i in range(50)]
    parted = part(pairs, heldout_frac=0.2, seed=3)
    assert (parted.num_pairs, parted.num_duplicates, len(parted.heldout)) == (50, 10, 8)
    sides = [{t for p in side for t in (p.source, p.target)} for side in
             (parted.train, parted.heldout)]  # fmt: skip
    assert not sides[0] & sides[1]
    assert len(parted.train) + parted.num_overlapping == 32 and parted.num_overlapping > 0
    assert {p.source: p.target for p in parted.train}.items() <= {
        f"s{i}": f"t{i % 25}" for i in range(40)
    }.items()


def test_no_text_is_on_both_sides() -> None:
    check_apart(part_pairs)
    pairs = [TextPair(source=f"s{i}", target=f"t{i}") for i in range(30)]
    one, two = (part_pairs(pairs, heldout_frac=0.2, seed=seed) for seed in (1, 2))
    assert one.heldout != two.heldout
    shuffled = part_pairs(pairs[::-1], heldout_frac=0.2, seed=1)
    assert shuffled.heldout == one.heldout and shuffled.train == one.train


def test_planted_copies_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held out by a hash of the pair's place instead of its source."""
    count = iter(range(1000))
    monkeypatch.setattr(module, "document_key", lambda text, seed: f"{next(count):04}")

    def by_target(pairs: Any, **given: Any) -> Any:
        parted = part_pairs(pairs, **given)
        more = [p for p in pairs if p not in parted.heldout]
        return type(parted)(**{**vars(parted), "train": more})

    with pytest.raises(AssertionError):
        check_apart(by_target)


def test_too_few() -> None:
    pairs = [TextPair(source=f"s{i}", target="t") for i in range(9)]
    with pytest.raises(InputError, match="three pairs with distinct sources"):
        part_pairs(pairs[:2], heldout_frac=0.2, seed=0)
    with pytest.raises(InputError, match="must leave a training pair"):
        part_pairs(pairs, heldout_frac=0.2, seed=0)
