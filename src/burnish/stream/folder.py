"""An index folder: a manifest that always names whole files, and the files that it names."""

import contextlib
import fcntl
import os
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from torch import Tensor

from burnish.base.canonical import content_hash, file_hash
from burnish.base.coercion import coerce_value
from burnish.base.errors import (
    BurnishError,
    InputError,
    MissingFileError,
    ModelError,
    SettingError,
    StorageError,
)
from burnish.base.files import (
    atomic_write,
    nearest_paths,
    read_json,
    read_text,
    storage_errors,
    write_json,
)
from burnish.base.runs import RESUMES
from burnish.contracts.kv_policy import KVShape
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.memory import RetrievingMemory, layer_file
from burnish.kv.retrieval.policy import Retrieving
from burnish.kv.retrieval.state import from_tensors, to_tensors
from burnish.stream.document import INDEX_FILES, Document, is_index

MANIFEST, FORMAT = "manifest.json", 2
DTYPES = {"float32": "fp32", "bfloat16": "bf16"}
FINGERPRINT = {"model", "weights", "dtype", "rope"}
AGAIN = "Run stream ingest again with the same words: it resumes"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an index holds: its model, its text, and its files.

    `num_tokens` of `total_tokens` have been read. `template`: `chat` if the text stands in the
    model's chat template. `fingerprint` names all that keys and values depend on. `begun_chars`:
    length of the text before the last one was appended.
    """

    fingerprint: Mapping[str, Any]
    policy: str
    template: str
    text: str
    tokens: str
    head: str
    parts: list[tuple[str, int, int, bool]]
    total_tokens: int
    num_tokens: int = 0
    begun_chars: int = 0
    state: str = ""
    state_sha256: str = ""
    far_tokens: list[int] | None = None
    format: int = FORMAT

    @property
    def complete(self) -> bool:
        """Whether all of the text has been read."""
        return self.num_tokens == self.total_tokens

    @property
    def made_by(self) -> tuple[str, str]:
        """Spec and precision of the model that made it."""
        return self.fingerprint["model"], DTYPES[self.fingerprint["dtype"]]


@dataclass(frozen=True, kw_only=True)
class TokenizedDocument:
    """A document and its tokens: `offsets[t]` are the characters of token t in the document.

    `head` is what the template puts before the document; its tokens have offsets (0, 0).
    """

    document: Document
    head: str
    ids: np.ndarray
    offsets: np.ndarray


def fingerprint(model: Any, key: str) -> dict[str, Any]:
    """All that keys and values depend on: weights, tokenizer, precision, rotary positions."""
    rope = model.config.rope_parameters
    return {
        "model": model.spec,
        "weights": key,
        "tokenizer": content_hash(model.tokenizer.backend_tokenizer.to_str()),
        "dtype": str(model.dtype).removeprefix("torch."),
        "rope": {name: rope[name] for name in sorted(rope)},
    }


@contextlib.contextmanager
def locked(folder: Path) -> Generator[None, None, None]:
    """Hold a folder for writing. Raises StorageError where another process does.

    Source: ours. Oracle: tests/stream/test_folder.py::test_one_process_writes_an_index
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            rule = "is being written by another process"
            remedy = "Wait for it, or choose another --index"
            raise StorageError("index", str(folder), rule, remedy=remedy) from None
        yield
    finally:
        os.close(held)


