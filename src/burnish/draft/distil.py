"""Self-distillation data: the model's own answers as tokens, saved as they are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError
from burnish.base.items import ItemLog
from burnish.base.records import content_hash, read_records
from burnish.base.rng import derive_seed
from burnish.contracts.generation import Completion, Sampling
from burnish.data.chat import render_prompt
from burnish.engine.answers import Answering, Prompt, answer_rows
from burnish.models.load import Model

PROMPT_FIELDS = ("prompt", "question", "instruction", "text")


@dataclass(frozen=True, kw_only=True)
class Text:
    """One prompt under the chat template and the model's own answer, both as tokens.

    `answer` ends with the end token where the model ended it, for a drafter learns that too.
    """

    id: str
    prompt: tuple[int, ...]
    answer: tuple[int, ...]


def read_prompts(path: Path | str) -> list[str]:
    """Prompts of a JSONL, JSON or Parquet file: Spec-Bench's first turns, or a text field.

    Raises InputError for a row without one.
    """
    prompts = []
    for number, row in enumerate(read_records(path), start=1):
        turns = row.get("turns")
        found = turns[0] if isinstance(turns, list) and turns else _text_field(row)
        if not isinstance(found, str) or not found.strip():
            rule = "must contain a prompt"
            remedy = f"Name it turns (a list) or {', '.join(PROMPT_FIELDS)}"
            raise InputError(f"{path}:{number}", sorted(row), rule, remedy=remedy)
        prompts.append(found)
    if not prompts:
        raise InputError("prompts", str(path), "must not be empty", remedy="Give it a line")
    return prompts


def answer_prompts(
    model: Model,
    prompts: Sequence[str],
    log_path: Path,
    *,
    max_new_tokens: int = 128,
    temperatures: Sequence[float] = (0.0, 0.7),
    seed: int = 0,
    batch_size: int = 64,
) -> list[Text]:
    """Let the model answer the prompts that `log_path` does not hold yet.

    Prompts take the temperatures in turn: every second answer is greedy and the others are sampled,
    so that a drafter learns both. Noise depends on seed and prompt only: a resumed call
    gives the same texts.
    Source: Medusa, arXiv 2401.10774, section 2.3.2 (self-distillation); the mixture is ours.
    Oracle: tests/draft/test_distil.py::test_resumed_equals_straight
    """
    requests = []
    for index, prompt in enumerate(dict.fromkeys(prompts)):
        sampling = Sampling(
            max_new_tokens=max_new_tokens,
            temperature=temperatures[index % len(temperatures)],
            seed=derive_seed(seed, "distil", prompt),
        )
        tokens = tuple(render_prompt(model.tokenizer, prompt))
        if len(tokens) + max_new_tokens <= model.max_position:
            name = content_hash(prompt)[:16]
            requests.append(Prompt(id=name, content=tokens, sampling=sampling))
    tokens_of = {request.id: request.content for request in requests}

    def to_row(done: Completion) -> dict[str, Any]:
        end = [min(model.eos_ids)] if done.finish == "eos" else []
        return {"id": done.id, "prompt": tokens_of[done.id], "answer": [*done.tokens, *end]}

    rows = answer_rows(
        model,
        sorted(requests, key=lambda one: len(one.content)),  # a batch attends over its longest
        to_row,
        log=ItemLog(log_path),
        how=Answering(batch_size=batch_size, unit="text"),
    )
    texts = {row["id"]: _text(row) for row in rows}
    return [texts[request.id] for request in requests]


def read_texts(path: Path) -> list[Text]:
    """Texts that `answer_prompts` wrote."""
    return [_text(row) for row in read_records(path)]


def _text(row: Mapping[str, Any]) -> Text:
    return Text(id=row["id"], prompt=tuple(row["prompt"]), answer=tuple(row["answer"]))


def _text_field(row: Mapping[str, Any]) -> Any:
    return next((row[name] for name in PROMPT_FIELDS if name in row), None)
