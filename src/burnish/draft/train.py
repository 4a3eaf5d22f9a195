"""`burnish draft train`: answers, streams, fit, measure; each stage is kept."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from burnish.base.errors import InputError, ModelError, SettingError
from burnish.base.progress import say
from burnish.base.provenance import host, versions
from burnish.base.records import content_hash, existing_file, file_hash
from burnish.base.runs import Run, open_run
from burnish.base.settings import to_dict
from burnish.base.stages import Stage
from burnish.draft.distil import Text, answer_prompts, read_prompts, read_texts
from burnish.draft.fit import FitSettings, MapsModule, fit_maps
from burnish.draft.guesses import measure_ranks
from burnish.draft.maps import Maps, backbone_key, save_maps
from burnish.draft.ranks import Ranks
from burnish.draft.streams import Streams, collect_streams, load_streams, save_streams
from burnish.draft.vocabulary import head_rows, ranked_vocabulary
from burnish.models.decoder import Decoder
from burnish.models.load import Model, load_model
from burnish.train.hooks import Hook
from burnish.train.steps import Batch

HELD_OUT_EVERY = 16  # of the texts, for measuring acceptance
LEAST_ANSWER_TOKENS = 4


@dataclass(frozen=True, kw_only=True)
class DistilSettings:
    """Which answers the maps learn from: `prompts` is a file, or `answers` of an earlier run."""

    prompts: str = ""
    answers: str = ""
    max_prompts: int = 0  # 0: all
    max_new_tokens: int = 128
    temperature: float = 0.7
    batch_size: int = 64
    vocabulary: int = 8192


@dataclass(frozen=True, kw_only=True)
class TrainDraftSettings:
    """Everything that `draft train` does."""

    model: str = "smollm2-135m"
    precision: str = "auto"
    device: str = "auto"
    distil: DistilSettings = field(default_factory=DistilSettings)
    fit: FitSettings = field(default_factory=FitSettings)

    def __post_init__(self) -> None:
        distil = self.distil
        if bool(distil.prompts) == bool(distil.answers):
            rule, remedy = "must be given, or answers, not both", "Name one file: --prompts FILE"
            raise SettingError("prompts", distil.prompts, rule, remedy=remedy)


def train_draft(
    settings: TrainDraftSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Train a drafter in a run of its own; the result is what `result.json` holds.

    An interrupted run resumes when the call is repeated. Raises what `train_drafter` does, and
    MissingFileError before a run is opened.
    """
    for path in filter(None, (settings.distil.prompts, settings.distil.answers)):
        existing_file(path)
    model = load_model(settings.model, precision=settings.precision, device=settings.device)
    with open_run(
        "draft-train",
        settings=to_dict(settings),
        seed=settings.fit.seed,
        root=runs,
        folder=folder,
        fresh=fresh,
        command=command,
    ) as run:
        say(f"run: {run.path}" + (" (resuming)" if run.resumed else ""))
        result = train_drafter(run, model, settings) | {"run": str(run.path)}
        run.save_result(result)
    return result


def train_drafter(run: Run, model: Model, settings: TrainDraftSettings) -> dict[str, Any]:
    """Train maps for a model on its own answers; returns what `result.json` holds.

    Raises ModelError for a network that is not our decoder; InputError for too few texts.
    Source: ours; see `fit_maps`. Oracle: tests/draft/test_train.py::test_backbone_is_unchanged
    """
    if not isinstance(model.network, Decoder):
        rule, remedy = "cannot be drafted for", "Use a model of the Llama family"
        raise ModelError("model", model.spec, rule, remedy=remedy)
    if model.network.bits is not None:
        rule, remedy = "must keep weights whole for training", "Train in bf16; use it in any"
        raise SettingError("precision", settings.precision, rule, remedy=remedy)
    key = backbone_key(model)
    texts, source = _texts(run, model, settings, key)
    if len(texts) < 2 * HELD_OUT_EVERY:
        rule, remedy = f"must be {2 * HELD_OUT_EVERY} or more", "Give more prompts"
        raise InputError("answers", len(texts), rule, remedy=remedy)
    held = list(range(0, len(texts), HELD_OUT_EVERY))
    learned = [index for index in range(len(texts)) if index % HELD_OUT_EVERY]
    data = content_hash([(text.prompt, text.answer) for text in texts])
    inputs = {"backbone": key, "data": data, "precision": str(model.dtype)}
    layers = sorted(set(settings.fit.entries)) if settings.fit.kind == "firp" else []
    made = run.stage(
        "streams", lambda stage: _collect(stage, model, texts, layers), layers=layers, **inputs
    )
    streams = load_streams(made.path / "streams.safetensors", texts)
    vocabulary = torch.tensor(
        ranked_vocabulary(
            [texts[i].answer for i in learned],
            settings.distil.vocabulary,
            model.network.shape.vocab_size,
        )
    )
    job = _Fit(model=model, streams=streams, texts=learned, held=held, vocabulary=vocabulary)
    command = " ".join(run.info.get("command", []))
    provenance = {**inputs, "source": source, "num_texts": len(texts), "command": command}
    fitted = run.stage(
        "fit",
        lambda stage: job.make(stage, settings.fit, key, provenance),
        fit=asdict(settings.fit),
        size=settings.distil.vocabulary,
        **inputs,
    )
    return {"weights": str(fitted.path / "maps.safetensors"), **fitted.output}


