"""`burnish arch train`: from aligned pairs to a model that translates, as one job."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from burnish.arch.seq2seq import page
from burnish.arch.seq2seq.bleu import check_extra
from burnish.arch.seq2seq.pairs import TextPair, part_pairs, read_pairs
from burnish.arch.seq2seq.settings import Seq2SeqSettings
from burnish.arch.tokenizer import learn_tokenizer
from burnish.base.files import existing_file, write_json
from burnish.base.hashes import remembered_hash
from burnish.base.meter import Meter
from burnish.base.records import read_json, read_records, write_records
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Cost, Told
from burnish.distrib.team import join_team
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.plan import total_cost
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value

WHAT = "arch-seq2seq"
TOKENS_A_PAIR = 32  # what a plan takes for granted before there is a tokenizer


def train_seq2seq(settings: Seq2SeqSettings, place: Place | None = None) -> dict[str, Any]:
    """Train an encoder-decoder on pairs and measure it; an interrupted call resumes exactly.

    Raises what reading and training do; MissingExtraError, before anything runs, where BLEU is
    wanted and cannot be computed.
    Source: ours. Oracle: tests/arch/seq2seq/test_job.py::test_killed_and_resumed_equals_straight
    """
    if settings.bleu:
        check_extra()
    job = seq2seq_job(settings)
    _ = job.given["pairs"].key  # what is not there is told before a run folder is made
    return run_job(job, place or Place(), team=join_team(settings.device))


def plan_seq2seq(settings: Seq2SeqSettings) -> dict[str, Any]:
    """What a run would do: pairs, parameters at the wanted vocabulary, steps, expected tokens.

    Raises as `train_seq2seq`.
    Source: ours. Oracle: tests/arch/seq2seq/test_job.py::test_a_plan_says_what_the_run_does
    """
    from burnish.arch.seq2seq.shapes import choose_shapes
    from burnish.arch.seq2seq.training import num_steps_of

    if settings.bleu:
        check_extra()
    parted = _part(settings)
    shapes = choose_shapes(settings, settings.vocab)
    steps = num_steps_of(settings, len(parted.train))
    cost = total_cost(seq2seq_job(settings).parts, {"train_pairs": len(parted.train)})
    half = TOKENS_A_PAIR // 2
    flops = 3 * shapes.forward_flops(half, half) * steps * settings.pairs_per_step
    return {
        "what": WHAT,
        **parted.facts(),
        "num_params": shapes.num_params,
        "num_steps": steps,
        "expected_tokens": cost.trained_tokens,
        "expected_train_flops": flops,
        "shapes": {"encoder": asdict(shapes.encoder), "decoder": asdict(shapes.decoder)},
    }


def seq2seq_job(settings: Seq2SeqSettings) -> Job:
    """The job. Raises MissingFileError."""
    path = Path(settings.pairs)
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[
            PairsStep(settings=settings),
            TokenizerStep(vocab=settings.vocab),
            TrainStep(settings=settings),
            EvaluateStep(settings=settings),
        ],
        given={"pairs": Value(lambda: remembered_hash(existing_file(path)), lambda: path)},
        header=Header(
            title=f"burnish arch train: {settings.pairs}",
            numbers={"block": settings.block, "decoder_block": settings.decoder_block},
        ),
    )


def _part(settings: Seq2SeqSettings) -> Any:
    pairs = read_pairs(settings.pairs, source=settings.source, target=settings.target)
    return part_pairs(pairs, heldout_frac=settings.heldout_frac, seed=settings.split_seed)


def _pairs_of(path: Path) -> list[TextPair]:
    return [TextPair(**row) for row in read_records(path)]


@dataclass(frozen=True, kw_only=True)
class PairsStep(Step):
    """Reads the pairs, and holds out some of them.

    Source: ours. Oracle: tests/arch/seq2seq/test_pairs.py::test_no_text_is_on_both_sides
    """

    settings: Seq2SeqSettings
    name: str = "pairs"
    guards = ("train",)

    @property
    def reads(self) -> tuple[str, ...]:
        """The file."""
        return ("pairs",)

    @property
    def writes(self) -> dict[str, str]:
        """Pairs of both sides."""
        return {"train_pairs": "train.jsonl", "heldout_pairs": "heldout.jsonl"}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Read the pairs and split them. Raises InputError, with the line."""
        parted = _part(replace(self.settings, pairs=str(given["pairs"])))
        write_records(stage.path / "train.jsonl", parted.train)
        write_records(stage.path / "heldout.jsonl", parted.heldout)
        return parted.facts()

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """The counts."""
        facts = {name: value for name, value in done.output.items() if name.startswith("num_")}
        return (Told(section="notes", numbers={"pairs": facts}),)


