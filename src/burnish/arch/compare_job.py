"""`burnish arch compare`: blocks on the same text, at equal parameters, FLOPs and seconds."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from burnish.arch.compare_page import common_readings, tell_comparison
from burnish.arch.compare_settings import CompareSettings
from burnish.arch.configs import shape_config
from burnish.arch.material import Mixture, material_steps
from burnish.arch.plan import budget_tokens, choose_context, choose_run, choose_shape
from burnish.arch.settings import PretrainSettings
from burnish.base.errors import IncompleteError
from burnish.base.items import Workplace, run_cells
from burnish.base.meter import Meter
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Told
from burnish.data.mixtures import mixture_key, parse_mixture
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value
from burnish.models.count import count

WHAT = "arch-compare"
CELLS = "cells.jsonl"


def compare(settings: CompareSettings, place: Place | None = None) -> dict[str, Any]:
    """Train every block and read its curve where all are equal; interrupted, cells resume.

    Raises what reading, planning and training do.
    Source: ours. Oracle: tests/arch/test_compare_job.py::test_a_block_beside_itself
    """
    job = compare_job(settings)
    for value in job.given.values():
        _ = value.key  # what is not there is told before a run folder is made
    return run_job(job, place or Place())


def compare_job(settings: CompareSettings) -> Job:
    """The job of `arch compare`."""
    plain = settings.run_settings("dense")
    parts = parse_mixture(settings.corpus)
    mixture = Mixture(parts=parts, reading=plain.reading())
    weights = tuple(part.weight for part in parts)
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[*material_steps(plain), CompareStep(settings=settings, weights=weights)],
        given={"texts": Value(lambda: mixture_key(parts, mixture.reading), lambda: mixture)},
        header=Header(title=f"burnish arch compare: {settings.corpus}"),
    )


@dataclass(frozen=True, kw_only=True)
class CompareStep(Step):
    """Trains all cells: every rate with the first seed, then the best rate with the others.

    Source: ours. Oracle: tests/arch/test_compare_job.py::test_a_block_beside_itself
    """

    settings: CompareSettings
    weights: tuple[float | None, ...]
    name: str = "compare"

    @property
    def reads(self) -> tuple[str, ...]:
        """Shards and tokenizer."""
        return ("shards", "tokenizer")

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Train. Raises IncompleteError where no rate of a block gives a finite loss."""
        from burnish.arch.training import ShardedCorpus

        settings = self.settings
        corpus = ShardedCorpus.open(Path(given["shards"]), Path(given["tokenizer"]), self.weights)
        plans = _plans(settings, corpus)
        train = functools.partial(_train_cell, settings=settings, corpus=corpus)
        kept = {"log": stage.path / CELLS, "failures": (IncompleteError,), "meter": meter}
        first = [
            {"block": spec, "rate": rate, "seed": 0, **plan}
            for spec, plan in plans.items()
            for rate in settings.rates
        ]
        tried = run_cells(first, train, label="rates", **kept)
        best = {spec: _best(_of(tried, spec), spec) for spec in plans}
        others = range(1, settings.num_seeds)
        more = [{**best[spec].cell, "seed": seed} for spec in plans for seed in others]
        seeds = run_cells(more, train, label="seeds", **kept) if more else []
        for one in seeds:
            if one.output is None:
                raise IncompleteError("cell", one.cell, one.error, remedy="Lower rates")
        arms = []
        for spec, plan in plans.items():
            rates = {str(one.cell["rate"]): one.output["loss"] for one in _of(tried, spec)}
            rate = plan["learning_rate"] * best[spec].cell["rate"]
            runs = [best[spec].output, *(one.output for one in _of(seeds, spec))]
            own = {"block": spec, "learning_rate": rate, "losses_by_rate": rates, "runs": runs}
            arms.append({**plan, **own})
        return {
            "readings": common_readings(arms, seed=settings.seed),
            "curves": {arm["block"]: _curve(arm["runs"]) for arm in arms},
            "arms": [{k: v for k, v in arm.items() if k != "runs"} for arm in arms],
        }

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """One table: every block at equal parameters, FLOPs and seconds."""
        return tell_comparison(done.output)


def _plans(settings: CompareSettings, corpus: Any) -> dict[str, dict[str, Any]]:
    """The numbers of each block's runs; all share batch and middle rate of the first."""
    plans: dict[str, dict[str, Any]] = {}
    for spec in settings.specs:
        run = settings.run_settings(spec)
        if plans:
            first = plans[settings.specs[0]]
            shared = {name: first[name] for name in ("batch_tokens", "learning_rate")}
            run = replace(run, **shared)
        plans[spec] = _planned(settings, corpus, run)
    return plans


