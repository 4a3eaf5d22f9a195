"""`burnish arch pretrain`: from text to a model that transformers loads, as one job."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from burnish.arch import page
from burnish.arch.material import Mixture, material_steps
from burnish.arch.plan import (
    GIVEN,
    RULES,
    Chosen,
    budget_tokens,
    choose_context,
    choose_run,
    choose_shape,
    is_own,
    planned_settings,
)
from burnish.arch.settings import PretrainSettings
from burnish.base.canonical import content_hash
from burnish.base.errors import InputError, SettingError
from burnish.base.files import write_json
from burnish.base.meter import Meter
from burnish.base.progress import say
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Told
from burnish.data.mixtures import mixture_key, parse_mixture
from burnish.data.shards import read_heldout
from burnish.distrib.rank import is_main
from burnish.distrib.team import join_team
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value
from burnish.models.handle import ModelHandle

WHAT = "arch-pretrain"


def pretrain(
    settings: PretrainSettings,
    *,
    plan: Path | None = None,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
    reuse: Path | None = None,
) -> dict[str, Any]:
    """Train a model on texts; the result is what `result.json` holds, with the model's folder.

    An interrupted call resumes when repeated, and ends with the same model, bit for bit. `plan`
    is a file that `planned_settings` reads. `reuse` is another run, from which tokenizer and shards
    are taken where they would be the same. Raises what reading, planning and training do.
    Source: ours. Oracle: tests/arch/test_resume.py::test_killed_and_resumed_equals_straight
    """
    if plan is not None:
        settings = planned_settings(settings, plan)
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command, reuse=reuse)
    job = pretrain_job(settings)
    for value in job.given.values():
        _ = value.key  # what is not there is told before a run folder is made
    try:
        return run_job(job, place, team=join_team(settings.device))
    except SettingError as error:
        if error.name != "run folder" or "other settings" not in error.rule:
            raise
        remedy = "Name another folder; to train its model on, write --from RUN"
        raise SettingError(error.name, error.value, error.rule, remedy=remedy) from None


def pretrain_job(settings: PretrainSettings) -> Job:
    """The job of `arch pretrain`. Raises SettingError and MissingFileError."""
    parts = parse_mixture(settings.corpus)
    mixture = Mixture(parts=parts, reading=settings.reading())
    given = {"texts": Value(lambda: mixture_key(parts, mixture.reading), lambda: mixture)}
    if settings.base is not None:
        handle = ModelHandle(settings.base)
        given["base"] = Value(lambda: handle.key, lambda: settings.base)
    if not is_own(settings):
        source = settings.base or settings.tokenizer
        given["tokenizer_source"] = Value(lambda: _tokenizer_key(source), lambda: source)
    weights = tuple(part.weight for part in parts)
    numbers = {name: getattr(settings, name) for name in ("corpus", "base", "attention")}
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[
            *material_steps(settings),
            PlanStep(settings=settings, weights=weights),
            TrainStep(settings=settings, weights=weights),
            EvaluateStep(settings=settings),
        ],
        given=given,
        header=Header(title=f"burnish arch pretrain: {settings.corpus}", numbers=numbers),
    )


def _tokenizer_key(spec: str) -> str:
    folder = ModelHandle(spec).folder
    names = sorted(p for p in folder.iterdir() if "token" in p.name or p.suffix == ".model")
    return content_hash([(p.name, content_hash(p.read_bytes().hex())) for p in names])


@dataclass(frozen=True, kw_only=True)
class _OnShards(Step):
    """A step that reads shards and tokenizer, and the model that is continued."""

    settings: PretrainSettings
    weights: tuple[float | None, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """Shards, tokenizer, and the model that is continued."""
        base = ("base",) if self.settings.base is not None else ()
        return ("shards", "tokenizer", *base)

    def _corpus(self, given: Given) -> Any:
        from burnish.arch.training import ShardedCorpus

        return ShardedCorpus.open(Path(given["shards"]), Path(given["tokenizer"]), self.weights)

    def _base(self, given: Given) -> str | None:
        return given["base"] if self.settings.base is not None else None


@dataclass(frozen=True, kw_only=True)
class PlanStep(_OnShards):
    """Widths, batch, rate and steps: given ones, a plan file's, or by rules with a source.

    Minutes become a number of steps here, from the measured speed, so that every step of a run is
    fixed before the first one.
    Source: ours. Oracle: tests/arch/test_plan.py::test_step_law_by_hand
    """

    name: str = "plan"
    together = True
    guards = ("train",)

    @property
    def writes(self) -> dict[str, str]:
        """The numbers and their sources."""
        return {"plan": ""}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Choose all numbers. Raises SettingError for no whole step, InputError for few tokens."""
        from burnish.arch import training
        from burnish.arch.network import shape_of

        settings, corpus = self.settings, self._corpus(given)
        manifest = corpus.manifest
        context = choose_context(
            settings, num_tokens=manifest["num_tokens"], smallest_part=corpus.smallest_part
        )
        _check_heldout(manifest["num_heldout_tokens"], context, given=settings.context is not None)
        base = self._base(given)
        shape = choose_shape(settings, manifest["vocab_size"]) if base is None else None
        if shape is None:
            network = training.make_network(settings, None, corpus, context=context, base=base)
            shape = shape_of(network)
            context = min(context, network.shape.max_position)
        tokens, source = budget_tokens(settings, shape)
        speed = None
        if tokens is None:
            assert settings.minutes is not None
            tokens, speed = self._measured(corpus, shape, context, base)
        chosen = choose_run(settings, shape, num_tokens=tokens, context=context)
        given_context = settings.context is not None
        sources = {
            **chosen.sources,
            "context": GIVEN if given_context else RULES["context"],
            "tokens": f"{settings.minutes:g} minutes at {speed:.0f} tokens/s" if speed else source,
            "shape": f"that of {base}" if base else RULES["shape"],
            "vocab": GIVEN if settings.vocab else RULES["vocab"],
            "block": f"that of {base}" if base else GIVEN,
        }
        if not is_own(settings):
            sources["vocab"] = f"that of {settings.base or settings.tokenizer}"
        num_windows, num_filling = corpus.windows(context)
        sources["num_windows"] = f"an epoch; the last ones have {num_filling} places without text"
        values = {**chosen.values, "context": context, "num_windows": num_windows}
        values["num_params"] = shape.num_params
        found = training.planned(Chosen(values=values, sources=sources), shape)
        if is_main():
            say(page.plan_in_words(found))
        return {"plan": found}

    def _measured(self, corpus: Any, shape: Any, context: int, base: str | None) -> Any:
        """Tokens for the minutes: the speed at the batch that the first guess leads to."""
        from burnish.arch import training

        settings = self.settings
        minutes, speed = settings.minutes or 0.0, 0.0
        tokens = 1e6 * max(minutes, 0.01)
        for _ in range(2):
            values = choose_run(
                replace(settings, steps=1), shape, num_tokens=tokens, context=context
            ).values
            network = training.make_network(settings, shape, corpus, context=context, base=base)
            routing = training.make_routing(settings, network)
            numbers = {**values, "context": context}
            made = training.make_training(settings, network, corpus, numbers, routing)
            tokens, speed = training.tokens_in(made, minutes)
        return tokens, speed

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report every number and its source."""
        return page.tell_plan(done.output["plan"])


@dataclass(frozen=True, kw_only=True)
class TrainStep(_OnShards):
    """Trains the model, measures it now and then, and saves it.

    Source: ours. Oracle: tests/arch/test_pretrain_job.py::test_loss_equals_a_plain_loop
    """

    name: str = "train"
    together = True
    timed = ("tokens_per_s",)

    @property
    def reads(self) -> tuple[str, ...]:
        """What the plan reads, and the plan."""
        return (*super().reads, "plan")

    @property
    def writes(self) -> dict[str, str]:
        """The model's folder."""
        return {"trained": "model"}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Train. Raises IncompleteError where the loss stops being finite."""
        from burnish.arch.training import train

        corpus, plan = self._corpus(given), given["plan"]
        return train(stage, self.settings, corpus, plan, base=self._base(given), meter=meter)

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report tokens and speed, the loss, and samples."""
        return page.tell_training(done.output)


