"""The steps of `draft train`: answers, hidden states, and fitting and measuring the maps."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from burnish.base.canonical import jsonable
from burnish.base.errors import InputError
from burnish.base.meter import Meter
from burnish.base.provenance import host, versions
from burnish.base.records import content_hash
from burnish.base.stages import Stage, StageResult
from burnish.base.stats import wilson
from burnish.contracts.page import Chart, Page, Series, Table
from burnish.contracts.step import Told
from burnish.draft.distil import Text, answer_prompts, read_texts
from burnish.draft.fit import FitSettings, MapsModule, fit_maps
from burnish.draft.guesses import measure_ranks
from burnish.draft.maps import Maps, backbone_key, load_maps, save_maps
from burnish.draft.ranks import Ranks
from burnish.draft.streams import Streams, collect_streams, load_streams, save_streams
from burnish.draft.tree import grow_tree
from burnish.draft.vocabulary import head_rows, ranked_vocabulary
from burnish.jobs.step import ITSELF, METERED, Given, Step
from burnish.train.hooks import Hook
from burnish.train.steps import Batch

HELD_OUT_EVERY = 16  # of the texts, for measuring acceptance
LEAST_ANSWER_TOKENS = 4
ANSWERS, STREAMS, MAPS = "answers.jsonl", "streams.safetensors", "maps.safetensors"


def usable(texts: Sequence[Text]) -> list[Text]:
    """Texts that are long enough to learn from. Raises InputError for too few."""
    kept = [text for text in texts if len(text.answer) >= LEAST_ANSWER_TOKENS]
    if len(kept) < 2 * HELD_OUT_EVERY:
        rule, remedy = f"must be {2 * HELD_OUT_EVERY} or more", "Give more prompts"
        raise InputError("answers", len(kept), rule, remedy=remedy)
    return kept


@dataclass(frozen=True, kw_only=True)
class AnswersStep(Step):
    """The model answers prompts, greedily and sampled; interrupted, it resumes.

    Source: ours. Oracle: tests/draft/test_distil.py::test_resumed_equals_straight
    """

    max_new_tokens: int
    temperature: float
    seed: int
    precision: str
    name: str = "answers"
    guards = (ITSELF,)

    @property
    def reads(self) -> tuple[str, ...]:
        """The model and the prompts."""
        return ("model", "prompts", "batch-size")

    @property
    def writes(self) -> Mapping[str, str]:
        """The texts."""
        return {"texts": ANSWERS}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Answer the prompts that have no answer yet."""
        texts = answer_prompts(
            given["model"].model,
            given["prompts"],
            stage.path / ANSWERS,
            max_new_tokens=self.max_new_tokens,
            temperatures=(0.0, self.temperature),
            seed=self.seed,
            batch_size=given["batch-size"],
        )
        return {"num_texts": len(texts), "num_tokens": sum(len(t.answer) for t in texts)}

    def open(self, name: str, done: StageResult, given: Given) -> list[Text]:
        """The texts."""
        return read_texts(done.path / ANSWERS)


