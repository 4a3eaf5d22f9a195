"""`burnish curate train`: trains a model's complexity scorer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from burnish.base.canonical import content_hash
from burnish.base.errors import InputError, SettingError
from burnish.base.hashes import remembered_hash
from burnish.base.meter import Meter
from burnish.base.rng import stream
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.generation import Sampling
from burnish.contracts.page import Page, Table
from burnish.contracts.step import Told
from burnish.curate.baselines import answer_sizes
from burnish.curate.complexity import Scorer, fit_head, fit_sizes, save_scorer
from burnish.curate.evolve import NUM_LEVELS, evolve_by_model, evolved_set
from burnish.curate.pool import PoolReport, pool_files, read_pool
from burnish.curate.quality_tests import model_of
from burnish.curate.scoring import cut_tokens, embed_texts
from burnish.curate.settings import names_model
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import ITSELF, Given, Step, Value
from burnish.models.handle import ModelHandle

WHAT = "curate-train"
SCORER = "scorer.npz"
LEAST_SEEDS = 10
LEAST_EVOLVED = 5
OPERATORS, ANSWERS = "operators", "answers"
EVOLVED_TOKENS = 512


@dataclass(frozen=True, kw_only=True)
class TrainScorerSettings:
    """How a scorer is trained.

    `evolve`: `operators` of ours, or `model:NAME`, which is asked to make each seed harder; with
    `answers` nothing is evolved, and the scorer learns the size of each seed's own answer.
    `pools`: files whose instructions are the seeds; `num_seeds` of them are evolved to every level.
    `layer`: of the states (-1: the last). A fifth of the seeds is held out.
    """

    model: str = "smollm2-135m"
    pools: tuple[str, ...] = ()
    evolve: str = OPERATORS
    num_seeds: int = 400
    layer: int = -1
    penalty: float = 1.0
    max_tokens: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.pools:
            remedy = "Write --seeds FILE: rows with instructions"
            raise SettingError("seeds", "", "must be named", remedy=remedy)
        if self.evolve not in (OPERATORS, ANSWERS) and not names_model(self.evolve):
            rule, remedy = "must be a way to evolve", "Write operators, answers or model:NAME"
            raise SettingError("evolve", self.evolve, rule, remedy=remedy)
        if self.num_seeds < LEAST_SEEDS:
            rule = f"must be at least {LEAST_SEEDS}"
            raise SettingError("num_seeds", self.num_seeds, rule, remedy="400 is usual")


def train_scorer(settings: TrainScorerSettings, place: Place | None = None) -> dict[str, Any]:
    """Train a scorer; the result is what `result.json` holds, with the scorer's file.

    Raises: what reading the seeds and the model raises; InputError, for too few seeds.
    Source: XCoder, arXiv 2409.03810, section 3.1: levels are rounds of evolution.
    Oracle: tests/curate/test_train_job.py::test_a_scorer_ranks_levels_of_new_seeds
    """
    job = train_scorer_job(settings)
    for value in job.given.values():
        _ = value.key
    result = run_job(job, place or Place())
    return result | {"scorer": str(Path(result["run"]) / "stages" / "train" / SCORER)}


def train_scorer_job(settings: TrainScorerSettings) -> Job:
    """The job of `curate train`."""
    handle, writer = ModelHandle(settings.model), model_of(settings.evolve)
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[TrainScorerStep(settings=settings)],
        given={
            "seeds": Value(lambda: _pools_key(settings.pools), lambda: settings.pools),
            "model": Value(lambda: handle.key, lambda: handle),
            "writer": Value(lambda: "" if writer is None else writer.key, lambda: writer),
        },
        header=Header(
            title=f"burnish curate train: {settings.model}", numbers={"model": settings.model}
        ),
    )


def _pools_key(pools: Sequence[str]) -> str:
    return content_hash([remembered_hash(p) for pool in pools for p in pool_files(pool)])


@dataclass(frozen=True, kw_only=True)
class TrainScorerStep(Step):
    """Evolves instructions, embeds them, fits the head, and measures it on held-out seeds.

    Source: XCoder, arXiv 2409.03810, section 3.1.
    Oracle: tests/curate/test_train_job.py::test_a_scorer_ranks_levels_of_new_seeds
    """

    settings: TrainScorerSettings
    name: str = "train"

    guards = (ITSELF,)  # finished work is not dropped because an input changed

    @property
    def reads(self) -> tuple[str, ...]:
        """The seeds, the model, and the model that evolves the seeds."""
        return ("seeds", "model", "writer")

    @property
    def writes(self) -> Mapping[str, str]:
        """The scorer."""
        return {"scorer": SCORER}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Train, and write the scorer."""
        settings = self.settings
        seeds = seed_instructions(settings)
        owners, texts, wanted = self._material(seeds, given["writer"], stage.path, meter)
        held = owners < max(2, len(seeds) // 5)
        scorer, found = fitted(given["model"], texts, wanted, held, settings, len(seeds), meter)
        save_scorer(scorer, stage.path / SCORER)
        truth = wanted[held]
        lengths = np.array([len(t) for t in texts])[held]
        means = [
            float(found[some].mean())
            if (some := levels_of(truth, settings) == level).any()
            else None
            for level in range(NUM_LEVELS)
        ]
        missing = len(seeds) * NUM_LEVELS - len(texts)
        return {
            "told": {
                "num_seeds": len(seeds),
                "num_heldout_seeds": len(set(owners[held].tolist())),
                "num_not_evolved": 0 if settings.evolve == ANSWERS else missing,
                "spearman": _spearman(found, truth),
                "spearman_length": _spearman(lengths, truth),
                "mean_score_by_level": means,
            }
        }

    def _material(
        self, seeds: Mapping[str, float], writer: ModelHandle | None, folder: Path, meter: Meter
    ) -> tuple[np.ndarray, list[str], np.ndarray]:
        """The seed of each text, the text, and its level or its answer's size."""
        texts, num = list(seeds), len(seeds)
        if self.settings.evolve == ANSWERS:
            return np.arange(num), texts, np.array(list(seeds.values()))
        if writer is None:
            evolved, levels = evolved_set(texts, seed=self.settings.seed)
            return np.repeat(np.arange(num), NUM_LEVELS), evolved, levels
        chains = evolved_by(writer, texts, folder, meter)
        levels = np.concatenate([np.arange(len(chain)) for chain in chains])
        check_levels(levels)
        owners = np.repeat(np.arange(num), [len(chain) for chain in chains])
        return owners, [text for chain in chains for text in chain], levels

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report the rank correlations and the page."""
        told = done.output["told"]
        return (Told.of_page(scorer_page(told, self.settings.evolve == ANSWERS), told),)


def scorer_page(told: Mapping[str, Any], sizes: bool) -> Page:
    """How a scorer of levels, or of sizes, ranks what was held out."""
    what = "sizes of answers" if sizes else "levels"
    means = told["mean_score_by_level"]
    rows = [
        [place, "" if m is None else round(m, 3)]
        for place, m in enumerate(means, start=int(sizes))  # sixths are counted from 1
    ]
    missing = f"{told['num_not_evolved']} texts are missing: the model wrote nothing new."
    rank, by_length = (
        "undefined" if told[name] is None else f"{told[name]:.2f}"
        for name in ("spearman", "spearman_length")
    )  # fmt: skip
    table = Table(
        title=f"Mean score by {'sixth of the sizes' if sizes else 'level'}",
        columns=["sixth" if sizes else "level", "score"],
        rows=rows,
        caption="The score is the logarithm of the number of code tokens."
        if sizes
        else missing * (told["num_not_evolved"] > 0),
    )
    return Page(
        title="burnish curate train",
        verdict=f"On {told['num_heldout_seeds']} held-out seeds the scorer ranks {what} with "
        f"Spearman {rank}; length does with {by_length}.",
        good="measured",
        headline=[("Spearman", rank, f"{what} of held-out seeds")],
        blocks=[table],
    )


def levels_of(wanted: np.ndarray, settings: TrainScorerSettings) -> Int[np.ndarray, " R"]:
    """Levels as they are; of sizes, in which of six equal parts each lies."""
    if settings.evolve != ANSWERS:
        return wanted
    cuts = np.quantile(wanted, np.arange(1, NUM_LEVELS) / NUM_LEVELS)
    return np.searchsorted(cuts, wanted)


def fitted(
    handle: ModelHandle,
    texts: Sequence[str],
    wanted: np.ndarray,
    held: Bool[np.ndarray, " R"],
    settings: TrainScorerSettings,
    num_seeds: int,
    meter: Meter,
) -> tuple[Scorer, Float[np.ndarray, " H"]]:
    """A scorer fitted to the texts that are not held out, and its scores of those that are."""
    layer = None if settings.layer < 0 else settings.layer
    cut = [cut_tokens(handle, text, settings.max_tokens) for text in texts]
    states = embed_texts(handle, cut, meter, layer=layer)
    fit = fit_sizes if settings.evolve == ANSWERS else fit_head
    head = fit(states[~held], wanted[~held], penalty=settings.penalty)
    num_layers = handle.model.config.num_hidden_layers
    info = {
        "num_seeds": num_seeds,
        "pools": [Path(pool).name for pool in settings.pools],
        "evolve": settings.evolve,
    }
    layer = num_layers if layer is None else layer
    scorer = replace(head, layer=layer, backbone=handle.key, info=info)
    return scorer, scorer.score(states[held])


def evolved_by(
    handle: ModelHandle, seeds: Sequence[str], folder: Path, meter: Meter
) -> list[list[str]]:
    """The seeds evolved by a model, round by round; what it wrote before is kept in `folder`.

    Raises what `answer_all` raises.
    """
    from burnish.engine.answers import Answering, Prompt, answer_all

    def ask(level: int, prompts: Sequence[str]) -> list[str]:
        sampling = Sampling(max_new_tokens=EVOLVED_TOKENS)
        asked = [
            Prompt(id=str(i), content=({"role": "user", "content": text},), sampling=sampling)
            for i, text in enumerate(prompts)
        ]
        how = Answering(label=f"evolve, round {level}", unit="seed")
        log = folder / f"round-{level}.jsonl"
        return [done.text for done in answer_all(handle, asked, log=log, meter=meter, how=how)]

    return evolve_by_model(seeds, NUM_LEVELS, ask)


def check_levels(levels: np.ndarray) -> None:
    """Raise InputError where the model evolved too little to fit a scorer to."""
    counts = np.bincount(levels, minlength=NUM_LEVELS)
    if counts[-1] < LEAST_EVOLVED:
        rule = f"must have at least {LEAST_EVOLVED} seeds at every level"
        remedy = "Name a model that follows instructions, or more seeds"
        raise InputError("evolved seeds by level", counts.tolist(), rule, remedy=remedy)


def seed_instructions(settings: TrainScorerSettings) -> dict[str, float]:
    """Distinct first questions of the pools, drawn by the seed, and the sizes of their answers.

    With `answers` only rows with an answer count. The pools are read twice: of the texts, the
    drawn ones alone are held. Raises: InputError, for too few.
    """
    places: dict[bytes, int] = {}
    for text, _ in _instructions(settings):
        places.setdefault(_digest(text), len(places))
    if len(places) < LEAST_SEEDS:
        rule = f"must contain at least {LEAST_SEEDS} distinct instructions"
        raise InputError("seeds", len(places), rule, remedy="Add rows")
    order = stream(settings.seed, "seeds").permutation(len(places))[: settings.num_seeds]
    drawn: dict[int, tuple[str, float] | None] = dict.fromkeys(order.tolist())
    for text, size in _instructions(settings):
        if drawn.get(place := places[_digest(text)], ()) is None:
            drawn[place] = text, size
    return dict(found for found in drawn.values() if found is not None)


def _instructions(settings: TrainScorerSettings) -> Iterator[tuple[str, float]]:
    """The first question of every row that has one, and with `answers` its answer's size."""
    for pool in settings.pools:
        for sample in read_pool(pool, PoolReport()):
            text = next((t.text for t in sample.turns if t.role in ("user", "text")), "")
            size = float(answer_sizes([sample])[0]) if settings.evolve == ANSWERS else 0.0
            if text.strip() and np.isfinite(size):
                yield text.strip(), size


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _spearman(one: np.ndarray, other: np.ndarray) -> float | None:
    """The rank correlation; None where all values of a side are equal."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    found: Any = stats.spearmanr(one, other)  # scipy has no types
    return float(found.statistic)
