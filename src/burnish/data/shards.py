"""Tokens of a corpus in files that are mapped into memory; built in blocks, each of them once."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from burnish.base.canonical import file_hash
from burnish.base.errors import InputError
from burnish.base.files import atomic_write
from burnish.base.log import RecordLog
from burnish.base.progress import track
from burnish.base.records import read_records, write_records
from burnish.data.heldout import document_key
from burnish.data.mixtures import Text

SHARD_TOKENS = 1 << 24
BATCH_CHARACTERS = 1 << 20
PIECE_CHARACTERS = 1 << 20  # a longer document is tokenized in pieces, cut behind a line or space
NARROW = 1 << 16  # ids below fit 16 bits

Encode = Callable[[Sequence[str]], Sequence[Sequence[int]]]


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What surrounds each document: `end` behind it, `begin` before it where they differ."""

    end: int
    begin: int | None = None

    @property
    def first(self) -> int:
        """The token at which a document begins to be seen: what precedes its text."""
        return self.end if self.begin is None else self.begin


@dataclass(frozen=True, kw_only=True)
class Build:
    """How shards are built: what tokenizes, what marks documents, and who is held out."""

    encode: Encode
    marks: Marks
    vocab_size: int
    heldout: frozenset[str]
    seed: int
    shard_tokens: int = SHARD_TOKENS

    @property
    def dtype(self) -> str:
        """16 bits where all ids fit: the largest is `vocab_size - 1`."""
        return "uint16" if self.vocab_size <= NARROW else "uint32"


def build_shards(folder: Path, texts: Iterator[Text], build: Build) -> dict[str, Any]:
    """Tokenize all documents into `folder`; returns the manifest.

    Repeated with the same texts, it resumes after the last whole block, and ends
    with the same bytes. A block is a file of training tokens of one part, `part-block.bin`, and
    the held-out documents that came between, `heldout-block.jsonl` with text and tokens.
    Raises StorageError, InputError for a vocabulary too small for its ids.
    Source: ours. Oracle: tests/data/test_shards.py::test_killed_and_resumed_equals_straight
    """
    log = RecordLog(folder / "blocks.jsonl")
    rows = log.read()
    done = rows[-1]["next_document"] if rows else 0
    with log, track(None, "shards", "document", already=done) as bar:
        bar.advance(done)
        rest = itertools.islice(texts, done, None)
        for number, block in enumerate(_blocks(rest, build), start=len(rows)):
            done += block.num_documents
            row = _write_block(folder, number, block, build) | {"next_document": done}
            log.append(row)
            rows.append(row)
            bar.advance(block.num_documents)
    return _manifest(rows, build)


@dataclass
class _Block:
    part: int
    tokens: list[np.ndarray]
    heldout: list[dict[str, Any]]
    files: dict[str, Counter[str]]
    num_documents: int = 0
    num_tokens: int = 0


def _blocks(texts: Iterator[Text], build: Build) -> Iterator[_Block]:
    """Documents of one part, until their training tokens fill a shard."""
    for part, some in itertools.groupby(texts, key=lambda text: text.part):
        block = _Block(part, [], [], {})
        for batch in _batches(some):
            for text, ids in zip(batch, _encode(batch, build), strict=True):
                _add(block, text, ids, build)
            if block.num_tokens >= build.shard_tokens:
                yield block
                block = _Block(part, [], [], {})
        if block.num_documents:
            yield block


def _batches(texts: Iterator[Text]) -> Iterator[list[Text]]:
    batch: list[Text] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text.text)
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _encode(batch: Sequence[Text], build: Build) -> list[list[int]]:
    pieces = [pieces_of(text.text) for text in batch]
    flat = iter(build.encode([piece for some in pieces for piece in some]))
    return [[i for _ in some for i in next(flat)] for some in pieces]


def pieces_of(text: str, size: int = PIECE_CHARACTERS) -> list[str]:
    """A text in pieces of at most `size` characters, cut behind a line or a space if there is one.

    Source: ours. Oracle: tests/data/test_shards.py::test_pieces_join_to_the_text
    """
    pieces, begin = [], 0
    while len(text) - begin > size:
        cut = max(text.rfind("\n", begin, begin + size), text.rfind(" ", begin, begin + size))
        end = cut + 1 if cut > begin else begin + size
        pieces.append(text[begin:end])
        begin = end
    return [*pieces, text[begin:]]


