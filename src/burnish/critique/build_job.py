"""`burnish critique build` and `critique filter`: triples as files of a run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.canonical import file_hash
from burnish.base.errors import IncompleteError
from burnish.base.meter import Meter
from burnish.base.records import content_hash, write_records
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Told
from burnish.contracts.task import Task
from burnish.critique.annotate import annotate
from burnish.critique.critics import (
    SCRIPTED,
    TRIPLES_FILE,
    check_verifiable,
    checked,
    handle_of,
    model_player,
    read_triples,
    tasks_of,
    triples_path,
)
from burnish.critique.filtering import filter_triples
from burnish.critique.filters import leaks
from burnish.critique.flaws import (
    inserted_by,
    inserted_solutions,
    located_solutions,
    mixed,
    sampled_solutions,
)
from burnish.critique.grammar import read, steps_of
from burnish.critique.page import build_page, filter_page
from burnish.critique.planted import planted_solutions
from burnish.critique.processbench import write_processbench
from burnish.critique.selftalk_data import talk_rows
from burnish.critique.settings import CritiqueBuildSettings, CritiqueFilterSettings
from burnish.critique.triples import Solution, Triple
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.publish import publish_file
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value, constant
from burnish.models.handle import ModelHandle

BUILD, FILTER = "critique-build", "critique-filter"
BENCH_FILE = "processbench.jsonl"
TALK_FILE = "selftalk.jsonl"
PAIRS_FILE = "pairs.jsonl"


def build_critiques(settings: CritiqueBuildSettings, place: Place | None = None) -> dict[str, Any]:
    """Build triples of flawed solutions and critiques; `RUN/triples.jsonl` holds them.

    `RUN/pairs.jsonl` has a right and a flawed solution of a task each, for `burnish prefer`.

    Raises: IncompleteError, where no solution was flawed; what models and sources raise.
    Source: arXiv 2411.16579. Oracle: tests/critique/test_build_job.py::test_a_run_holds_triples
    """
    result = run_job(checked(build_job(settings)), place or Place())
    publish_file(Path(result["run"]), "build", TRIPLES_FILE)
    publish_file(Path(result["run"]), "build", BENCH_FILE)
    publish_file(Path(result["run"]), "build", TALK_FILE)
    publish_file(Path(result["run"]), "build", PAIRS_FILE)
    return {**result, "triples": str(Path(result["run"]) / TRIPLES_FILE)}


def build_job(settings: CritiqueBuildSettings) -> Job:
    """The job of `critique build`."""
    tasks = Value(
        lambda: content_hash(tasks.content),
        lambda: tasks_of(settings.tasks, seed=settings.seed, limit=settings.limit),
    )
    return Job(
        what=BUILD,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[BuildStep(build=settings)],
        given={
            "tasks": tasks,
            "actor": handle_value(settings.model, settings),
            "annotator": handle_value(_model(settings.annotator), settings),
            "editor": handle_value(settings.editor, settings),
        },
        header=Header(title="burnish critique build"),
    )


def _model(spec: str) -> str:
    return "" if spec == SCRIPTED else spec


def handle_value(spec: str, settings: Any) -> Value:
    """The model of a spec as a value, None for an empty one."""
    if not spec:
        return constant(None)
    handle = handle_of(spec, settings.place)
    return Value(lambda: handle.key, lambda: handle)


@dataclass(frozen=True, kw_only=True)
class BuildStep(Step):
    """Flawed solutions of three origins, a share of right ones, and their critiques.

    Source: arXiv 2411.16579. Oracle: tests/critique/test_build_job.py::test_a_run_holds_triples
    """

    build: CritiqueBuildSettings
    name: str = "build"

    @property
    def reads(self) -> tuple[str, ...]:
        """The tasks and the models."""
        return ("tasks", "actor", "annotator", "editor")

    @property
    def writes(self) -> Mapping[str, str]:
        """The triples."""
        return {"triples": TRIPLES_FILE}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Build and write the triples."""
        settings = self.build
        solutions = self._solutions(stage.path, given, meter)
        if not solutions:
            remedy = "Use more tasks, a weaker model, or tasks of the source chain"
            raise IncompleteError("flawed solutions", 0, "must be at least one", remedy=remedy)
        handle: ModelHandle | None = given["annotator"]
        if handle is None:
            check_verifiable([one.task for one in solutions])
        annotator = handle and model_player(handle, stage.path / "logs", settings.place, meter)
        written = annotate(
            solutions,
            annotator,
            settings.wording,
            name="critiques",
            max_new_tokens=settings.max_critique_tokens,
            seed=settings.seed,
        )
        triples = [
            Triple(id=f"{number}-{one.task.id[:12]}", solution=one, critique=text.text)
            for number, (one, text) in enumerate(zip(solutions, written, strict=True))
            if text is not None
        ]
        write_records(stage.path / TRIPLES_FILE, [triple.to_row() for triple in triples])
        num_bench = write_processbench(stage.path / BENCH_FILE, solutions)
        write_records(stage.path / TALK_FILE, talk_rows(solutions))
        write_records(stage.path / PAIRS_FILE, pair_rows(solutions, self._right(given)))
        return {"told": build_counts(triples, settings) | {"num_bench": num_bench}}

    def _solutions(self, folder: Path, given: Given, meter: Meter) -> list[Solution]:
        settings, tasks = self.build, given["tasks"]
        flaws, seed = settings.flaws, settings.seed
        found = inserted_solutions(tasks, flaws, seed=seed)
        right = self._right(given)
        if (handle := given["actor"]) is not None:
            actor = model_player(handle, folder / "logs", settings.place, meter)
            sampled = sampled_solutions(tasks, actor, flaws, seed=seed)
            mine = [one for one in sampled if one.right]
            found += [one for one in sampled if not one.right]
            if not handle.is_server and flaws.num_located:
                found += located_solutions(mine, actor, flaws, seed=seed)
            right = mine + right
        if (handle := given["editor"]) is not None:
            editor = model_player(handle, folder / "editor", settings.place, meter)
            found += inserted_by(right, editor, flaws, seed=seed)
        return mixed(found, right, flaws.right_frac, seed=seed)

    def _right(self, given: Given) -> list[Solution]:
        return [one for one in _right(given["tasks"], self.build.seed) if one.right]

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report counts by origin and type, and the page."""
        told = done.output["told"]
        return (Told.of_page(build_page(told), told),)


def pair_rows(solutions: Sequence[Solution], known: Sequence[Solution]) -> list[dict[str, str]]:
    """Preferences: a right solution over each flawed one of the same task.

    The right one is a sampled one where there is any, else one of `known`.
    Source: ours. Oracle: tests/critique/test_build_job.py::test_pairs_are_right_over_flawed
    """
    right = {one.task.id: one.text for one in (*known, *solutions) if one.right}
    return [
        {"prompt": one.task.prompt, "chosen": right[one.task.id], "rejected": one.text}
        for one in solutions
        if not one.right and one.task.id in right
    ]


def _right(tasks: Sequence[Task], seed: int) -> list[Solution]:
    return planted_solutions(tasks, right_frac=1.0, seed=seed)


def build_counts(triples: Sequence[Triple], settings: CritiqueBuildSettings) -> dict[str, Any]:
    """Counts and rates of what was built."""
    states = Counter[str]()
    agree = known = 0
    for triple in triples:
        seen = read(triple.critique, steps_of(triple.solution.text), settings.wording.form)
        states[str(seen.state)] += 1
        if triple.solution.first_error is not None and seen.critique is not None:
            known += 1
            agree += seen.critique.right == triple.solution.right
    flawed = [triple.solution for triple in triples if not triple.solution.right]
    return {
        "num_triples": len(triples),
        "num_right": len(triples) - len(flawed),
        "origins": dict(Counter(triple.solution.origin for triple in triples)),
        "error_types": dict(Counter(one.kind or "unknown" for one in flawed)),
        "first_errors": dict(Counter(str(one.first_error) for one in flawed)),
        "states": dict(states),
        "num_leaking": sum(leaks(triple) for triple in triples),
        "verdict_agrees_frac": agree / known if known else None,
        "annotator": settings.annotator,
    }


def filter_critiques(
    settings: CritiqueFilterSettings, place: Place | None = None
) -> dict[str, Any]:
    """Filter triples; `RUN/triples.jsonl` holds what is kept.

    Raises: InputError, for a file of no triples; what models raise.
    Source: arXiv 2411.16579, stage 3.
    Oracle: tests/critique/test_build_job.py::test_a_filter_keeps_a_part
    """
    read_triples(triples_path(settings.triples))
    result = run_job(checked(filter_job(settings)), place or Place())
    publish_file(Path(result["run"]), "filter", TRIPLES_FILE)
    return {**result, "triples": str(Path(result["run"]) / TRIPLES_FILE)}


def filter_job(settings: CritiqueFilterSettings) -> Job:
    """The job of `critique filter`."""
    return Job(
        what=FILTER,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[FilterStep(settings=settings)],
        given={
            "triples": triples_value(settings.triples),
            "actor": handle_value(settings.model, settings),
        },
        header=Header(title=f"burnish critique filter: {settings.filter.kind}"),
    )


def triples_value(given: str) -> Value:
    """A file of triples, known by its content."""
    return Value(lambda: file_hash(triples_path(given)), lambda: triples_path(given))


@dataclass(frozen=True, kw_only=True)
class FilterStep(Step):
    """Refines with each critique and a placebo, and keeps the critiques that help.

    Source: arXiv 2411.16579, stage 3.
    Oracle: tests/critique/test_build_job.py::test_a_filter_keeps_a_part
    """

    settings: CritiqueFilterSettings
    name: str = "filter"

    @property
    def reads(self) -> tuple[str, ...]:
        """The triples and the actor."""
        return ("triples", "actor")

    @property
    def writes(self) -> Mapping[str, str]:
        """The triples that are kept."""
        return {"kept": TRIPLES_FILE}

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Filter, and write the triples that are kept."""
        settings = self.settings
        actor = model_player(given["actor"], stage.path / "logs", settings.place, meter)
        kept, told = filter_triples(
            read_triples(given["triples"]),
            actor,
            settings.filter,
            settings.wording,
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            seed=settings.seed,
        )
        write_records(stage.path / TRIPLES_FILE, [triple.to_row() for triple in kept])
        return {"told": told}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report counts and rates, and the page."""
        told = done.output["told"]
        return (Told.of_page(filter_page(told), told),)