@dataclass(frozen=True, kw_only=True)
class StreamsStep(Step):
    """Collects the model's hidden states at every position of the texts.

    Source: FIRP, arXiv 2410.20488.
    Oracle: tests/draft/test_train_job.py::test_nothing_is_done_twice
    """

    layers: tuple[int, ...]
    precision: str
    name: str = "streams"

    @property
    def reads(self) -> tuple[str, ...]:
        """The model and the texts."""
        return ("model", "texts")

    @property
    def writes(self) -> Mapping[str, str]:
        """The streams."""
        return {self.name: STREAMS}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Collect and save. Raises InputError for too few texts."""
        streams = collect_streams(given["model"].model, usable(given["texts"]), self.layers)
        save_streams(stage.path / STREAMS, streams)
        return {"num_rows": len(streams.final)}

    def open(self, name: str, done: StageResult, given: Given) -> Streams:
        """The streams, beside their texts."""
        return load_streams(done.path / STREAMS, usable(given["texts"]))


@dataclass(frozen=True, kw_only=True)
class FitStep(Step):
    """Train maps on most texts, measure how often their guesses are right on the others.

    Source: ours; see `fit_maps`. Oracle: tests/draft/test_train_job.py::test_backbone_is_unchanged
    """

    fit: FitSettings
    vocabulary: int
    precision: str
    source: str
    name: str = "fit"

    @property
    def reads(self) -> tuple[str, ...]:
        """Model, texts and streams; the command is noted in the file of maps."""
        return ("model", "texts", "streams", "command")

    @property
    def writes(self) -> Mapping[str, str]:
        """The trained maps."""
        return {"maps": MAPS}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Train, measure on held-out texts, save."""
        model, texts, streams = given["model"].model, usable(given["texts"]), given["streams"]
        started, losses, key = time.monotonic(), list[float](), backbone_key(model)
        held = list(range(0, len(texts), HELD_OUT_EVERY))
        learned = [index for index in range(len(texts)) if index % HELD_OUT_EVERY]
        answers = [texts[i].answer for i in learned]
        size = model.network.shape.vocab_size
        chosen = torch.tensor(ranked_vocabulary(answers, self.vocabulary, size))
        head = head_rows(model.network, chosen.to(model.device), model.dtype)
        told = [_Told(stage, losses)]
        fitted = fit_maps(
            model.network, head, streams, learned, self.fit, folder=stage.path, hooks=told
        )
        maps = maps_of(fitted, self.fit, chosen, key)
        ranks = measure_ranks(model.network, maps, head, streams, held)
        numbers = acceptance_numbers(ranks)
        info = {
            "backbone": key,
            "data": content_hash([(text.prompt, text.answer) for text in texts]),
            "precision": str(model.dtype),
            "source": self.source,
            "num_texts": len(texts),
            "command": given["command"],
            "settings": asdict(self.fit),
            "numbers": numbers,
            "versions": versions(),
            "host": host(),
        }
        save_maps(stage.path / MAPS, replaced(maps, ranks, info))
        seconds = round(time.monotonic() - started, 1)
        return {**numbers, "loss_first": losses[:1], "loss_last": losses[-1:], "seconds": seconds}

    def recheck(self, done: StageResult, given: Given) -> str:
        """Check that the reported acceptance follows from the ranks in the file of maps."""
        ranks = load_maps(done.path / MAPS).ranks
        if ranks is None:
            return "the maps hold no ranks"
        found = acceptance_numbers(ranks)
        return ", ".join(name for name in found if jsonable(found[name]) != done.output[name])

    def differences(self, old: StageResult, new: StageResult) -> str:
        """Numbers that differ; seconds, and the host in the file's header, do not count."""
        kept = [name for name in old.output if name not in (METERED, "seconds")]
        return ", ".join(name for name in kept if old.output[name] != new.output.get(name))

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report acceptance by offset, and tokens per pass by tree size."""
        numbers = {name: value for name, value in done.output.items() if name != METERED}
        page = train_page(numbers, kind=self.fit.kind)
        return (Told.of_page(page, {"weights": str(done.path / MAPS), **numbers}),)


def train_page(numbers: Mapping[str, Any], *, kind: str) -> Page:
    """The report page of trained maps."""
    offsets = [f"+{i}" for i in range(1, len(numbers["top1"]) + 1)]
    rows = [
        [offset, top1["value"], top1["low"], top1["high"], top4["value"], top1["n"]]
        for offset, top1, top4 in zip(offsets, numbers["top1"], numbers["top4"], strict=True)
    ]
    first, trees = numbers["top1"][0], numbers["tokens_per_pass"]
    series = [
        Series(
            name=name,
            x=offsets,
            y=[one["value"] for one in numbers[key]],
            low=[one["low"] for one in numbers[key]],
            high=[one["high"] for one in numbers[key]],
        )
        for name, key in (("first guess", "top1"), ("first four guesses", "top4"))
    ]
    return Page(
        title=f"burnish draft train: {kind}",
        verdict=(
            f"On held-out answers the first drafted token is right "
            f"{100 * first['value']:.1f}% of the time "
            f"(95% interval {100 * first['low']:.1f} to {100 * first['high']:.1f})."
        ),
        good="measured",
        headline=[
            (f"{nodes} nodes", f"{tokens:.2f}", "tokens per pass")
            for nodes, tokens in trees.items()
        ],
        blocks=[
            Chart(
                title="Guesses that are right",
                kind="bar",
                series=series,
                x_label="offset from the last token",
                y_label="share of held-out places",
            ),
            Table(
                title="Acceptance by offset",
                columns=["offset", "top-1", "low", "high", "top-4", "n"],
                rows=rows,
                caption="Every sixteenth answer was held out. Intervals: 95%, Wilson.",
            ),
        ],
    )


class _Told(Hook):
    """Keeps the losses, and tells each step."""

    def __init__(self, stage: Stage, losses: list[float]) -> None:
        self._stage, self._losses = stage, losses

    def step(self, told: Mapping[str, Any], batch: Batch) -> None:
        """Keep and tell."""
        self._losses.append(told["loss"])
        self._stage.event("draft_step", step=told["step"], loss=told["loss"])


def maps_of(fitted: MapsModule, settings: FitSettings, vocabulary: torch.Tensor, key: str) -> Maps:
    """Trained parameters with the settings that give them meaning."""
    firp = settings.kind == "firp"
    return Maps(
        kind=settings.kind,
        weight=fitted.weight.detach().cpu(),
        bias=fitted.bias.detach().cpu(),
        vocabulary=vocabulary,
        entries=settings.entries if firp else (),
        source=settings.source,
        knows_next=settings.knows_next and firp,
        cross=settings.cross,
        backbone=key,
    )


def replaced(maps: Maps, ranks: Ranks, info: Mapping[str, Any]) -> Maps:
    """The maps with their measurements."""
    return Maps(**{**vars(maps), "ranks": ranks, "info": info})


def acceptance_numbers(ranks: Ranks) -> dict[str, Any]:
    """Top-1, top-4 and tokens per pass of a few trees, for people and for provenance."""
    table = ranks.acceptance()
    offsets = range(ranks.values.shape[1])
    return {
        "top1": [wilson(*ranks.top(i)).to_dict() for i in offsets],
        "top4": [wilson(*ranks.top(i, 4)).to_dict() for i in offsets],
        "tokens_per_pass": {
            str(n): round(ranks.tokens_per_pass(grow_tree(table, n)), 4) for n in (2, 4, 8, 16)
        },
    }
