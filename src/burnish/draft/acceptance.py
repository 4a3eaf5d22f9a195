"""How often drafts are right on a user's own prompts, measured on the model's answers."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from burnish.base.errors import InputError
from burnish.draft.distil import answer_prompts
from burnish.draft.guesses import measure_lookup, measure_ranks
from burnish.draft.maps import Maps
from burnish.draft.ranks import Ranks
from burnish.draft.streams import collect_streams
from burnish.draft.vocabulary import head_rows
from burnish.models.load import Model

NEW_TOKENS = 128  # the longer a text, the more of it there is to copy


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a drafter is planned for. Greedy answers (temperature 0) repeat more than others."""

    prompts: Sequence[str]
    temperature: float = 0.0


def measure_acceptance(model: Model, maps: Maps | None, use: Use) -> Ranks:
    """Ranks of the model's own tokens behind its answers to prompts; without maps only lookup's.

    Raises InputError where the answers are too short to be guessed at.
    Source: ours. Oracle: tests/draft/test_acceptance.py::test_ranks_equal_those_of_decoding
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "answers.jsonl"
        texts = answer_prompts(
            model, use.prompts, log, max_new_tokens=NEW_TOKENS, temperatures=(use.temperature,)
        )
    texts = [text for text in texts if len(text.answer) > 2]
    if not texts:
        rule, remedy = "must give answers of at least three tokens", "Give other prompts"
        raise InputError("prompts", len(use.prompts), rule, remedy=remedy)
    streams = collect_streams(model, texts, maps.entries if maps else ())
    everything = range(len(texts))
    if maps is not None:
        head = head_rows(model.decoder, maps.vocabulary.long().to(model.device), model.dtype)
        return measure_ranks(model.decoder, maps, head, streams, everything)
    lengths = [len(streams.anchors(index)) for index in everything]
    values = torch.zeros(sum(lengths), 0, dtype=torch.uint8)
    return Ranks(values=values, lengths=lengths, lookup=measure_lookup(streams, everything))