def _planned(settings: CompareSettings, corpus: Any, run: PretrainSettings) -> dict[str, Any]:
    """Parameters, FLOPs, batch, rate and steps of a block's runs."""
    from burnish.arch import training

    manifest = corpus.manifest
    shape = choose_shape(run, manifest["vocab_size"])
    smallest = corpus.smallest_part
    context = choose_context(run, num_tokens=manifest["num_tokens"], smallest_part=smallest)
    tokens, _ = budget_tokens(run, shape)
    if tokens is None:
        probed = choose_run(replace(run, steps=1), shape, num_tokens=1e6, context=context).values
        network = training.make_network(run, shape, corpus, context=context, base=None)
        numbers = {**probed, "context": context}
        routing = training.make_routing(run, network)
        made = training.make_training(run, network, corpus, numbers, routing)
        tokens, _ = training.tokens_in(made, settings.minutes or 0.0)
    values = choose_run(run, shape, num_tokens=tokens, context=context).values
    counted = count(shape_config(shape))
    per_context = counted.attention_flops_per_token_per_context
    return {
        "num_params": shape.num_params,
        "num_active_params": counted.num_active_params,
        "train_flops_per_token": 3 * (counted.flops_per_token + per_context * context // 2),
        "context": context,
        "batch_tokens": values["batch_tokens"],
        "learning_rate": values["learning_rate"],
        "steps": values["steps"],
        "shape": vars(shape),
    }


def _train_cell(
    cell: Mapping[str, Any], place: Workplace, *, settings: CompareSettings, corpus: Any
) -> dict[str, Any]:
    """Train one block with one rate and seed; its held-out curve, chunk by chunk."""
    from burnish.arch import training
    from burnish.arch.measure import measure_chunks
    from burnish.arch.plan import Shape
    from burnish.train.evaluation import Evaluation
    from burnish.train.hooks import CountTokens
    from burnish.train.loop import run_training

    run = settings.run_settings(cell["block"], seed=cell["seed"])
    shape, context = Shape(**cell["shape"]), cell["context"]
    network = training.make_network(run, shape, corpus, context=context, base=None)
    routing = training.make_routing(run, network)
    values = {**cell, "learning_rate": cell["learning_rate"] * cell["rate"]}
    made = training.make_training(run, network, corpus, values, routing)
    wanted = settings.heldout_tokens
    passes = training.heldout_passes(corpus, context=context, num_tokens=wanted)
    chunks = [one for some in passes for one in some]

    def measure(step: int) -> dict[str, Any]:
        return {"nats": [nats for some in passes for nats in measure_chunks(network, some)]}

    speed = training.Speed()
    evaluation = Evaluation(
        network,
        measure,
        path=place.folder / training.EVALUATIONS,
        every_steps=max(1, -(-cell["steps"] // settings.num_points)),
    )
    hooks = [CountTokens(place.meter), speed, evaluation, *([] if routing is None else [routing])]
    run_training(made, checkpoint=place.folder / training.CHECKPOINT, hooks=hooks)
    (place.folder / training.CHECKPOINT).unlink(missing_ok=True)
    points = [
        {"tokens": row["step"] * cell["batch_tokens"], "nats": row["nats"]}
        for row in evaluation.rows()
    ]
    num_targets = [len(one) - one.scored for one in chunks]
    return {
        "points": points,
        "num_targets": num_targets,
        "tokens_per_s": speed.tokens_per_s,
        "loss": sum(points[-1]["nats"]) / sum(num_targets),
    }


def _best(tried: Sequence[Any], spec: str) -> Any:
    """The result of the rate with the lowest loss."""
    if not tried:
        rule = "must give a finite loss"
        raise IncompleteError(f"rates of {spec}", "none", rule, remedy="Lower rates")
    return min(tried, key=lambda one: one.output["loss"])


def _of(results: Sequence[Any], spec: str) -> list[Any]:
    """The results of a block that ended well."""
    return [one for one in results if one.cell["block"] == spec and one.output is not None]


def _curve(runs: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Tokens and loss, a mean over seeds."""
    total = sum(runs[0]["num_targets"])
    return [
        [point["tokens"], sum(sum(run["points"][at]["nats"]) for run in runs) / total / len(runs)]
        for at, point in enumerate(runs[0]["points"])
    ]
