"""`burnish tour`: ten small jobs, one for each discipline, and one number of each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.settings import to_dict
from burnish.contracts.step import Told
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Composite, Part, Step, Value
from burnish.models.handle import ModelHandle
from burnish.recipes.tour import stops
from burnish.recipes.tour.stop import MODEL
from burnish.recipes.tour_settings import STOPS, TourSettings

WHAT = "tour"


def take_tour(
    settings: TourSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Run every stop's job; `disciplines` of the result has a number with interval for each.

    Interrupted, a repeated call resumes in the job that it was at. Raises ModelError for a server,
    which cannot be trained, and what the jobs raise.
    Source: ours. Oracle: tests/recipes/test_touring.py::test_each_stop_tells_the_number_of_its_run
    """
    job = tour_job(settings)
    _ = ModelHandle(settings.model).folder  # a wrong name is told before a run is opened
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command)
    return run_job(job, place)


def tour_job(settings: TourSettings) -> Job:
    """The job of a tour."""
    handle = ModelHandle(settings.model, precision=settings.precision, device=settings.device)
    parts: list[Part] = [stops.get(name).configured(settings) for name in settings.stops]
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[*parts, Ending(num=len(parts))],
        given={MODEL: Value(lambda: handle.key, lambda: handle)},
        header=Header(
            title=f"burnish tour: {settings.model}",
            numbers={"model": settings.model, "seed": settings.seed},
        ),
        base=settings.model,
    )


@dataclass(frozen=True, kw_only=True)
class Ending(Composite):
    """The first sentence of the page; it runs nothing."""

    num: int
    name: str = "ending"

    def planned(self) -> Sequence[Step]:
        """None."""
        return []

    def steps(self, look: Callable[[str], Any]) -> Iterator[Step]:
        """None."""
        return iter(())

    def tell(self, look: Callable[[str], Any]) -> Sequence[Told]:
        """How many disciplines were measured."""
        sentence = f"{self.num} of {len(STOPS)} disciplines were measured, each on a small job."
        return (Told(verdict=(sentence, "measured")),)