def _texts(
    run: Run, model: Model, settings: TrainDraftSettings, key: str
) -> tuple[list[Text], str]:
    """The model's answers, read or written now; and where they come from."""
    distil = settings.distil
    if distil.answers:
        texts = read_texts(Path(distil.answers))
        source = f"{distil.answers} (sha256 {file_hash(distil.answers)[:16]})"
    else:
        prompts = read_prompts(distil.prompts)[: distil.max_prompts or None]

        def make(stage: Stage) -> Mapping[str, Any]:
            log = stage.path / "answers.jsonl"
            texts = answer_prompts(
                model,
                prompts,
                log,
                max_new_tokens=distil.max_new_tokens,
                temperatures=(0.0, distil.temperature),
                seed=settings.fit.seed,
                batch_size=distil.batch_size,
            )
            return {"num_texts": len(texts), "num_tokens": sum(len(t.answer) for t in texts)}

        stage = run.stage(
            "answers",
            make,
            backbone=key,
            prompts=content_hash(prompts),
            precision=str(model.dtype),
            max_new_tokens=distil.max_new_tokens,
            temperature=distil.temperature,
            seed=settings.fit.seed,
        )
        texts = read_texts(stage.path / "answers.jsonl")
        source = f"{distil.prompts} (sha256 {file_hash(distil.prompts)[:16]})"
    return [text for text in texts if len(text.answer) >= LEAST_ANSWER_TOKENS], source


def _collect(
    stage: Stage, model: Model, texts: Sequence[Text], layers: Sequence[int]
) -> Mapping[str, Any]:
    streams = collect_streams(model, texts, layers)
    save_streams(stage.path / "streams.safetensors", streams)
    return {"num_rows": len(streams.final)}


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """Fitting and measuring, on one set of streams."""

    model: Model
    streams: Streams
    texts: Sequence[int]
    held: Sequence[int]
    vocabulary: torch.Tensor

    def make(
        self, stage: Stage, settings: FitSettings, key: str, provenance: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Train, measure on held-out texts, save."""
        decoder, started, losses = self.model.network, time.monotonic(), list[float]()
        vocabulary = self.vocabulary.to(self.model.device)
        head = head_rows(decoder, vocabulary, self.model.dtype)

        fitted = fit_maps(
            decoder,
            head,
            self.streams,
            self.texts,
            settings,
            folder=stage.path,
            hooks=[_Told(stage, losses)],
        )
        maps = maps_of(fitted, settings, self.vocabulary, key)
        ranks = measure_ranks(decoder, maps, head, self.streams, self.held)
        numbers = acceptance_numbers(ranks)
        info = {
            **provenance,
            "settings": asdict(settings),
            "numbers": numbers,
            "versions": versions(),
            "host": host(),
        }
        save_maps(stage.path / "maps.safetensors", replaced(maps, ranks, info))
        seconds = round(time.monotonic() - started, 1)
        return {**numbers, "loss_first": losses[:1], "loss_last": losses[-1:], "seconds": seconds}


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
    from burnish.base.stats import wilson
    from burnish.draft.tree import grow_tree

    table = ranks.acceptance()
    offsets = range(ranks.values.shape[1])
    return {
        "top1": [wilson(*ranks.top(i)).to_dict() for i in offsets],
        "top4": [wilson(*ranks.top(i, 4)).to_dict() for i in offsets],
        "tokens_per_pass": {
            str(n): round(ranks.tokens_per_pass(grow_tree(table, n)), 4) for n in (2, 4, 8, 16)
        },
    }
