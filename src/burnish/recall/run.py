"""`burnish recall curve`: draws texts, measures them in shards, reports the curve."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from burnish.base.canonical import content_hash
from burnish.base.meter import Meter
from burnish.base.runs import RUN_FILE
from burnish.base.settings import to_dict
from burnish.base.stages import Stage, StageResult
from burnish.contracts.step import Told
from burnish.data.corpora import parse_corpus
from burnish.distrib import launchers
from burnish.jobs.job import Job, Place, run_job
from burnish.jobs.result import Header
from burnish.jobs.step import Given, Step, Value, Verification
from burnish.kv.policies import kv_policies
from burnish.recall.comparison import compare_curves, compare_page, read_curve
from burnish.recall.material import Material, draw_material
from burnish.recall.page import make_page
from burnish.recall.points import accuracies, make_curve
from burnish.recall.separators import separator_id
from burnish.recall.settings import RecallSettings
from burnish.recall.shards import make_shards, open_handle, open_tokenizer, run_shard
from burnish.report.html import write_report

WHAT = "recall-curve"


def measure_curve(
    settings: RecallSettings,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure a model's curve; the result is what `result.json` holds.

    Every prediction is kept as it is made: an interrupted call resumes when it is repeated, and
    ends with the same numbers. Raises IncompleteError where no length could be measured.
    Source: ours. Oracle: tests/recall/test_run.py::test_killed_and_resumed_equals_straight
    """
    launchers.parse(settings.launcher)
    kv_policies.parse(settings.kv)
    place = Place(runs=runs, folder=folder, fresh=fresh, command=command)
    return run_job(curve_job(settings), place)


def curve_job(settings: RecallSettings) -> Job:
    """The job of `recall curve`. Raises what `make_material` does."""
    material = make_material(settings)
    return Job(
        what=WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        parts=[MeasureStep(settings=settings)],
        given={
            "model": Value(lambda: open_handle(settings).key, lambda: settings.model),
            "material": Value(_hash(material), lambda: material),
        },
        header=Header(
            title=f"burnish recall: {settings.model}",
            numbers={
                name: getattr(settings, name) for name in ("model", "kv", "corpus", "control")
            },
            provenance=material_facts(material),
        ),
        base=settings.model,
    )


@dataclass(frozen=True, kw_only=True)
class MeasureStep(Step):
    """Every prediction of the curve; interrupted, it resumes with those that it has.

    Source: Forgetting Curve, arXiv 2410.04727.
    Oracle: tests/recall/test_run.py::test_killed_and_resumed_equals_straight
    """

    settings: RecallSettings
    name: str = "measure"
    verified: Verification = "again"

    @property
    def reads(self) -> tuple[str, ...]:
        """The model and the texts."""
        return ("model", "material")

    def make(self, stage: Stage, given: Given, meter: Meter) -> dict[str, Any]:
        """Measure on the launcher. Raises IncompleteError where no length could be measured."""
        launcher = launchers.parse(self.settings.launcher)
        shards = make_shards(self.settings, given["material"], stage.path)
        parts = list(launcher.map(run_shard, shards))
        rows = [row for part in parts for row in part["rows"]]
        accuracies(rows, self.settings.grid(), self.settings.trials).check()
        return {
            "rows": rows,
            "reader": next((part["reader"] for part in parts if part["reader"]), ""),
            "num_rows": sum(part["num_rows"] for part in parts),
            "peak_logits_bytes": max(part["peak_logits_bytes"] for part in parts),
        }

    def tell(self, done: StageResult, given: Given) -> Sequence[Told]:
        """Report the curve, its texts, and the page."""
        numbers = make_numbers(done, self.settings, given["material"])
        return (Told.of_page(make_page(numbers), numbers),)

    def differences(self, old: StageResult, new: StageResult) -> str:
        """Points of the curve that differ; the number of rows computed after a resume may."""
        names = [n for n in ("rows", "reader") if old.output[n] != new.output[n]]
        return ", ".join(names)


def compare_models(
    names: Sequence[str],
    settings: RecallSettings,
    *,
    runs: Path = Path("runs"),
    out: Path | None = None,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Compare curves; a name that is no run and no JSON file is a model, and is measured first.

    The page is written to the folder `out`, if given. Raises what `measure_curve`, `read_curve`
    and `compare_curves` do.
    """
    found = []
    for name in names:
        if Path(name).suffix == ".json" or (Path(name) / RUN_FILE).is_file():
            found.append((name, read_curve(Path(name))))
        else:
            wanted = replace(settings, model=name)
            found.append((name, measure_curve(wanted, runs=runs, command=command)))
    compared = compare_curves(found)
    page = compare_page(compared, found)
    if out is not None:
        write_report(page, out)
    return compared | {"page": asdict(page)}


def make_material(settings: RecallSettings) -> Material:
    """The texts of a measurement; equal settings give equal texts."""
    corpus = parse_corpus(settings.corpus)
    tokenizer = open_tokenizer(settings)
    return draw_material(
        tokenizer,
        corpus,
        length=settings.grid()[-1],
        trials=settings.trials,
        separator=separator_id(tokenizer, settings.separator),
        control=settings.control,
        seed=settings.seed,
    )


def make_numbers(done: StageResult, settings: RecallSettings, material: Material) -> dict[str, Any]:
    """The curve, its texts, and what measuring it cost."""
    output = done.output
    return {
        "model": settings.model,
        "kv": settings.kv,
        "corpus": settings.corpus,
        "control": settings.control,
        **make_curve(output["rows"], settings),
        **material_facts(material),
        "cost": {
            "seconds": done.seconds,
            "reader": output["reader"],
            "num_rows": output["num_rows"],
            "peak_logits_bytes": output["peak_logits_bytes"],
        },
    }


def material_facts(material: Material) -> dict[str, Any]:
    """What a result records about its texts; equal hashes mean equal texts."""
    return {
        "material": {
            "hash": _hash(material),
            "separator": material.separator,
            "num_stream_tokens": material.num_stream_tokens,
            "overlapping": material.overlapping,
        }
    }


def _hash(material: Material) -> str:
    return content_hash(asdict(material))