def _add(block: _Block, text: Text, ids: Sequence[int], build: Build) -> None:
    marks = build.marks
    whole = [*([] if marks.begin is None else [marks.begin]), *ids, marks.end]
    counts = block.files.setdefault(text.file, Counter())
    key = document_key(text.text, build.seed)
    side = "heldout" if key in build.heldout else "train"
    counts[f"num_{side}_documents"] += 1
    counts[f"num_{side}_tokens"] += len(whole)
    block.num_documents += 1
    if side == "train":
        found = np.asarray(whole, dtype=np.int64)
        if found.max() >= build.vocab_size:
            rule = f"must lie below the vocabulary's {build.vocab_size}"
            raise InputError("token id", int(found.max()), rule, remedy="Check the tokenizer")
        block.tokens.append(found.astype(build.dtype))
        block.num_tokens += len(whole)
    else:
        row = {"id": key, "part": text.part, "file": text.file, "text": text.text}
        block.heldout.append(row | {"tokens": list(ids)})


def _write_block(folder: Path, number: int, block: _Block, build: Build) -> dict[str, Any]:
    row: dict[str, Any] = {"block": number, "part": block.part, "num_tokens": block.num_tokens}
    row["files"] = {name: dict(counts) for name, counts in block.files.items()}
    if block.tokens:
        path = folder / f"{block.part}-{number:05d}.bin"
        with atomic_write(path, "wb") as file:
            for tokens in block.tokens:
                file.write(tokens.tobytes())
        row |= {"shard": path.name, "sha256": file_hash(path)}
    if block.heldout:
        path = folder / f"heldout-{number:05d}.jsonl"
        write_records(path, block.heldout)
        row |= {"heldout": path.name, "num_heldout": len(block.heldout)}
    return row


def _manifest(rows: Sequence[Mapping[str, Any]], build: Build) -> dict[str, Any]:
    parts: dict[int, dict[str, Any]] = {}
    files: dict[str, Counter[str]] = {}
    for row in rows:
        part = parts.setdefault(row["part"], {"num_tokens": 0, "shards": []})
        part["num_tokens"] += row["num_tokens"]
        if "shard" in row:
            part["shards"].append({name: row[name] for name in ("shard", "sha256", "num_tokens")})
        for name, counts in row["files"].items():
            files.setdefault(name, Counter()).update(counts)
    totals = sum(files.values(), Counter[str]())
    return {
        "dtype": build.dtype,
        "vocab_size": build.vocab_size,
        "marks": {"end": build.marks.end, "begin": build.marks.begin},
        "num_tokens": totals["num_train_tokens"],
        "num_heldout_tokens": totals["num_heldout_tokens"],
        "num_ends": totals["num_train_documents"] + totals["num_heldout_documents"],
        "num_begins": 0
        if build.marks.begin is None
        else totals["num_train_documents"] + totals["num_heldout_documents"],
        "parts": [parts[number] for number in sorted(parts)],
        "part_numbers": sorted(parts),
        "heldout": [row["heldout"] for row in rows if "heldout" in row],
        "files": {name: dict(counts) for name, counts in files.items()},
    }


class TokenStream:
    """The training tokens of one part, across its shards, read where they are needed.

    Source: ours. Oracle: tests/data/test_shards.py::test_a_stream_crosses_shards
    """

    def __init__(self, folder: Path, part: Mapping[str, Any], dtype: str) -> None:
        paths = [folder / one["shard"] for one in part["shards"]]
        self._maps = [np.memmap(path, dtype=dtype, mode="r") for path in paths]
        self._ends = np.cumsum([len(one) for one in self._maps])

    def __len__(self) -> int:
        """Tokens of the part."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def read(self, begin: int, end: int) -> np.ndarray:
        """Tokens from `begin` up to, not including, `end`, which may lie behind the last."""
        found, end = [], min(end, len(self))
        number = int(np.searchsorted(self._ends, begin, side="right"))
        while begin < end:
            first = int(self._ends[number]) - len(self._maps[number])
            stop = min(end, int(self._ends[number]))
            found.append(np.asarray(self._maps[number][begin - first : stop - first], np.int64))
            begin, number = stop, number + 1
        return np.concatenate(found) if found else np.empty(0, np.int64)


def read_heldout(folder: Path, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The held-out documents, each distinct one once: id, part, file, text and tokens."""
    rows = [row for name in manifest["heldout"] for row in read_records(folder / name)]
    return list({row["id"]: row for row in rows}.values())
