"""The steps of a run on its shards: the plan, training, and the held-out documents."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from burnish.arch.configs import keep_balance
from burnish.arch.measure import Chunk, chunks_of, measure_chunks
from burnish.arch.network import base_network, new_network, save_network
from burnish.arch.objective import NextToken
from burnish.arch.plan import Chosen, Shape
from burnish.arch.samples import sample_text
from burnish.arch.settings import PretrainSettings
from burnish.base.files import read_json
from burnish.base.log import RecordLog
from burnish.base.meter import Meter
from burnish.base.rng import derive_seed
from burnish.base.stages import Stage
from burnish.data.packing import fill_passes
from burnish.data.shards import Marks, TokenStream, read_heldout
from burnish.data.windows import WindowCursor
from burnish.distrib.rank import world_size
from burnish.distrib.team import shared
from burnish.models.decoder import Decoder
from burnish.models.load import choose_device, read_tokenizer
from burnish.models.precision import choose_precision
from burnish.train.checkpoint import seed_everything
from burnish.train.evaluation import Evaluation
from burnish.train.hooks import CountTokens, GradientNorms, Hook, StepLog, last_of_each
from burnish.train.loop import run_training
from burnish.train.objective import Objective
from burnish.train.optim import AdamW, Muon, Optimizer
from burnish.train.routing import Routing
from burnish.train.schedule import WSD, Constant, Cosine, Linear, Schedule
from burnish.train.steps import Batch, StreamedSteps
from burnish.train.trainer import Trainer, Training

CHECKPOINT = "training-state.pt"
STEPS, EVALUATIONS, NORMS = "steps.jsonl", "evaluations.jsonl", "norms.jsonl"
PROBE_S = 3.0
FOR_TRAINING = 0.95  # of the minutes: the rest is for evaluations and saving
MOST_POINTS, LAST_PARTS = 400, 10


@dataclass(frozen=True, kw_only=True)
class ShardedCorpus:
    """Shards on disk, with their manifest and tokenizer."""

    folder: Path
    manifest: Mapping[str, Any]
    tokenizer: Any
    weights: Sequence[float] | None  # of the parts that have shards; None: by their lengths

    @classmethod
    def open(
        cls, folder: Path, tokenizer: Path, weights: Sequence[float | None] = ()
    ) -> "ShardedCorpus":
        """Read the manifest. `weights` are those of all parts of the mixture, if it has any."""
        manifest = read_json(folder / "manifest.json")
        picked = [weights[number] for number in manifest["part_numbers"]] if weights else []
        known = [weight for weight in picked if weight is not None]
        return cls(
            folder=folder,
            manifest=manifest,
            tokenizer=read_tokenizer(tokenizer),
            weights=known or None,
        )

    @property
    def marks(self) -> Marks:
        """What surrounds documents."""
        return Marks(**self.manifest["marks"])

    @property
    def smallest_part(self) -> int:
        """Training tokens of the smallest part."""
        return min((part["num_tokens"] for part in self.manifest["parts"]), default=0)

    def windows(self, context: int) -> tuple[int, int]:
        """Windows of an epoch, and places in the parts' last ones that hold no target.

        Source: ours. Oracle: tests/arch/test_cases.py::test_a_document_longer_than_the_context
        """
        targets = [max(0, part["num_tokens"] - 1) for part in self.manifest["parts"]]
        num_windows = sum(-(-num // context) for num in targets)
        return num_windows, num_windows * context - sum(targets)

    def cursor(self, context: int, seed: int) -> WindowCursor:
        """Windows for training. Raises InputError for a part without text to learn from."""
        dtype = self.manifest["dtype"]
        return WindowCursor(
            [TokenStream(self.folder, part, dtype) for part in self.manifest["parts"]],
            weights=self.weights,
            context=context,
            filling=self.marks.end,
            seed=seed,
        )


def make_network(
    settings: PretrainSettings,
    shape: Shape | None,
    corpus: ShardedCorpus,
    *,
    context: int,
    base: str | None,
) -> Decoder:
    """The network at step 0, which depends on the seed only; without a shape it is `base`'s."""
    seed_everything(derive_seed(settings.seed, "pretrain"))
    device = choose_device(settings.device)
    if base is not None:
        network = base_network(base, device=device)
    else:
        assert shape is not None
        network = new_network(shape, context=context, marks=corpus.marks, device=device)
    network.model.checkpointing = settings.gradient_checkpointing
    return network


