"""`burnish stream ingest`: read a text once, under a policy, into an index folder."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from burnish.base.errors import InputError, ModelError, SettingError
from burnish.base.progress import Progress, say
from burnish.contracts.kv_policy import KVShape
from burnish.engine.policies import CHUNK_ROWS, needs_surprise, read_rows, shape_of
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.memory import RetrievingMemory
from burnish.kv.retrieval.policy import Retrieving
from burnish.models.decoder import Decoder
from burnish.models.handle import ModelHandle
from burnish.models.load import Model
from burnish.stream.document import BETWEEN, Document, read_documents
from burnish.stream.folder import (
    MANIFEST,
    Manifest,
    TokenizedDocument,
    check_model,
    cleared,
    fingerprint,
    locked,
    open_memory_of,
    read_manifest,
    read_source,
    save,
    write_source,
)
from burnish.stream.prompt import extended_source, make_source

SAVE_TOKENS = 8192  # read between two saved states


@dataclass(frozen=True, kw_only=True)
class IngestSettings:
    """Settings of `burnish stream ingest`: text, model and index folder.

    `policy` is the spec of a policy that retrieves; `far_tokens` overrides its budget. `template`:
    chat, plain, or auto (chat where the model has a template). `append` reads more text into a
    complete index.
    """

    model: str = "smollm2-135m"
    files: tuple[str, ...] = ()
    index: str = ""
    policy: str = "triangle-dp"
    far_tokens: int | None = None
    template: str = "auto"
    append: bool = False
    precision: str = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.template not in ("auto", "chat", "plain"):
            rule = "must be auto, chat or plain"
            raise SettingError("template", self.template, rule, remedy="auto is the default")
        if not self.index:
            raise SettingError("index", "", "must name a folder", remedy="For example notes-index")


def retrieving_policy(spec: str, far_tokens: int | None) -> Retrieving:
    """The policy of a spec with a budget. Raises SettingError for one that keeps no index."""
    policy = kv_policies.parse(spec)
    if not isinstance(policy, Retrieving):
        rule = "must be a policy that retrieves, to make an index"
        raise SettingError("policy", spec, rule, remedy="triangle-dp, triangle and blocks are some")
    return policy if far_tokens is None else replace(policy, far_tokens=far_tokens)


def check_decoder(model: Model) -> None:
    """Raise ModelError for a model that our decoder does not run."""
    if not isinstance(model.network, Decoder):
        remedy = "Use a model of the Llama, Mistral or Qwen family"
        rule = "needs a model that burnish's own decoder runs"
        raise ModelError("stream", model.spec, rule, remedy=remedy)


def ingest(settings: IngestSettings) -> dict[str, Any]:
    """Read the files; an interrupted call resumes when it is repeated.

    Raises InputError for an index of something else, ModelError for another model.
    Source: Ltri-LLM, arXiv 2412.04757 (the offline index); reconstruction.
    Oracle: tests/stream/test_reading.py::test_interrupted_and_resumed_equals_straight
    """
    started, folder = time.perf_counter(), Path(settings.index)
    policy = retrieving_policy(settings.policy, settings.far_tokens)
    document = read_documents([Path(name) for name in settings.files])
    handle = ModelHandle(settings.model, precision=settings.precision, device=settings.device)
    model = handle.model
    check_decoder(model)
    found = fingerprint(model, handle.key)
    template = settings.template
    if template == "auto":
        template = "chat" if model.tokenizer.chat_template else "plain"
    if settings.append:
        read_manifest(folder)  # `locked` makes a folder that is not there
    with locked(folder), cleared(folder):
        if settings.append:
            check_same(settings, read_manifest(folder), kv_policies.spec(policy))
            manifest = _appended(folder, model, document, found)
        else:
            source = make_source(model.tokenizer, document, template)
            manifest = _begun(folder, source, found, (kv_policies.spec(policy), template))
        begun = manifest.num_tokens
        manifest, memory = _read(folder, manifest, model)
    seconds = time.perf_counter() - started
    return {
        "index": str(folder),
        "model": settings.model,
        "policy": manifest.policy,
        "tokens": manifest.num_tokens,
        "new_tokens": manifest.num_tokens - begun,
        "files": len(manifest.parts),
        "template": manifest.template,
        "tokens_per_s": round((manifest.num_tokens - begun) / seconds, 1),
        **index_size(memory, shape_of(model)),
    }


def index_size(memory: RetrievingMemory, shape: KVShape) -> dict[str, Any]:
    """Spans, and bytes per token of the index and of keys and values."""
    heads = shape.num_layers * 2 * shape.num_kv_heads * shape.head_dim
    kv_bytes, far = heads * shape.dtype.itemsize, max(1, memory.stores[0].num_tokens)
    index_bytes = memory.index_bytes / far
    return {
        "spans_per_layer": round(
            sum(state.index.num_spans for state in memory.layers) / shape.num_layers, 1
        ),
        "index_bytes_per_token": round(index_bytes, 1),
        "kv_bytes_per_token": kv_bytes,
        "index_frac": round(index_bytes / kv_bytes, 4),
    }


def _begun(
    folder: Path, source: TokenizedDocument, found: dict[str, Any], how: tuple[str, str]
) -> Manifest:
    """A new manifest, or the existing one if it is for the same text and settings.

    Texts are compared themselves: a name of the same digest is no proof.
    """
    if not (folder / MANIFEST).is_file():
        return Manifest(
            fingerprint=found, policy=how[0], template=how[1], **write_source(folder, source)
        )
    there = read_manifest(folder)
    check_model(there, found)
    way = "add text with --append" if there.complete else "repeat the ingest that was begun"
    remedy = f"Choose another --index, or {way}"
    for name, wanted in zip(("policy", "template"), how, strict=True):
        if getattr(there, name) != wanted:
            rule = f"holds another index (of another {name})"
            raise InputError(f"index {folder}", getattr(there, name), rule, remedy=remedy)
    old = read_source(folder, there)
    if old.document.text != source.document.text or old.ids.tolist() != source.ids.tolist():
        names = ", ".join(part.name for part in old.document.parts)
        rule = "holds another index (of another text)"
        raise InputError(f"index {folder}", names, rule, remedy=remedy)
    say(f"index {folder}: {there.num_tokens} of {there.total_tokens} tokens are there")
    return there


def check_same(settings: IngestSettings, there: Manifest, spec: str) -> None:
    """Raise SettingError where text is to be appended under other settings than the index has."""
    plain = IngestSettings(index=settings.index)
    chosen = settings.policy != plain.policy or settings.far_tokens is not None
    wanted = {"policy": spec if chosen else "", "template": settings.template.replace("auto", "")}
    for name, value in wanted.items():
        has = getattr(there, name)
        if value and value != has:
            rule, remedy = f"must be that of the index ({has})", "Leave it out with --append"
            raise SettingError(name, value, rule, remedy=remedy)


def _appended(folder: Path, model: Model, document: Document, found: dict[str, Any]) -> Manifest:
    """The manifest with more text, or the existing one if that is being appended already."""
    manifest = read_manifest(folder)
    check_model(manifest, found)
    source = read_source(folder, manifest)
    if not manifest.complete:
        begun = manifest.begun_chars
        if not begun or source.document.text[begun:] != BETWEEN + document.text:
            rule, remedy = "is incomplete", "Finish it first: repeat its stream ingest"
            raise InputError("index", str(folder), rule, remedy=remedy)
        say(f"index {folder}: {manifest.num_tokens} of {manifest.total_tokens} tokens are there")
        return manifest
    texts = {source.document.text_of(part) for part in source.document.parts}
    for part in document.parts:
        if document.text_of(part) in texts:
            rule, remedy = "is part of the index already", "Leave it out: it would be read twice"
            raise InputError("file", part.name, rule, remedy=remedy)
    written = write_source(folder, extended_source(model.tokenizer, source, document))
    return replace(manifest, begun_chars=len(source.document.text), **written)


@torch.inference_mode()
def _read(folder: Path, manifest: Manifest, model: Model) -> tuple[Manifest, RetrievingMemory]:
    policy, shape = kv_policies.parse(manifest.policy), shape_of(model)
    assert isinstance(policy, Retrieving)
    if manifest.num_tokens:
        memory, last = open_memory_of(folder, manifest, shape, writable=not manifest.complete)
    else:
        memory, last = policy.open(shape, folder=folder), None
    ids: Sequence[int] = read_source(folder, manifest).ids.tolist()
    saved = begun = memory.num_tokens
    with Progress(len(ids), "ingest", "tokens", already=begun) as progress:
        while memory.num_tokens < len(ids):
            chunk = ids[memory.num_tokens : memory.num_tokens + CHUNK_ROWS]
            last = read_rows(model.decoder, [memory], [chunk], surprises=needs_surprise(policy))[-1]
            progress.advance(len(chunk))
            if memory.num_tokens - saved >= SAVE_TOKENS or memory.num_tokens == len(ids):
                manifest, saved = save(folder, manifest, memory, last), memory.num_tokens
    return manifest, memory
