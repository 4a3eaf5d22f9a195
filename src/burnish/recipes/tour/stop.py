"""A stop of the tour: a step that runs one discipline's job, and tells one number of it."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from burnish.base.meter import Meter
from burnish.base.progress import say
from burnish.base.records import write_records
from burnish.base.stages import Stage, StageResult
from burnish.contracts.page import Table
from burnish.contracts.record import Claim
from burnish.contracts.step import Told
from burnish.jobs.step import METERED, Given, Step
from burnish.recipes.tour.material import text_rows
from burnish.recipes.tour_settings import MaterialSettings, TourSettings

RUN = "run"  # folder of the stage in which the discipline's own run lies
MODEL = "model"
TITLE = "Ten disciplines, one number each"
COLUMNS = ["discipline", "what was measured", "value", "low", "high", "n", "seconds"]
CAPTION = (
    "Small jobs: they show that each discipline works here, not how good it is. Intervals are 95%, "
    "those of scaling 90%. Every job has its own page, under stages/NAME/run/report."
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """The number of a stop, its interval, and what it means."""

    value: float
    low: float
    high: float
    n: int
    meaning: str
    tokens: Mapping[str, int]

    @classmethod
    def of(cls, estimate: Mapping[str, Any], meaning: str, result: Mapping[str, Any]) -> Self:
        """An estimate out of the result of a discipline's run."""
        ends = {name: float(estimate[name]) for name in ("value", "low", "high")}
        metered = result.get("cost", {}).get(METERED, {})
        return cls(**ends, n=int(estimate["n"]), meaning=meaning, tokens=metered)


@dataclass(frozen=True, kw_only=True)
class Where:
    """What all stops share."""

    model: str
    precision: str
    device: str
    seed: int
    material: MaterialSettings

    @property
    def model_settings(self) -> dict[str, Any]:
        """The fields of a job's settings that say which model runs, and how."""
        return {"model": self.model, "precision": self.precision, "device": self.device}


@dataclass(frozen=True, kw_only=True)
class Stop(Step):
    """One small job; what was finished of it is kept when the tour is interrupted.

    Source: ours. Oracle: tests/recipes/test_touring.py::test_each_stop_tells_the_number_of_its_run
    """

    name: str
    where: Where

    def write_texts(self, stage: Stage) -> Path:
        """A file of texts to train on, drawn with the seed."""
        path = stage.path / "texts.jsonl"
        write_records(path, text_rows(self.where.material.text_chars, seed=self.where.seed))
        return path

    @classmethod
    @abstractmethod
    def configured(cls, settings: TourSettings) -> Self:
        """The stop of a tour with these settings."""

    @abstractmethod
    def measure(self, stage: Stage, given: Given, meter: Meter) -> Found:
        """Run the discipline's job in `stage.path`, and take its number."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The model."""
        return (MODEL,)

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Run the job; what it metered is metered here, too."""
        say(f"tour: {self.name}")
        found = self.measure(stage, given, meter)
        for name, num in found.tokens.items():
            meter.add(name, num)
        (stage.path / "last").unlink(missing_ok=True)
        drop_weights(stage.path)
        return {"found": asdict(found)}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """A row of the table, and of the ledger."""
        found = done.output["found"]
        ends = {name: found[name] for name in ("value", "low", "high", "n")}
        row = [self.name, found["meaning"], *ends.values(), done.seconds]
        numbers = {"discipline": self.name, "meaning": found["meaning"], **ends}
        has_run = (done.path / RUN / "result.json").is_file()
        artefact = f"stages/{self.name}" + (f"/{RUN}/result.json" if has_run else "")
        claim = Claim(
            claim=f"{self.name}: {found['meaning']}",
            **ends,
            seconds=done.seconds,
            artefact=artefact,
        )
        table = Table(title=TITLE, columns=COLUMNS, rows=[row], caption=CAPTION)
        return (Told(numbers={"disciplines": [numbers]}, claims=[claim], blocks=[table]),)


def where_of(settings: TourSettings) -> Where:
    """What all stops of a tour share."""
    names = ("model", "precision", "device", "seed", "material")
    return Where(**{name: getattr(settings, name) for name in names})


def drop_weights(folder: Path) -> None:
    """Delete the weights that jobs below a folder left, which take most of the disk."""
    for path in folder.rglob("*.safetensors"):
        path.unlink()