def make_training(
    settings: PretrainSettings,
    network: Decoder,
    corpus: ShardedCorpus,
    values: Mapping[str, Any],
    routing: Routing | None = None,
) -> Training:
    """What the loop needs; `values` are the plan's. `routing` adds its losses."""
    context = values["context"]
    device = next(network.parameters()).device
    dtype, _ = choose_precision(settings.precision, device)
    items = values["batch_tokens"] // context
    per_pass = max(1, settings.pass_tokens // context)
    least = max(world_size(), 2 if settings.gradient_norms else 1)  # each process has a pass
    per_pass = min(per_pass, -(-items // least))
    source = StreamedSteps(
        corpus.cursor(context, derive_seed(settings.seed, "order")),
        num_steps=values["steps"],
        items_per_step=items,
        items_per_pass=per_pass,
    )
    own = {"across": settings.attention == "across", "first_order": settings.first_order_loss}
    objective: Objective = NextToken(network, first=corpus.marks.first, **own)
    return Training(
        network=network,
        objective=objective if routing is None else routing.objective(objective),
        source=source,
        optimizer=make_optimizer(
            settings.optimizer, values["learning_rate"], settings.weight_decay
        ),
        schedule=make_schedule(settings),
        max_grad_norm=settings.max_grad_norm,
        save_every_steps=settings.save_every_steps,
        autocast=torch.bfloat16 if dtype == torch.bfloat16 else None,
        compile=settings.compile,
        sharding=settings.sharding,
        label="pretrain",
    )


def make_optimizer(kind: str, learning_rate: float, weight_decay: float) -> Optimizer:
    """AdamW with decay of matrices, or Muon for the layers' matrices beside it."""
    decay: dict[str, Any] = {"weight_decay": weight_decay}
    rest = AdamW(learning_rate=learning_rate, decay="matrices", **decay)
    if kind == "adamw":
        return rest
    return Muon(learning_rate=learning_rate, rest=rest, **decay)


def make_schedule(settings: PretrainSettings) -> Schedule:
    """The schedule by its name."""
    shared: dict[str, Any] = {
        "warmup_frac": settings.warmup_frac,
        "final_frac": settings.final_frac,
    }
    if settings.schedule == "wsd":
        return WSD(decay_frac=settings.decay_frac, **shared)
    return {"cosine": Cosine, "linear": Linear, "constant": Constant}[settings.schedule](**shared)


class Speed(Hook):
    """Tokens and seconds of the steps of this attempt."""

    def __init__(self) -> None:
        self.num_tokens, self.seconds = 0, 0.0

    def step(self, told: Mapping[str, Any], batch: Batch) -> None:
        """Count a step."""
        self.num_tokens += batch.num_rows
        self.seconds += told["seconds"]

    @property
    def tokens_per_s(self) -> float:
        """Training tokens per second; 0 if nothing was left to train."""
        return round(self.num_tokens / self.seconds, 1) if self.seconds else 0.0


def tokens_in(training: Training, minutes: float) -> tuple[float, float]:
    """Tokens that fit into a number of minutes, and the speed [tokens/s], from a few steps.

    The network is changed: make another. With several processes all take the main one's speed.
    Source: ours, measured when it is asked.
    """
    trainer, source = Trainer(training), training.source

    def step() -> int:
        batch = source.take()
        trainer.accumulate(batch)
        trainer.update(0, source.num_steps)
        return batch.num_rows

    step()  # warms up
    began, rows = time.perf_counter(), step()
    while shared(time.perf_counter() - began < PROBE_S):
        rows += step()
    speed = shared(rows / (time.perf_counter() - began))
    return FOR_TRAINING * 60 * minutes * speed, speed


def train(
    stage: Stage,
    settings: PretrainSettings,
    corpus: ShardedCorpus,
    chosen: Mapping[str, Any],
    *,
    base: str | None,
    meter: Meter,
) -> dict[str, Any]:
    """Train from the checkpoint in the stage, or from the beginning, and save `model/`.

    Source: ours. Oracle: tests/arch/test_pretrain_job.py::test_loss_equals_a_plain_loop
    """
    values, shape = chosen["values"], Shape(**chosen["shape"])
    network = make_network(settings, shape, corpus, context=values["context"], base=base)
    routing = make_routing(settings, network)
    training = make_training(settings, network, corpus, values, routing)
    hooks: list[Hook] = [] if routing is None else [routing]
    if settings.gradient_norms:
        hooks.append(GradientNorms(RecordLog(stage.path / NORMS)))
    evaluation = Evaluation(
        network,
        _measure(settings, network, corpus, training, values["context"]),
        path=stage.path / EVALUATIONS,
        every_steps=-(-values["steps"] // max(1, settings.num_evaluations)),
    )
    facts = run_measured(stage, training, evaluation, meter, hooks)
    return facts | {
        "export_difference": save_network(network, corpus.tokenizer, stage.path / "model"),
        "experts": None if routing is None else expert_load(told_steps(stage.path)),
    }


def run_measured(
    stage: Stage, training: Training, evaluation: Evaluation, meter: Meter, hooks: Sequence[Hook]
) -> dict[str, Any]:
    """Train from the stage's checkpoint or from the beginning; what was done, losses, speed."""
    speed, log = Speed(), StepLog(RecordLog(stage.path / STEPS))
    every: list[Hook] = [CountTokens(meter), speed, log, evaluation, *hooks]
    done = run_training(training, checkpoint=stage.path / CHECKPOINT, hooks=every)
    return {
        "num_steps": done.num_steps,
        "tokens": done.num_rows,
        "tokens_per_s": speed.tokens_per_s,
        "losses": thinned(done.losses),
        "evaluations": evaluation.rows(),
    }


def make_routing(settings: PretrainSettings, network: Decoder) -> Routing | None:
    """Losses that keep experts in use, also in transformers; None for a model without experts."""
    if network.shape.experts is None:
        return None
    keep_balance(network.config, settings.routing.balance_loss)
    return Routing(network, settings.routing)


def expert_load(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Load of experts over a run: variation by step, and the last steps' parts, layer by layer.

    Source: ours. Oracle: tests/arch/test_pretrain_job.py::test_experts_are_told
    """
    last = rows[-max(1, len(rows) // LAST_PARTS) :]
    loads = np.mean([row["expert_load_frac"] for row in last], axis=0)
    curves = {
        name: thinned([row[name] for row in rows]) for name in ("load_variation", "balance_loss")
    }
    dropped = sum(row["dropped_frac"] for row in rows) / len(rows)
    return curves | {"load_frac": loads.round(6).tolist(), "dropped_frac": dropped}


def told_steps(folder: Path) -> list[dict[str, Any]]:
    """Every step of a finished run."""
    return last_of_each(RecordLog(folder / STEPS).peek())


def planned(chosen: Chosen, shape: Shape) -> dict[str, Any]:
    """The plan as a value of the run."""
    return chosen.to_dict() | {"shape": vars(shape)}


def thinned(values: Sequence[float]) -> list[list[float]]:
    """Step and value, at most some hundred: means over equal stretches."""
    stretch = max(1, -(-len(values) // MOST_POINTS))
    cuts = range(0, len(values), stretch)
    parts = [(cut, values[cut : cut + stretch]) for cut in cuts]
    return [[float(cut + len(some)), sum(some) / len(some)] for cut, some in parts]


def _measure(
    settings: PretrainSettings,
    network: Decoder,
    corpus: ShardedCorpus,
    training: Training,
    context: int,
) -> Any:
    """What is measured between steps: the first held-out chunks, and a sample."""
    marks = corpus.marks
    passes = heldout_passes(corpus, context=context, num_tokens=settings.evaluation_tokens)
    num_targets = sum(len(one) - one.scored for some in passes for one in some)

    def measure(step: int) -> dict[str, Any]:
        device = next(network.parameters()).device
        with torch.autocast(device.type, training.autocast, enabled=training.autocast is not None):
            nats = [one for some in passes for one in measure_chunks(network, some)]
        row: dict[str, Any] = {"nats_per_token": sum(nats) / num_targets}
        row |= {"num_targets": num_targets}
        if settings.sample_tokens:
            row["sample"] = sample_text(
                network,
                corpus.tokenizer,
                first=marks.first,
                end=marks.end,
                num_tokens=settings.sample_tokens,
                seed=derive_seed(settings.seed, "sample", step),
            )
        return row

    return measure


def heldout_passes(
    corpus: ShardedCorpus, *, context: int, num_tokens: int
) -> list[Sequence[Chunk]]:
    """The first held-out chunks, at least so many tokens, in passes."""
    marks, documents = corpus.marks, read_heldout(corpus.folder, corpus.manifest)
    chunks, rows = [], 0
    for one in chunks_of(documents, marks, context=context):
        chunks.append(one)
        rows += len(one)
        if rows >= num_tokens:
            break
    return list(fill_passes(chunks, max(4096, context), rows_of=len))
