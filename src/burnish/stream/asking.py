"""`burnish stream ask`: answer from an index, without reading the text again."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from burnish.base.errors import InputError, SettingError
from burnish.base.files import read_json, write_json
from burnish.engine.policies import CHUNK_ROWS, needs_surprise, read_rows, shape_of
from burnish.kv.policies import kv_policies
from burnish.kv.retrieval.memory import RetrievingMemory
from burnish.models.handle import ModelHandle
from burnish.models.head import largest_of
from burnish.models.load import Model
from burnish.report.html import write_report
from burnish.stream.folder import (
    AGAIN,
    Manifest,
    TokenizedDocument,
    check_model,
    fingerprint,
    open_memory_of,
    read_manifest,
    read_source,
)
from burnish.stream.page import answer_page
from burnish.stream.prompt import question_tokens
from burnish.stream.reading import check_decoder

NUM_SPANS = 5


@dataclass(frozen=True, kw_only=True)
class AskSettings:
    """Settings of `burnish stream ask`. `conversation` is a file that keeps earlier turns.

    `model`: where the model lies now; by default where it was. `out`: folder of a page. `drafts`:
    tokens guessed from the text and verified in one pass; 0: one token a pass.
    """

    index: str = ""
    question: str = ""
    model: str = ""
    conversation: str = ""
    out: str = ""
    max_new_tokens: int = 128
    drafts: int = 0
    precision: str = ""
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            value = self.max_new_tokens
            raise SettingError("max_new_tokens", value, "must be at least 1", remedy="Raise it")
        if self.drafts < 0:
            raise SettingError("drafts", self.drafts, "must be at least 0", remedy="0 is off")


class Index:
    """An open index: read-only, so that any number of sessions can share its files.

    `model`: a spec, or the handle of a model that others use as well; by default the recorded one.
    Raises InputError for an index that is incomplete or damaged, ModelError for another model.
    Source: ours.
    Oracle: tests/stream/test_asking.py::test_answers_equal_generation_without_an_index
    """

    def __init__(
        self,
        folder: Path,
        *,
        model: str | ModelHandle = "",
        precision: str = "",
        device: str = "auto",
    ) -> None:
        self.folder, self.manifest = folder, read_manifest(folder)
        if not self.manifest.complete:
            got = f"{self.manifest.num_tokens} of {self.manifest.total_tokens} tokens"
            raise InputError(f"index {folder}", got, "is an incomplete index", remedy=AGAIN)
        handle = model
        if isinstance(handle, str):
            spec, made = self.manifest.made_by
            handle = ModelHandle(handle or spec, precision=precision or made, device=device)
        self.model: Model = handle.model
        check_decoder(self.model)
        check_model(self.manifest, fingerprint(self.model, handle.key))
        self.source: TokenizedDocument = read_source(folder, self.manifest)
        self._saved, self._last = open_memory_of(folder, self.manifest, shape_of(self.model))

    def ask(
        self,
        question: str,
        *,
        turns: list[dict[str, str]] | None = None,
        max_new_tokens: int = 128,
        drafts: int = 0,
    ) -> dict[str, Any]:
        """The likeliest answer to a question, and the spans of the text that were read for it.

        With `drafts` a pass reads a token and guesses behind it, all with the far tokens of the
        first: the text is that of `every_tokens` as large as what is accepted.
        """
        manifest: Manifest = self.manifest
        tokens, seam = question_tokens(
            self.model.tokenizer, self.source, question, manifest.template, turns or ()
        )
        started = time.perf_counter()
        memory, reads = self.fork(), Reads(len(self.source.ids))
        answer, first_s, passes = self._write(memory, reads, tokens, (max_new_tokens, drafts))
        seconds = time.perf_counter() - started
        return {
            "text": self.model.tokenizer.decode(answer, skip_special_tokens=True),
            "spans": self.spans(reads),
            "tokens_per_s": round(len(answer) / max(seconds, 1e-9), 2),
            "tokens": len(answer),
            "passes": passes,
            "question_tokens": len(tokens),
            "first_token_s": round(first_s, 3),
            "seam": seam,
            "policy": manifest.policy,
        }

    @torch.inference_mode()
    def _write(
        self, memory: RetrievingMemory, reads: "Reads", tokens: list[int], limits: tuple[int, int]
    ) -> tuple[list[int], float, int]:
        """The question in chunks, its last token alone: what is read is chosen anew there.

        `limits`: most tokens to write, and most drafts. Also tells seconds to the first token and
        passes.
        """
        started = time.perf_counter()
        decoder, policy = self.model.decoder, kv_policies.parse(self.manifest.policy)
        tell = needs_surprise(policy)
        last: Tensor = self._last
        for begin in range(0, max(0, len(tokens) - 1), CHUNK_ROWS):
            chunk = tokens[begin : min(begin + CHUNK_ROWS, len(tokens) - 1)]
            last = read_rows(decoder, [memory], [chunk], surprises=tell)[-1]
        memory.watch = reads
        if tokens:
            last = read_rows(decoder, [memory], [tokens[-1:]], surprises=tell)[-1]
        token, passes, answer = int(largest_of(decoder.head(last[None]))[0]), 0, list[int]()
        first_s = time.perf_counter() - started
        num, most = limits
        text = [*self.source.ids.tolist(), *tokens]
        while token not in self.model.eos_ids:
            answer.append(token)
            if len(answer) == num:
                break
            guess = guessed([*text, *answer], min(most, num - len(answer) - 1))
            if tell or not guess:
                last = read_rows(decoder, [memory], [[token]], surprises=tell)
                following = largest_of(decoder.head(last)).tolist()
            else:
                following = self._verified(memory, [token, *guess])
            passes += 1
            *sure, token = following
            answer += sure
        return answer, first_s, passes

    def _verified(self, memory: RetrievingMemory, rows: list[int]) -> list[int]:
        """The accepted drafts and the token after them; later tokens are dropped."""
        decoder, eos = self.model.decoder, self.model.eos_ids
        ids = torch.tensor(rows, device=memory.shape.device)
        hidden = decoder.hidden(ids, memory.attend_drafted(len(rows)))
        best = largest_of(decoder.head(hidden)).tolist()
        num = 1
        while num < len(rows) and rows[num] == best[num - 1] and rows[num] not in eos:
            num += 1
        memory.accept(num)
        memory.advance()
        return best[:num]

    def fork(self) -> RetrievingMemory:
        """An independent memory in which the text has been read."""
        return self._saved.fork()

    def spans(self, reads: "Reads") -> list[dict[str, Any]]:
        """The spans that most layers and heads read, none overlapping."""
        scores = reads.shares()
        sums = np.concatenate(([0.0], np.cumsum(scores)))
        found: list[tuple[float, int, int]] = []
        for state in self._saved.layers:
            begin = state.index.starts + state.sinks.shape[2]
            ends = begin + state.index.lengths
            means = (sums[ends] - sums[begin]) / np.maximum(state.index.lengths, 1)
            found += zip(means.tolist(), begin.tolist(), ends.tolist(), strict=True)
        chosen: list[tuple[float, int, int]] = []
        for score, begin, end in sorted(found, key=lambda one: -one[0]):
            apart = all(end <= b or e <= begin for _, b, e in chosen)
            if score > 0 and apart and len(chosen) < NUM_SPANS:
                chosen.append((score, begin, end))
        document, offsets = self.source.document, self.source.offsets
        told = []
        for score, begin, end in chosen:
            first, stop = int(offsets[begin, 0]), int(offsets[end - 1, 1])
            text = document.text[first:stop]
            told.append(
                {"start": first, "end": stop, "text": text, "score": round(score, 4)}
                | document.place(first)
            )
        return told


def guessed(ids: list[int], most: int, *, tail: int = 3) -> list[int]:
    """The tokens that followed the last earlier occurrence of the text's last `tail` tokens.

    Source: prompt lookup, as in arXiv 2304.04487 (LLMA).
    Oracle: tests/stream/test_asking.py::test_drafts_are_copied_from_the_text
    """
    if most < 1 or len(ids) <= tail:
        return []
    text = np.asarray(ids)
    windows = np.lib.stride_tricks.sliding_window_view(text[:-1], tail)
    found = np.flatnonzero((windows == text[-tail:]).all(1))
    return [] if len(found) == 0 else text[found[-1] + tail :][:most].tolist()


class Reads:
    """How often each token of the text was read while answering, over layers and key heads."""

    def __init__(self, num_tokens: int) -> None:
        self._counts, self._num = np.zeros(num_tokens), 0

    def __call__(self, layer: int, query: Tensor, at: Tensor) -> None:
        """Count what one layer reads."""
        inside = at[at < len(self._counts)].cpu().numpy()
        np.add.at(self._counts, inside, 1.0)
        self._num += len(at)

    def copy(self) -> "Reads":
        """The same counts, for a text that goes on differently."""
        other = Reads(0)
        other._counts, other._num = self._counts.copy(), self._num
        return other

    def shares(self) -> np.ndarray:
        """Share of layers, heads and passes that read each token."""
        return self._counts / max(1, self._num)


def ask(settings: AskSettings) -> dict[str, Any]:
    """Answer a question on an index; with `conversation` earlier turns are read first and kept.

    Source: Ltri-LLM, arXiv 2412.04757; reconstruction.
    Oracle: tests/stream/test_asking.py::test_answers_equal_generation_without_an_index
    """
    started = time.perf_counter()
    place = Path(settings.conversation) if settings.conversation else None
    turns = read_turns(place) if place is not None and place.exists() else []
    index = Index(
        Path(settings.index),
        model=settings.model,
        precision=settings.precision,
        device=settings.device,
    )
    opened_s = time.perf_counter() - started
    result = index.ask(
        settings.question,
        turns=turns,
        max_new_tokens=settings.max_new_tokens,
        drafts=settings.drafts,
    )
    if settings.out:
        page = answer_page(settings.question, result, index.source.document.text)
        write_report(page, Path(settings.out))
    if place is not None:
        turn = {"question": settings.question, "answer": result["text"]}
        write_json(place, [*turns, turn])
    return result | {"opened_s": round(opened_s, 3), "index": settings.index}


def read_turns(path: Path) -> list[dict[str, str]]:
    """The turns of a conversation's file. Raises InputError for a file of something else."""
    turns = read_json(path)
    known = isinstance(turns, list) and all(
        isinstance(turn, dict)
        and turn.keys() == {"question", "answer"}
        and all(isinstance(text, str) for text in turn.values())
        for turn in turns
    )
    if not known:
        rule = "must be a conversation: an array of questions with their answers"
        got, remedy = str(turns)[:60], "Name a new file, or one that stream ask wrote"
        raise InputError(str(path), got, rule, remedy=remedy)
    return turns
