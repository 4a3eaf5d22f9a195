"""Players by their spec: a model, the program that verifies steps, or none."""

from collections.abc import Sequence
from pathlib import Path

from burnish.base.errors import InputError, SettingError
from burnish.base.meter import Meter
from burnish.base.records import existing_file, read_records
from burnish.contracts.task import Task
from burnish.critique.grammar import render
from burnish.critique.planted import scripted_critique
from burnish.critique.players import ModelPlayer, Player, ProgramPlayer, Wish
from burnish.critique.settings import PlaceSettings
from burnish.critique.triples import Solution, Triple
from burnish.critique.wording import Wording
from burnish.data.chains import chain_of
from burnish.data.sources import load_tasks
from burnish.jobs.job import Job
from burnish.models.handle import ModelHandle

SCRIPTED, NOBODY, ITSELF = "scripted", "none", "self"
TRIPLES_FILE = "triples.jsonl"


def checked(job: Job) -> Job:
    """Return the job after opening everything that it names, before a run folder is made.

    Raises: what opening its files and finding its models raises.
    """
    for value in job.given.values():
        _ = value.key
    return job


def handle_of(spec: str, place: PlaceSettings) -> ModelHandle:
    """The model of a spec."""
    return ModelHandle(spec, precision=place.precision, device=place.device)


def model_player(
    handle: ModelHandle, folder: Path, place: PlaceSettings, meter: Meter
) -> ModelPlayer:
    """A model as a player that logs its texts in a stage."""
    folder.mkdir(parents=True, exist_ok=True)
    return ModelPlayer(handle=handle, folder=folder, meter=meter, batch_size=place.batch_size)


def scripted_critic(tasks: Sequence[Task], wording: Wording) -> Player:
    """The program that verifies steps, as a critic.

    Raises: SettingError, for tasks that it cannot verify.
    Source: ours. Oracle: tests/critique/test_critics.py::test_a_scripted_critic_is_never_wrong
    """
    check_verifiable(tasks)
    by_id = {task.id: task for task in tasks}

    def write(wish: Wish) -> str:
        task = by_id[wish.id.split("/")[0]]
        text = wording.solution_in(wish.prompt, task.prompt)
        solution = Solution(task=task, text=text, right=False, origin="sampled")
        critique = scripted_critique(solution, mode=wording.mode)
        assert critique is not None
        return render(critique, wording.form)

    return ProgramPlayer(function=write, name=SCRIPTED)


def check_verifiable(tasks: Sequence[Task]) -> None:
    """Raise SettingError where a program cannot verify the steps of a task."""
    other = next((task for task in tasks if chain_of(task) is None), None)
    if other is not None:
        rule = "can verify chains of sums only"
        remedy = "Name a model, or use tasks of the source chain"
        raise SettingError("scripted critic", other.group, rule, remedy=remedy)


def tasks_of(specs: Sequence[str], *, seed: int, limit: int) -> list[Task]:
    """The tasks of several sources. Raises: as `load_tasks`."""
    tasks = [task for spec in specs for task in load_tasks(spec, seed=seed)]
    return tasks[:limit] if limit else tasks


def triples_path(given: str) -> Path:
    """The file of triples that is given, or that a run left. Raises: MissingFileError."""
    path = Path(given)
    if path.is_dir():
        path = path / TRIPLES_FILE
    return existing_file(path)


def read_triples(path: Path) -> list[Triple]:
    """Triples of a file. Raises: InputError, naming the row."""
    found: list[Triple] = []
    for number, row in enumerate(read_records(path), 1):
        try:
            found.append(Triple.from_row(row))
        except (KeyError, TypeError) as error:
            rule, remedy = "is not a triple", "Make the file with burnish critique build"
            raise InputError(
                f"row {number} of {path.name}", sorted(row), rule, remedy=remedy
            ) from error
    if not found:
        remedy = "Build more: burnish critique build"
        raise InputError("triples", str(path), "must contain at least one", remedy=remedy)
    return found