@dataclass(frozen=True, kw_only=True)
class TokenizerStep(Step):
    """Learns one tokenizer of both sides of the training pairs.

    Source: ours. Oracle: tests/arch/test_tokenizer.py::test_any_text_comes_back
    """

    vocab: int
    name: str = "tokenizer"

    @property
    def reads(self) -> tuple[str, ...]:
        """The training pairs."""
        return ("train_pairs",)

    @property
    def writes(self) -> dict[str, str]:
        """A folder that transformers reads."""
        return {"tokenizer": "tokenizer"}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Learn the tokenizer; a text that supports fewer tokens gives fewer."""
        pairs = _pairs_of(given["train_pairs"])
        texts = (text for pair in pairs for text in (pair.source, pair.target))
        return learn_tokenizer(texts, stage.path / "tokenizer", vocab=self.vocab, exact=False)


@dataclass(frozen=True, kw_only=True)
class TrainStep(Step):
    """Trains the model and saves it.

    Source: ours. Oracle: tests/arch/seq2seq/test_job.py::test_killed_and_resumed_equals_straight
    """

    settings: Seq2SeqSettings
    name: str = "train"
    together = True
    timed = ("tokens_per_s",)

    @property
    def reads(self) -> tuple[str, ...]:
        """Pairs of both sides, and the tokenizer."""
        return ("train_pairs", "heldout_pairs", "tokenizer")

    @property
    def writes(self) -> dict[str, str]:
        """The model's folder."""
        return {"trained": "model"}

    def cost(self, num_items: Any) -> Cost:
        """Tokens of all steps, at a guessed length of a pair."""
        from burnish.arch.seq2seq.training import num_steps_of

        steps = num_steps_of(self.settings, num_items["train_pairs"])
        return Cost(trained_tokens=steps * self.settings.pairs_per_step * TOKENS_A_PAIR)

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Train. Raises IncompleteError where the loss stops being finite."""
        from burnish.arch.seq2seq.training import train_pairs
        from burnish.models.load import read_tokenizer

        parts = {"training": _pairs_of(given["train_pairs"])}
        parts |= {"held-out": _pairs_of(given["heldout_pairs"])}
        return train_pairs(stage, self.settings, read_tokenizer(given["tokenizer"]), parts, meter)

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report size, cost and losses."""
        return page.tell_training(done.output)


@dataclass(frozen=True, kw_only=True)
class EvaluateStep(Step):
    """Every held-out pair: nats per token, and BLEU of beam search.

    Source: ours. Oracle: tests/arch/seq2seq/test_measure.py::test_rows_by_hand
    """

    settings: Seq2SeqSettings
    name: str = "evaluate"

    @property
    def reads(self) -> tuple[str, ...]:
        """The model and the held-out pairs."""
        return ("trained", "heldout_pairs")

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Measure. Raises MissingExtraError where BLEU is wanted and cannot be computed."""
        from burnish.arch.seq2seq.measure import score_pairs, scores
        from burnish.arch.seq2seq.saved import open_translator

        settings, pairs = self.settings, _pairs_of(given["heldout_pairs"])
        translator = open_translator(given["trained"], device=settings.device)
        num = settings.most_translations if settings.bleu else 0
        rows = score_pairs(translator, pairs, settings.search, num_translated=num)
        meter.add("scored", sum(row["num_tokens"] for row in rows))
        write_json(stage.path / "rows.json", rows)
        told = [row for row in rows[: page.MOST_SAMPLES] if "translation" in row]
        return scores(rows, seed=settings.seed) | {"samples": told}

    def recheck(self, done: StageResult, given: Given) -> str:
        """Check that the reported numbers follow from the pairs' own."""
        from burnish.arch.seq2seq.measure import scores

        again = scores(read_json(done.path / "rows.json"), seed=self.settings.seed)
        return ", ".join(name for name, value in again.items() if done.output[name] != value)

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report the verdict and the first translations."""
        return page.tell_scores(done.output)
