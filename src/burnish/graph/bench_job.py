"""`burnish graph bench`: every arm on every seed, the attribution, and the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from burnish.base.canonical import jsonable
from burnish.base.meter import Meter
from burnish.base.records import read_records, write_records
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.record import Claim
from burnish.contracts.step import Told
from burnish.graph.attribution import Row, by_arm, conclusion, contrasts
from burnish.graph.bench_seed import Bench
from burnish.graph.page import bench_page
from burnish.graph.settings import BenchSettings
from burnish.graph.tables import open_graph
from burnish.graph.world import World
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import ITSELF, Given, Step, Value
from burnish.models.handle import ModelHandle

WHAT = "graph-bench"
ROWS = "rows.jsonl"


def bench_graph(
    settings: BenchSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure every arm; the result is what `result.json` holds.

    Raises MissingFileError and InputError for a graph that cannot be read, what its problem
    raises, ModelError.
    Source: AskGNN, arXiv 2410.07074 (reconstruction); controls and attribution are ours.
    Oracle: tests/graph/test_bench_job.py::test_resumed_equals_straight
    """
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command)
    return run_job(bench_job(settings), place)


def bench_job(settings: BenchSettings) -> Job:
    """The job of `graph bench`."""
    base = settings.base
    handle = ModelHandle(base.model, precision=base.precision, device=base.device)
    graph = open_graph(base.graph)
    steps = [SeedStep(bench=settings, seed=seed, name=f"seed-{seed}") for seed in settings.seeds]
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=base.seed,
        parts=[*steps, AttributionStep(bench=settings)],
        given={
            "graph": Value(lambda: graph.key, lambda: graph),
            "model": Value(lambda: handle.key, lambda: handle),
        },
        header=Header(
            title=f"burnish graph bench: {Path(base.graph).name}, {base.model}",
            numbers={"graph": base.graph, "model": base.model, "task": base.problem.task},
        ),
        base=base.model,
    )


@dataclass(frozen=True, kw_only=True)
class SeedStep(Step):
    """Runs one seed; readings are kept in the graph's log, so the model is never asked twice.

    Source: ours. Oracle: tests/graph/test_bench_job.py::test_resumed_equals_straight
    """

    bench: BenchSettings
    seed: int
    name: str

    guards = (ITSELF,)

    @property
    def reads(self) -> tuple[str, ...]:
        """Graph and model."""
        return ("graph", "model")

    @property
    def writes(self) -> Mapping[str, str]:
        """The rows and facts of the seed."""
        return {f"rows-{self.seed}": ROWS, f"told-{self.seed}": ""}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Run every arm."""
        base = self.bench.base
        wanted = max(base.problem.queries, self.bench.feedback_queries)
        settings = replace(base, problem=replace(base.problem, queries=wanted))
        world = World(
            graph=given["graph"], settings=settings, handle=given["model"], seed=self.seed,
            meter=meter,
        )  # fmt: skip
        bench = Bench(world=world, settings=self.bench)
        try:
            bench.run()
        finally:
            world.asker.reader.close()
        write_records(stage.path / ROWS, bench.rows)
        return {f"told-{self.seed}": jsonable(bench.told)}


@dataclass(frozen=True, kw_only=True)
class AttributionStep(Step):
    """Means, paired differences and the page, from the rows of all seeds.

    Source: ours. Oracle: tests/graph/test_attribution.py::test_means_and_intervals
    """

    bench: BenchSettings
    name: str = "attribution"

    @property
    def reads(self) -> tuple[str, ...]:
        """Rows of every seed."""
        return tuple(f"rows-{seed}" for seed in self.bench.seeds)

    @property
    def shows(self) -> tuple[str, ...]:
        """The facts of every seed, and the graph for the drawing."""
        return (*(f"told-{seed}" for seed in self.bench.seeds), "graph")

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Compute means, differences and attribution."""
        task = self.bench.base.problem.task
        rows = read_rows([given[name] for name in self.reads])
        accuracy = {name: value.to_dict() for name, value in by_arm(rows).items()}
        found = contrasts(rows, lower_is_better=task == "generate")
        if task == "generate":
            sentence, good = generation_sentence(found)
        else:
            sentence, good = conclusion(accuracy, found)
        return {
            "measure": "reference NLL, nats per token" if task == "generate" else "accuracy",
            "accuracy": accuracy,
            "attribution": found,
            "conclusion": sentence,
            "good": good,
        }

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Numbers, claims, and the page."""
        told = {key: done.output[key] for key in ("measure", "accuracy", "attribution")}
        seeds = {str(seed): given[f"told-{seed}"] for seed in self.bench.seeds}
        tokens = sum(sum(own.get("tokens", {}).values()) for own in seeds.values())
        claims = [
            Claim(
                claim=f"{name}: {row['meaning']}", value=row["value"], low=row["low"],
                high=row["high"], n=row["n"], tokens=tokens,
                artefact=f"stages/seed-{self.bench.seeds[0]}/{ROWS}",
            )
            for name, row in told["attribution"].items()
        ]  # fmt: skip
        sentence, good = done.output["conclusion"], done.output["good"]
        page = bench_page(told, seeds, self.bench, sentence, good)
        numbers = {**told, "seeds": seeds, "conclusion": sentence}
        return (
            Told(
                numbers=numbers, claims=claims, headline=page.headline, blocks=page.blocks,
                verdict=(page.verdict, page.good),
            ),
        )  # fmt: skip


def read_rows(paths: Sequence[Path]) -> list[Row]:
    """Read the rows that the seeds wrote."""
    names = ("arm", "query", "seed", "value")
    rows = [row for path in paths for row in read_records(path)]
    return [Row(**{name: row[name] for name in names}) for row in rows]


def generation_sentence(found: Mapping[str, Any]) -> tuple[str, bool | None]:
    """What examples chosen by the graph do to the reference's likelihood, in a sentence."""
    row = found.get("over_bm25") or found.get("over_random")
    if row is None:
        return "References were scored.", None
    text = f"Against {row['second']}, examples by the graph change the reference's likelihood by "
    text += f"{row['value']:+.3f} nats per token [{row['low']:+.3f}, {row['high']:+.3f}]."
    return text, True if row["low"] > 0 else (False if row["high"] < 0 else None)
