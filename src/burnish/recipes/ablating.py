"""`burnish ablate`: the job of `improve` with one part switched off at a time."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from burnish.base.errors import UnknownNameError
from burnish.base.files import read_json
from burnish.base.meter import Meter
from burnish.base.naming import suggest
from burnish.base.progress import say
from burnish.base.rng import stream
from burnish.base.settings import to_dict
from burnish.base.stages import DONE_FILE, Stage, StageResult
from burnish.base.stats import paired_difference
from burnish.contracts.page import Table
from burnish.contracts.step import Told
from burnish.contracts.task import Verdict
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step
from burnish.recipes.answering import read_answers
from burnish.recipes.improve import check_settings, improve
from burnish.recipes.planning import check_models, check_tasks
from burnish.recipes.settings import ImproveSettings
from burnish.recipes.steps.graph import has_graph
from burnish.recipes.steps.stream import has_documents

WHAT = "ablate"
FULL = "full"
RUN = "run"
NEEDED = ("sample", "select", "teach", "dev")  # a round is nothing without these
SWITCHED = ("prefer", "critique", "curate")  # parts that a setting of theirs turns on
COLUMNS = ["switched off", "accuracy after", "full less this, points", "low", "high", "",
           "minutes", "sampling, s", "tokens written"]  # fmt: skip
CAPTION = (
    "Each row is the whole job without one part, on the same held-out tasks; paired 95% intervals. "
    "Drafting changes no text, only the time that sampling takes. The model does not learn from "
    "graph and stream: what they add is in the report of the run."
)


def variants(settings: ImproveSettings) -> dict[str, ImproveSettings]:
    """The settings with one part switched off each, by the part's name; only parts that are on.

    Source: ours. Oracle: tests/recipes/test_ablating.py::test_one_part_is_off_at_a_time
    """
    found: dict[str, ImproveSettings] = {}
    if settings.rounds > 1:
        found["further rounds"] = replace(settings, rounds=1)
    if settings.sample.num_extra:
        found["extra samples"] = replace(settings, sample=replace(settings.sample, num_extra=0))
    if settings.sample.draft != "plain":
        found["draft"] = replace(settings, sample=replace(settings.sample, draft="plain"))
    if settings.prefer.loss:
        found["prefer"] = replace(settings, prefer=replace(settings.prefer, loss=""))
    if settings.critique.critic:
        found["critique"] = replace(settings, critique=replace(settings.critique, critic=""))
    if settings.curate.rule:
        found["curate"] = replace(settings, curate=replace(settings.curate, rule=""))
    if settings.scaling.pilot_tasks:
        found["scaling"] = replace(settings, scaling=replace(settings.scaling, pilot_tasks=0))
    if has_graph(settings) and settings.graph.num_examples:
        found["graph"] = replace(settings, graph=replace(settings.graph, num_examples=0))
    if has_documents(settings) and settings.stream.kv:
        found["stream"] = replace(settings, stream=replace(settings.stream, kv=""))
    for spec in settings.round_steps:
        name = spec.partition(":")[0]
        if name not in (*NEEDED, *SWITCHED):
            left = tuple(one for one in settings.round_steps if one != spec)
            found[name] = replace(settings, round_steps=left)
    return found


def ablate(
    settings: ImproveSettings,
    *,
    only: Sequence[str] = (),
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Run the whole job, and once more without each part; unchanged stages are reused.

    `only` names the parts to switch off; all that are on, where it is empty.
    Raises UnknownNameError for a part that is not on, and what `improve` raises.
    Source: ours. Oracle: tests/recipes/test_ablating.py::test_the_table_follows_from_the_runs
    """
    check_settings(settings)
    job = ablate_job(settings, only)
    check_models(settings)  # what a run would refuse is told before there is a folder
    check_tasks(settings)
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command)
    return run_job(job, place)


