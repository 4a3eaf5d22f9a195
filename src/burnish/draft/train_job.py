"""`burnish draft train`: the job that answers, collects hidden states, fits and measures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.base.errors import ModelError, SettingError
from burnish.base.provenance import command_line
from burnish.base.records import content_hash, existing_file, file_hash
from burnish.base.settings import to_dict
from burnish.draft.distil import read_prompts, read_texts
from burnish.draft.fit import FitSettings
from burnish.draft.learning import AnswersStep, FitStep, StreamsStep
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Part, Value, constant
from burnish.models.config import decoder_config
from burnish.models.handle import ModelHandle
from burnish.models.load import read_config, resolve_folder

WHAT = "draft-train"
WHOLE = ("auto", "fp32", "bf16")  # precisions that training can start from


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
    """Settings of `draft train`."""

    model: str = "smollm2-135m"
    precision: str = "auto"
    device: str = "auto"
    distil: DistilSettings = field(default_factory=DistilSettings)
    fit: FitSettings = field(default_factory=FitSettings)

    def __post_init__(self) -> None:
        distil = self.distil
        if bool(distil.prompts) == bool(distil.answers):
            rule, remedy = "must be given, or answers instead", "Name one file: --prompts FILE"
            raise SettingError("prompts", distil.prompts, rule, remedy=remedy)


def train_draft(
    settings: TrainDraftSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Train maps for a model on its own answers; the result is what `result.json` holds.

    An interrupted run resumes when the call is repeated. Raises ModelError for a network that is
    not our decoder and MissingFileError before a run is opened; InputError for too few texts.
    Source: ours; see `fit_maps`. Oracle: tests/draft/test_train_job.py::test_backbone_is_unchanged
    """
    for path in filter(None, (settings.distil.prompts, settings.distil.answers)):
        existing_file(path)
    check_model(settings)
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command)
    return run_job(train_job(settings, command), place)


def check_model(settings: TrainDraftSettings) -> None:
    """Raise ModelError or SettingError where maps cannot be trained for the model."""
    shape = decoder_config(read_config(resolve_folder(settings.model)))
    if shape is None:
        rule, remedy = "is not supported by drafters", "Use a model of the Llama family"
        raise ModelError("model", settings.model, rule, remedy=remedy)
    entries = settings.fit.entries if settings.fit.kind == "firp" else ()
    if any(entry >= shape.num_layers for entry in entries):
        rule = f"must lie below the model's {shape.num_layers} layers"
        remedy = "Use two thirds of the depth: --set fit.entries=[20,20,20] for 30 layers"
        raise SettingError("fit.entries", entries, rule, remedy=remedy)
    if settings.precision not in WHOLE:
        rule = "must not be quantised for training"
        remedy = "Train in bf16; the result works in any precision"
        raise SettingError("precision", settings.precision, rule, remedy=remedy)


def train_job(settings: TrainDraftSettings, command: Sequence[str] = ()) -> Job:
    """The job of `draft train`."""
    distil, fit = settings.distil, settings.fit
    model = ModelHandle(settings.model, precision=settings.precision, device=settings.device)
    path = Path(distil.answers or distil.prompts)
    given = {
        "model": Value(lambda: model.key, lambda: model),
        "batch-size": constant(distil.batch_size),
        "command": constant(command_line(command)),
    }
    parts: list[Part] = []
    if distil.answers:
        given["texts"] = Value(lambda: file_hash(path), lambda: read_texts(path))
    else:
        chosen = Value(
            lambda: content_hash(given["prompts"].content),
            lambda: read_prompts(path)[: distil.max_prompts or None],
        )
        given["prompts"] = chosen
        parts.append(
            AnswersStep(
                max_new_tokens=distil.max_new_tokens,
                temperature=distil.temperature,
                seed=fit.seed,
                precision=settings.precision,
            )
        )
    layers = tuple(sorted(set(fit.entries))) if fit.kind == "firp" else ()
    parts += [
        StreamsStep(layers=layers, precision=settings.precision),
        FitStep(
            fit=fit,
            vocabulary=distil.vocabulary,
            precision=settings.precision,
            source=f"{path} (sha256 {file_hash(existing_file(path))[:16]})",
        ),
    ]
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=fit.seed,
        parts=parts,
        given=given,
        header=Header(
            title=f"burnish draft train: {fit.kind} for {settings.model}",
            numbers={"model": settings.model, "kind": fit.kind},
        ),
        base=settings.model,
    )
