"""General ability: loss on texts and questions that the job did not train on."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from burnish.base.errors import InputError
from burnish.base.meter import Meter
from burnish.base.rng import stream
from burnish.base.stats import Estimate, paired_difference
from burnish.contracts.generation import Scored, ScoreRequest
from burnish.contracts.page import Table
from burnish.contracts.record import Gate
from burnish.data.cloze import FAMILIES, Cloze, draw_cloze
from burnish.data.corpora import parse_corpus
from burnish.engine.score import score
from burnish.models.load import Model
from burnish.recipes.gates import gate
from burnish.recipes.settings import GeneralSettings

CHARS_A_TOKEN = 8  # enough text for a window of so many tokens
Row = Mapping[str, Any]


def measure_general(
    model: Model, settings: GeneralSettings, meter: Meter, *, seed: int
) -> list[Row]:
    """One row a text, its loss [nats a token]; one row a question, 1.0 where it is answered right.

    A question is answered by the end with the highest log-probability.
    Source: scoring ends by likelihood, as lm-evaluation-harness does.
    Oracle: tests/recipes/test_generality.py::test_rows_by_hand
    """
    texts = draw_texts(settings, seed=seed)
    asked = [
        one for name in FAMILIES for one in draw_cloze(name, settings.num_questions, seed=seed)
    ]
    requests = [_text_request(model, name, text, settings) for name, text in texts]
    requests += [
        ScoreRequest(id=f"{place}/{end}", prompt=_tokens(model, one.text), completion=own)
        for place, one in enumerate(asked)
        for end in one.ends
        if (own := tuple(model.tokenizer(end, add_special_tokens=False)["input_ids"]))
    ]
    found = iter(score(model, requests, meter=meter))
    losses = [
        {"part": "text", "name": name, "value": -float(np.mean(one.logprobs))}
        for (name, _), one in zip(texts, islice(found, len(texts)), strict=True)
    ]
    return [*losses, *_answers(asked, found)]


def draw_texts(settings: GeneralSettings, *, seed: int) -> list[tuple[str, str]]:
    """Stretches of the corpora, as many from each, each with a name; the same for every model.

    Raises InputError where a corpus has no text of that length.
    """
    drawn = []
    for spec in settings.corpora:
        rng = stream(seed, "general", spec)
        length = settings.text_tokens * CHARS_A_TOKEN
        documents = parse_corpus(spec).documents()
        order = [documents[place] for place in rng.permutation(len(documents))]
        texts = ((one.name, text) for one in order if len(text := one.read()) >= length)
        for name, text in islice(texts, settings.num_texts):
            start = int(rng.integers(len(text) - length + 1))
            drawn.append((f"{spec}/{name}", text[start : start + length]))
        if not drawn or not drawn[-1][0].startswith(f"{spec}/"):
            rule = f"must hold a text of {length} characters"
            raise InputError("corpus", spec, rule, remedy="Lower general.text_tokens")
    return drawn


def general_changes(
    before: Sequence[Row], after: Sequence[Row], *, seed: int
) -> dict[str, Estimate]:
    """Loss and accuracy, after minus before, each paired over the same items."""
    changes = {}
    for part in ("text", "question"):
        old, new = ([row["value"] for row in rows if row["part"] == part]
                    for rows in (before, after))  # fmt: skip
        changes[part] = paired_difference(old, new, rng=stream(seed, "general", part))
    return changes


def general_gates(changes: Mapping[str, Estimate], settings: GeneralSettings) -> list[Gate]:
    """Loss on other texts did not rise, and accuracy on other questions did not fall."""
    rise = changes["text"]
    kept = Estimate(value=-rise.value, low=-rise.high, high=-rise.low, n=rise.n)
    return [
        gate(
            "not more forgetful: texts",
            kept,
            margin=settings.margin_nats,
            unit="nats a token",
            meaning="Loss on other texts before minus after, paired over texts",
        ),
        gate(
            "not more forgetful: questions",
            changes["question"],
            margin=settings.margin_accuracy,
            unit="accuracy",
            meaning="Accuracy on three families of other questions after minus before, paired",
        ),
    ]


def general_table(before: Sequence[Row], after: Sequence[Row]) -> Table:
    """Both sides: loss by corpus, accuracy by family."""
    rows = []
    for part, group in dict.fromkeys((row["part"], _group(row)) for row in before):
        old, new = ([row["value"] for row in side if (row["part"], _group(row)) == (part, group)]
                    for side in (before, after))  # fmt: skip
        unit = "loss, nats a token" if part == "text" else "accuracy"
        rows.append([group, unit, len(old), float(np.mean(old)), float(np.mean(new))])
    return Table(
        title="General ability",
        columns=["other texts and questions", "measured", "n", "before", "after"],
        rows=rows,
        caption="Each question is answered by its most likely ending. None was trained on.",
    )


def _group(row: Row) -> str:
    return str(row["name"]).partition("/")[0]


def _answers(asked: Sequence[Cloze], found: Any) -> list[Row]:
    rows = []
    for place, one in enumerate(asked):
        scored: list[Scored] = list(islice(found, len(one.ends)))
        totals = [sum(end.logprobs) for end in scored]
        chosen = one.ends[totals.index(max(totals))]
        name, value = f"{one.family}/{place}", float(chosen == one.answer)
        rows.append({"part": "question", "name": name, "value": value})
    return rows


def _text_request(model: Model, name: str, text: str, settings: GeneralSettings) -> ScoreRequest:
    tokens = _tokens(model, text)[: settings.text_tokens]
    return ScoreRequest(id=name, prompt=tokens[:1], completion=tokens[1:])


def _tokens(model: Model, text: str) -> tuple[int, ...]:
    return tuple(model.tokenizer(text)["input_ids"])