def ablate_job(settings: ImproveSettings, only: Sequence[str] = ()) -> Job:
    """The job of an ablation."""
    known = variants(settings)
    for name in only:
        if name not in known:
            rule = "is not switched on"
            raise UnknownNameError("part", name, rule, remedy=suggest(name, list(known)))
    chosen = {name: known[name] for name in (only or known)}
    full = AblateStep(name=FULL, off="", settings=settings, seed=settings.seed)
    steps = [
        AblateStep(name=f"without-{off.replace(' ', '-')}", off=off, settings=one, seed=one.seed)
        for off, one in chosen.items()
    ]
    return Job(
        what=WHAT,
        settings={"improve": to_dict(settings), "only": list(only)},
        seed=settings.seed,
        parts=[full, *steps],
        given={},
        header=Header(title=f"burnish ablate: {settings.model}", numbers={"model": settings.model}),
    )


@dataclass(frozen=True, kw_only=True)
class AblateStep(Step):
    """One run of the job, in the stage's own folder; `off` is the part that it lacks."""

    name: str
    off: str
    settings: ImproveSettings
    seed: int

    @property
    def reads(self) -> tuple[str, ...]:
        """The full run, whose stages are taken where they are the same."""
        return () if self.name == FULL else (FULL,)

    @property
    def writes(self) -> Mapping[str, str]:
        """The run's folder."""
        return {self.name: RUN}

    def key_of(self, name: str, done: StageResult) -> str:
        """Of its stage: the folder also holds times."""
        return done.key

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Run the job; what is left of a run without a part are its result and answers."""
        folder = stage.path / RUN
        say(f"ablate: {self.off or 'everything on'}" + (" switched off" if self.off else ""))
        reuse = Path(given[FULL]) if self.off else None
        result = improve(self.settings, runs=stage.path, folder=folder, reuse=reuse)
        (stage.path / "last").unlink(missing_ok=True)
        if self.off:
            _drop_weights(folder)
        metered = result["cost"]["metered"]
        for name, num in metered.items():
            meter.add(name, num)
        return {"minutes": result["minutes"], "accuracy": result["after"]["accuracy"]}

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """A row of the table: accuracy, and what the part added."""
        written = sum(row.tokens for path in sorted((done.path / RUN / "stages").iterdir())
                      for row in read_answers(path).values())  # fmt: skip
        accuracy, minutes = done.output["accuracy"]["value"], done.output["minutes"]
        sampling = _sampling_s(done.path / RUN)
        row = [self.off or "nothing", accuracy, None, None, None, "", minutes, sampling]
        numbers: dict[str, Any] = {"off": self.off, "minutes": minutes, "sampling_s": sampling}
        numbers["accuracy"] = done.output["accuracy"]
        verdict = None
        if self.off:
            added = paired_difference(
                _right(done.path / RUN), _right(Path(given[FULL])), rng=stream(self.seed, self.off)
            )
            says = "no detectable effect"
            if added.low > 0 or added.high < 0:
                says = "helps" if added.low > 0 else "hurts"
            row[2:6] = [100 * added.value, 100 * added.low, 100 * added.high, says]
            numbers["added"] = added.to_dict()
        else:
            verdict = (f"Accuracy with every part: {100 * accuracy:.1f}%.", "measured")
        table = Table(title="Ablation", columns=COLUMNS, rows=[[*row, written]], caption=CAPTION)
        return (Told(numbers={"rows": [numbers]}, blocks=[table], verdict=verdict),)


def _right(run: Path) -> list[float]:
    """Whether each held-out task was answered right after, in the order of the answers' names."""
    rows = read_answers(run / "stages" / "measure-after")
    return [float(rows[name].verdict == Verdict.RIGHT) for name in sorted(rows)]


def _sampling_s(run: Path) -> float:
    """Time of the stages in which training tasks were answered, wherever they ran."""
    stages = (run / "stages").glob("sample-*")
    return sum(read_json(path / DONE_FILE)["seconds"] for path in stages)


def _drop_weights(run: Path) -> None:
    """Delete weights, which take most of the disk; the result and the answers stay."""
    for folder in [run / "model", *(run / "stages").glob("*/model")]:
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        elif folder.is_dir():
            shutil.rmtree(folder)