@contextlib.contextmanager
def cleared(folder: Path) -> Generator[None, None, None]:
    """Leave no file that the manifest does not name; without a manifest, nor the empty folder."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and (folder / MANIFEST).is_file():
            error.add_note(RESUMES)  # for the caller that prints it
        with contextlib.suppress(InputError):  # a manifest that is not ours stays as it is
            _clear(folder, read_manifest(folder) if (folder / MANIFEST).is_file() else None)
        raise


def _clear(folder: Path, manifest: Manifest | None) -> None:
    kept = {manifest.text, manifest.tokens, manifest.state} if manifest else set[str]()
    for pattern in INDEX_FILES[: 3 if manifest else 4]:
        for path in folder.glob(pattern):
            if path.name not in kept:
                path.unlink(missing_ok=True)
    if manifest is None:
        with contextlib.suppress(OSError):  # it holds what is not ours
            folder.rmdir()


def write_source(folder: Path, source: TokenizedDocument) -> dict[str, Any]:
    """Write text and tokens to files named by content; return their entries in the manifest."""
    key = content_hash([source.document.text, source.head, source.ids.tolist()])[:16]
    text, tokens = f"text-{key}.txt", f"tokens-{key}.npz"
    with atomic_write(folder / text) as file:
        file.write(source.document.text)
    with atomic_write(folder / tokens, "wb") as file:
        np.savez(file, ids=source.ids, offsets=source.offsets)
    return {
        "text": text,
        "tokens": tokens,
        "head": source.head,
        "parts": source.document.to_dict(),
        "total_tokens": len(source.ids),
    }


def read_source(folder: Path, manifest: Manifest) -> TokenizedDocument:
    """The document and its tokens. Raises InputError for files that are damaged or gone."""
    try:
        text = read_text(folder / manifest.text)
        with np.load(BytesIO((folder / manifest.tokens).read_bytes())) as arrays:
            ids, offsets = arrays["ids"], arrays["offsets"]
    except (BadZipFile, OSError, ValueError, KeyError, EOFError) as error:
        raise _damaged(folder, manifest.tokens) from error
    key = content_hash([text, manifest.head, ids.tolist()])[:16]
    whole = len(ids) == len(offsets) == manifest.total_tokens
    if f"tokens-{key}.npz" != manifest.tokens or not whole:
        raise _damaged(folder, manifest.tokens)
    document = Document.from_dict(text, manifest.parts)
    return TokenizedDocument(document=document, head=manifest.head, ids=ids, offsets=offsets)


def save(folder: Path, manifest: Manifest, memory: RetrievingMemory, last: Tensor) -> Manifest:
    """Write the memory; only then does the manifest name it. `last` is the last hidden row.

    Interrupted anywhere, the folder is what the manifest before says: files grow at their ends and
    states have names of their own.
    Source: ours. Oracle: tests/stream/test_folder.py::test_killed_anywhere_leaves_the_last_state
    """
    from safetensors.torch import save as serialised

    for store in memory.stores:
        store.spill()
    name = f"state-{memory.num_tokens:09d}.safetensors"
    with atomic_write(folder / name, "wb") as file:
        file.write(serialised({**to_tensors(memory), "last": last.contiguous().cpu()}))
    new = replace(
        manifest,
        num_tokens=memory.num_tokens,
        state=name,
        state_sha256=file_hash(folder / name),
        far_tokens=[store.num_tokens for store in memory.stores],
    )
    write_json(folder / MANIFEST, asdict(new))
    _clear(folder, new)
    return new


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an index folder.

    Raises MissingFileError, and InputError for a folder that is no index or of another format.
    """
    if not (folder / MANIFEST).is_file():
        if folder.is_file():
            rule, remedy = "must be a folder", "Name the folder that stream ingest made"
            raise InputError("index", str(folder), rule, remedy=remedy)
        if folder.is_dir():
            begun = is_index(folder)
            rule = "is an incomplete index" if begun else "must contain an index"
            remedy = AGAIN if begun else "Make one with stream ingest"
            raise InputError("index", str(folder), rule, remedy=remedy)
        raise MissingFileError("index", str(folder), "does not exist", remedy=nearest_paths(folder))
    told = read_json(folder / MANIFEST)
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        got = told.get("format") if isinstance(told, dict) else told
        rule = f"must have format {FORMAT}"
        raise InputError("index", got, rule, remedy="Ingest the text again with this version")
    try:
        manifest: Manifest = coerce_value(MANIFEST, told, Manifest)
        policy = kv_policies.parse(manifest.policy)
    except SettingError as error:
        raise _damaged(folder, MANIFEST) from error
    names = [manifest.text, manifest.tokens, manifest.state]
    known = manifest.fingerprint.keys() >= FINGERPRINT and manifest.fingerprint["dtype"] in DTYPES
    if (
        not known
        or not isinstance(policy, Retrieving)
        or not 0 < manifest.num_tokens <= manifest.total_tokens
        or [Path(name).name for name in names] != names
    ):
        raise _damaged(folder, MANIFEST)
    return manifest


def check_model(manifest: Manifest, found: Mapping[str, Any]) -> None:
    """Raise ModelError, naming what differs, where an index belongs to another model.

    `weights` is the key of all files of the model; it is named where nothing else explains it.
    """
    saved = manifest.fingerprint
    for name in ("dtype", "rope", "tokenizer", "weights"):
        if name in saved and saved[name] != found[name]:
            told = (name, "tokenizer") if name == "weights" else (name,)
            of_index, now = (
                ", ".join(f"{part} {_short(whole.get(part))}" for part in told)
                for whole in (saved, found)
            )
            rule = f"must be that of the index ({of_index})"
            remedy = "Open it with the model and precision that made it, or ingest again"
            raise ModelError(f"model's {name}", now, rule, remedy=remedy)


def open_memory_of(
    folder: Path, manifest: Manifest, shape: KVShape, *, writable: bool = False
) -> tuple[RetrievingMemory, Tensor]:
    """The saved memory over the folder's files, and the last hidden row.

    Raises InputError for files that are shorter than the manifest says, changed or gone.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    policy = kv_policies.parse(manifest.policy)
    assert isinstance(policy, Retrieving)
    row_bytes = 2 * shape.num_kv_heads * shape.head_dim * shape.dtype.itemsize
    if len(manifest.far_tokens or []) != shape.num_layers:
        raise _damaged(folder, MANIFEST)
    for layer, num in enumerate(manifest.far_tokens or []):
        path = layer_file(folder, layer)
        if num and (not path.is_file() or path.stat().st_size < num * row_bytes):
            raise _damaged(folder, path.name)
    path = folder / manifest.state
    if not path.is_file() or file_hash(path) != manifest.state_sha256:
        raise _damaged(folder, path.name)
    try:
        tensors = load(path.read_bytes())
        memory = from_tensors(policy.plan, shape, tensors, folder, writable=writable)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        if isinstance(error, BurnishError):
            raise
        raise _damaged(folder, path.name) from error
    return memory, tensors["last"].to(shape.device)


def _damaged(folder: Path, name: str) -> InputError:
    rule = "is damaged: a file is gone, cut short or changed"
    return InputError(f"index {folder}", name, rule, remedy="Delete the folder and ingest again")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return text[:16] if len(text) == 64 else text
