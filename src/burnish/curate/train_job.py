"""`burnish curate train`: trains a model's complexity scorer on evolved instructions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
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
from burnish.curate.complexity import Scorer, fit_head, save_scorer
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
OPERATORS = "operators"
EVOLVED_TOKENS = 512


@dataclass(frozen=True, kw_only=True)
class TrainScorerSettings:
    """How a scorer is trained.

    `evolve`: `operators` of ours, or `model:NAME`, which is asked to make each seed harder.
    `pools`: files whose instructions are the seeds; `num_seeds` of them are evolved to every level.
    `layer`: of the states (-1: the last). A fifth of the seeds is held out.
    """

    model: str = "smollm2-135m"
    pools: tuple[str, ...] = ()
    evolve: str = OPERATORS
    num_seeds: int = 400
    layer: int = -1
    penalty: float = 1e-2
    max_tokens: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.pools:
            remedy = "Write --seeds FILE: rows with instructions"
            raise SettingError("seeds", "", "must be named", remedy=remedy)
        if self.evolve != OPERATORS and not names_model(self.evolve):
            rule, remedy = "must be a way to evolve", "Write operators or model:NAME"
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
        settings, handle = self.settings, given["model"]
        seeds = seed_instructions(settings)
        if given["writer"] is None:
            texts, levels = evolved_set(seeds, seed=settings.seed)
            owners = np.repeat(np.arange(len(seeds)), NUM_LEVELS)
        else:
            chains = evolved_by(given["writer"], seeds, stage.path, meter)
            texts = [text for chain in chains for text in chain]
            levels = np.concatenate([np.arange(len(chain)) for chain in chains])
            owners = np.repeat(np.arange(len(seeds)), [len(chain) for chain in chains])
        check_levels(levels)
        layer = None if settings.layer < 0 else settings.layer
        cut = [cut_tokens(handle, text, settings.max_tokens) for text in texts]
        states = embed_texts(handle, cut, meter, layer=layer)
        held = owners < max(2, len(seeds) // 5)
        fitted = fit_head(states[~held], levels[~held], penalty=settings.penalty)
        num_layers = handle.model.config.num_hidden_layers
        info = {"num_seeds": len(seeds), "pools": [Path(p).name for p in settings.pools]}
        scorer = Scorer(
            fitted.weight, fitted.bias, fitted.mean, fitted.scale,
            layer=num_layers if layer is None else layer, backbone=handle.key, info=info,
        )  # fmt: skip
        save_scorer(scorer, stage.path / SCORER)
        found = scorer.score(states[held])
        rank = _spearman(found, levels[held])
        lengths = np.array([len(t) for t in texts])[held]
        length_rank = _spearman(lengths, levels[held])
        means = [
            float(found[levels[held] == level].mean()) if (levels[held] == level).any() else None
            for level in range(NUM_LEVELS)
        ]
        return {
            "told": {
                "num_seeds": len(seeds),
                "num_heldout_seeds": len(set(owners[held].tolist())),
                "num_not_evolved": len(seeds) * NUM_LEVELS - len(texts),
                "spearman": rank,
                "spearman_length": length_rank,
                "mean_score_by_level": means,
            }
        }

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report the rank correlations and the page."""
        told = done.output["told"]
        means = told["mean_score_by_level"]
        rows = [[level, "" if m is None else round(m, 3)] for level, m in enumerate(means)]
        page = Page(
            title="burnish curate train",
            verdict=f"On {told['num_heldout_seeds']} held-out seeds the scorer ranks levels with "
            f"Spearman {told['spearman']:.2f}; length does with {told['spearman_length']:.2f}.",
            good="measured",
            headline=[("Spearman", f"{told['spearman']:.2f}", "levels of held-out seeds")],
            blocks=[
                Table(
                    title="Mean score by level",
                    columns=["level", "score"],
                    rows=rows,
                    caption=f"{told['num_not_evolved']} texts are missing: the model wrote "
                    "nothing new.",
                )
            ],
        )
        return (Told.of_page(page, told),)


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


def seed_instructions(settings: TrainScorerSettings) -> list[str]:
    """Distinct first questions of the pools, drawn by the seed. Raises: InputError, for too few.

    The pools are read twice: of the texts, the drawn ones alone are held.
    """
    places: dict[bytes, int] = {}
    for text in _instructions(settings.pools):
        places.setdefault(_digest(text), len(places))
    if len(places) < LEAST_SEEDS:
        rule = f"must contain at least {LEAST_SEEDS} distinct instructions"
        raise InputError("seeds", len(places), rule, remedy="Add rows")
    order = stream(settings.seed, "seeds").permutation(len(places))[: settings.num_seeds]
    drawn = dict.fromkeys(order.tolist(), "")
    for text in _instructions(settings.pools):
        if (place := places[_digest(text)]) in drawn:
            drawn[place] = text
    return list(drawn.values())


def _instructions(pools: Sequence[str]) -> Iterator[str]:
    """The first question of every row that has one."""
    for pool in pools:
        for sample in read_pool(pool, PoolReport()):
            text = next((t.text for t in sample.turns if t.role in ("user", "text")), "")
            if text.strip():
                yield text.strip()


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    found: Any = stats.spearmanr(one, other)  # scipy has no types
    return float(found.statistic)
