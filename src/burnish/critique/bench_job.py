"""`burnish critique bench`: a critic on ProcessBench's format, or on planted errors."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.canonical import jsonable
from burnish.base.errors import InputError
from burnish.base.meter import Meter
from burnish.base.records import content_hash, existing_file, write_records
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Told
from burnish.critique.annotate import annotate
from burnish.critique.build_job import BENCH_FILE, handle_value
from burnish.critique.critics import SCRIPTED, check_verifiable, checked, model_player, tasks_of
from burnish.critique.grammar import Read, State, read, steps_of
from burnish.critique.page import bench_page
from burnish.critique.planted import planted_solutions
from burnish.critique.processbench import measure_predictions, read_processbench, to_row
from burnish.critique.settings import CritiqueBenchSettings
from burnish.critique.triples import Solution
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.publish import publish_file
from burnish.jobs.result import Header
from burnish.jobs.step import ITSELF, Given, Step, Value

WHAT = "critique-bench"
PLANTED = "chain:"


def bench_critic(settings: CritiqueBenchSettings, place: Place | None = None) -> dict[str, Any]:
    """Measure a critic; `RUN/processbench.jsonl` has its critique and prediction of each row.

    Raises: MissingFileError and InputError, for the rows; what models raise.
    Source: ProcessBench (Zheng et al. 2024, arXiv 2412.06559).
    Oracle: tests/critique/test_bench_job.py::test_the_program_is_right_on_every_planted_row
    """
    solutions = bench_solutions(settings)
    if settings.model == SCRIPTED:
        check_verifiable([one.task for one in solutions])
    result = run_job(checked(bench_job(settings)), place or Place())
    publish_file(Path(result["run"]), "bench", BENCH_FILE)
    return {**result, "rows": str(Path(result["run"]) / BENCH_FILE)}


def bench_solutions(settings: CritiqueBenchSettings) -> list[Solution]:
    """The solutions of a file, of a run of `critique build`, or planted in chains of sums.

    Raises: MissingFileError; InputError, for no rows.
    """
    if settings.data.startswith(PLANTED):
        tasks = tasks_of((settings.data,), seed=settings.seed, limit=settings.limit)
        return planted_solutions(tasks, right_frac=settings.right_frac, seed=settings.seed)
    path = Path(settings.data)
    path = existing_file(path / BENCH_FILE if path.is_dir() else path)
    found = read_processbench(path)
    if not found:
        remedy = "Make some: burnish critique build"
        raise InputError("rows", str(path), "must be at least one", remedy=remedy)
    return found[: settings.limit] if settings.limit else found


def bench_job(settings: CritiqueBenchSettings) -> Job:
    """The job of `critique bench`."""
    solutions = Value(
        lambda: content_hash(jsonable(solutions.content)), lambda: bench_solutions(settings)
    )
    model = "" if settings.model == SCRIPTED else settings.model
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[BenchStep(settings=settings)],
        given={"solutions": solutions, "critic": handle_value(model, settings)},
        header=Header(title=f"burnish critique bench: {settings.model} on {settings.data}"),
    )


@dataclass(frozen=True, kw_only=True)
class BenchStep(Step):
    """Writes a critique of each solution, greedily, and compares the first step it calls wrong.

    Source: arXiv 2412.06559.
    Oracle: tests/critique/test_bench_job.py::test_the_program_is_right_on_every_planted_row
    """

    settings: CritiqueBenchSettings
    name: str = "bench"

    guards = (ITSELF,)  # finished work is not dropped because an input changed

    @property
    def reads(self) -> tuple[str, ...]:
        """The solutions and the critic."""
        return ("solutions", "critic")

    @property
    def writes(self) -> Mapping[str, str]:
        """The rows with critiques and predictions."""
        return {"rows": BENCH_FILE}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Criticise, read, compare."""
        settings, solutions, handle = self.settings, given["solutions"], given["critic"]
        critic = handle and model_player(handle, stage.path / "logs", settings.place, meter)
        written = annotate(
            solutions, critic, settings.wording, name="critiques", hints=False,
            max_new_tokens=settings.max_new_tokens, seed=settings.seed,
        )  # fmt: skip
        texts = ["" if one is None else one.text for one in written]
        reads = [
            read(text, steps_of(one.text), settings.wording.form)
            for text, one in zip(texts, solutions, strict=True)
        ]
        found = [prediction(one) for one in reads]
        rows = [
            to_row(number, one)
            | {"generated_critique": text, "prediction": guess, "match": guess == one.first_error}
            for number, (one, text, guess) in enumerate(zip(solutions, texts, found, strict=True))
        ]
        write_records(stage.path / BENCH_FILE, rows)
        told: dict[str, Any] = dict(measure_predictions(found, rows, seed=settings.seed))
        states = Counter(str(one.state) for one in reads)
        told["states"] = dict(states)
        told["parse_rate"] = 1 - states.get(State.UNPARSABLE, 0) / len(reads)
        return {"told": told}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report the accuracies, F1 and the page."""
        told = done.output["told"]
        return (Told.of_page(bench_page(told), told),)


def prediction(found: Read) -> int | None:
    """The first step that a critique calls wrong, -1 for none; None for an unusable critique."""
    return found.critique.first_error if found.usable and found.critique is not None else None