@dataclass(frozen=True, kw_only=True)
class EvaluateStep(Step):
    """Every held-out document: nats per token, bits per byte, beside xz.

    Source: ours. Oracle: tests/arch/test_measure.py::test_killed_and_resumed_equals_straight
    """

    settings: PretrainSettings
    name: str = "evaluate"

    @property
    def reads(self) -> tuple[str, ...]:
        """The model, the documents, and the window."""
        return ("shards", "trained", "plan")

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Measure all documents; interrupted, it resumes after the passes that it has."""
        from burnish.arch.measure import measure_documents, xz_bits
        from burnish.arch.training import ShardedCorpus
        from burnish.models.decoder import Decoder
        from burnish.models.load import load_model

        settings, folder = self.settings, Path(given["trained"])
        corpus = ShardedCorpus.open(Path(given["shards"]), folder)
        model = load_model(str(folder), precision=settings.precision, device=settings.device)
        documents = read_heldout(corpus.folder, corpus.manifest)
        context = given["plan"]["values"]["context"]
        path = stage.path / "passes.jsonl"
        assert isinstance(model.network, Decoder)  # `train` saves no other
        nats = measure_documents(model.network, documents, corpus.marks, context=context, path=path)
        texts = [one["text"] for one in documents]
        rows = [
            {
                "id": one["id"],
                "file": one["file"],
                "nats": value,
                "num_tokens": len(one["tokens"]) + 1,
                "num_bytes": len(one["text"].encode()),
            }
            for one, value in zip(documents, nats, strict=True)
        ]
        meter.add("scored", sum(len(one["tokens"]) + 1 for one in documents))
        write_json(stage.path / "documents.json", rows)
        return page.scores(rows, seed=settings.seed) | xz_bits(texts)

    def recheck(self, done: StageResult, given: Given) -> str:
        """Check that the reported numbers follow from the documents' own."""
        return page.differently_scored(done, seed=self.settings.seed)

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report the verdict and the numbers, beside a plan file's."""
        told, settings = page.tell_evaluation(done.output), self.settings
        if settings.planned is None:
            return told
        loss, counts = done.output["validation"]["value"], settings.planned_counts
        return (*told, *page.tell_against_plan(settings.planned, counts, given["plan"], loss))


def _check_heldout(num_tokens: int, context: int, *, given: bool) -> None:
    if num_tokens > context or not given:
        return
    rule = f"must fill one window of {context} tokens and one token more"
    remedy = f"Raise heldout_frac, or lower context to {max(1, num_tokens - 1)}"
    raise InputError("held-out part", f"{num_tokens} tokens", rule, remedy=remedy)
