"""Training on pairs with the training loop, and held-out nats on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from burnish.arch.seq2seq.forward import TokenPair, TranslationLoss, nats_of
from burnish.arch.seq2seq.pairs import TextPair
from burnish.arch.seq2seq.saved import Translator, save_translator
from burnish.arch.seq2seq.settings import Seq2SeqSettings
from burnish.arch.seq2seq.shapes import Shapes, choose_shapes, new_seq2seq
from burnish.arch.tokenizer import marks_of
from burnish.arch.training import EVALUATIONS, make_optimizer, run_measured
from burnish.base.errors import InputError
from burnish.base.meter import Meter
from burnish.base.rng import derive_seed, stream
from burnish.base.stages import Stage
from burnish.data.packing import fill_passes
from burnish.distrib.rank import world_size
from burnish.models.load import choose_device
from burnish.models.seq2seq import Seq2Seq
from burnish.train.checkpoint import seed_everything
from burnish.train.evaluation import Evaluation
from burnish.train.schedule import Constant, Cosine, Linear, Schedule
from burnish.train.steps import Batch, IndexedSteps, microbatch
from burnish.train.trainer import Training

PASS_TOKENS = 4096


def fitting(pairs: Sequence[TokenPair], most_tokens: int, name: str) -> list[TokenPair]:
    """Pairs of at most so many tokens on each side. Raises InputError where none is left."""
    kept = [one for one in pairs if max(len(one.source), len(one.target)) <= most_tokens]
    if not kept:
        rule, remedy = f"must contain one of at most {most_tokens} tokens", "Raise most_tokens"
        raise InputError(f"{name} pairs", 0, rule, remedy=remedy)
    return kept


def num_steps_of(settings: Seq2SeqSettings, num_pairs: int) -> int:
    """Number of steps: as given, or of whole epochs."""
    return settings.steps or settings.epochs * -(-num_pairs // settings.pairs_per_step)


def pair_steps(pairs: Sequence[TokenPair], settings: Seq2SeqSettings) -> IndexedSteps:
    """Every epoch each pair once, in a new order; passes of a step hold pairs of like length.

    A step has a pass for each process at least, where its pairs allow that.
    Source: ours. Oracle: tests/arch/seq2seq/test_training.py::test_each_pair_once_an_epoch
    """
    size, num = settings.pairs_per_step, len(pairs)
    per_epoch = -(-num // size)

    def make(index: int) -> Batch:
        epoch, place = divmod(index, per_epoch)
        order = stream(settings.seed, "pairs", epoch).permutation(num)
        chosen = [pairs[i] for i in order[place * size : (place + 1) * size]]
        most_rows = min(settings.pass_tokens, -(-sum(map(len, chosen)) // world_size()))
        return Batch(passes=[microbatch(some) for some in in_passes(chosen, most_rows)])

    return IndexedSteps(num_steps_of(settings, num), make)


def in_passes(pairs: Sequence[TokenPair], most_rows: int) -> list[list[TokenPair]]:
    """Passes of pairs of similar length, so that padding is small."""
    by_length = sorted(pairs, key=lambda one: (len(one.target), len(one.source)))
    return list(fill_passes(by_length, most_rows, rows_of=len))


def measure_pairs(network: Seq2Seq, pairs: Sequence[TokenPair], *, end: int) -> list[float]:
    """Nats of each pair's target, in their order."""
    order = sorted(range(len(pairs)), key=lambda i: (len(pairs[i].target), len(pairs[i].source)))
    passes = fill_passes(order, PASS_TOKENS, rows_of=lambda i: len(pairs[i]))
    found: dict[int, float] = {}
    for some in passes:
        nats = nats_of(network, [pairs[i] for i in some], end=end)
        found |= zip(some, nats, strict=True)
    return [found[i] for i in range(len(pairs))]


def make_training(
    settings: Seq2SeqSettings, network: Seq2Seq, pairs: Sequence[TokenPair], end: int
) -> Training:
    """What the loop needs."""
    objective = TranslationLoss(
        network, end=end, dropout=settings.dropout, smoothing=settings.label_smoothing
    )
    return Training(
        network=network,
        objective=objective,
        source=pair_steps(pairs, settings),
        optimizer=make_optimizer(settings.optimizer, settings.learning_rate, settings.weight_decay),
        schedule=_schedule(settings),
        max_grad_norm=settings.max_grad_norm,
        save_every_steps=settings.save_every_steps,
        label="seq2seq",
    )


def train_pairs(
    stage: Stage,
    settings: Seq2SeqSettings,
    tokenizer: Any,
    parts: Mapping[str, Sequence[TextPair]],
    meter: Meter,
) -> dict[str, Any]:
    """Train from the checkpoint in the stage, or from the beginning, and save `model/`.

    Source: ours. Oracle: tests/arch/seq2seq/test_job.py::test_killed_and_resumed_equals_straight
    """
    end = marks_of(tokenizer).end
    shapes = choose_shapes(settings, len(tokenizer))
    seed_everything(derive_seed(settings.seed, "seq2seq"))
    network = new_seq2seq(shapes, end).to(choose_device(settings.device)).train()
    translator = Translator(network=network, tokenizer=tokenizer, end=end)
    most, tokens = settings.most_tokens, dict[str, list[TokenPair]]()
    for name, pairs in parts.items():
        tokens[name] = fitting(translator.encode_pairs(pairs), most, name)
    measured = tokens["held-out"][: settings.evaluation_pairs]
    training = make_training(settings, network, tokens["training"], end)
    num_steps = training.source.num_steps

    def measure(step: int) -> dict[str, Any]:
        nats = measure_pairs(network, measured, end=end)
        return {"nats_per_token": sum(nats) / sum(one.num_terms for one in measured)}

    evaluation = Evaluation(
        network,
        measure,
        path=stage.path / EVALUATIONS,
        every_steps=-(-num_steps // max(1, settings.num_evaluations)),
    )
    facts = run_measured(stage, training, evaluation, meter, hooks=())
    save_translator(translator, shapes, stage.path / "model")
    return facts | {
        "num_long_pairs": sum(len(parts[name]) - len(tokens[name]) for name in parts),
        **shape_facts(shapes, tokens["training"]),
    }


def shape_facts(shapes: Shapes, pairs: Sequence[TokenPair]) -> dict[str, Any]:
    """Widths, parameters, and the FLOPs of a training step's mean pair."""
    mean = [sum(len(getattr(p, s)) + 1 for p in pairs) / len(pairs) for s in ("source", "target")]
    return {
        "num_params": shapes.num_params,
        "train_flops_per_pair": 3 * shapes.forward_flops(*(round(length) for length in mean)),
        "mean_source_tokens": mean[0],
        "mean_target_tokens": mean[1],
        "shapes": {"encoder": asdict(shapes.encoder), "decoder": asdict(shapes.decoder)},
    }


def _schedule(settings: Seq2SeqSettings) -> Schedule:
    kinds = {"linear": Linear, "cosine": Cosine, "constant": Constant}
    return kinds[settings.schedule](warmup_frac=settings.warmup_frac)
