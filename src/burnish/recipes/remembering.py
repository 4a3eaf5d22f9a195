"""Memory before and after: the stage that measures it, and the gate "not more forgetful"."""

from collections.abc import Mapping, Sequence
from typing import Any

from burnish.base.errors import IncompleteError
from burnish.base.meter import Meter
from burnish.base.stages import Stage
from burnish.base.stats import Estimate
from burnish.contracts.page import Chart
from burnish.contracts.record import Gate
from burnish.data.corpora import parse_corpus
from burnish.models.handle import ModelHandle
from burnish.recall.comparison import copy_difference
from burnish.recall.material import draw_material
from burnish.recall.page import curve_chart
from burnish.recall.points import make_curve
from burnish.recall.readers import open_reader
from burnish.recall.run import material_facts
from burnish.recall.separators import separator_id
from burnish.recall.settings import MemorySettings
from burnish.recall.shards import measure_logged
from burnish.recipes.gates import doubted, gate

ROWS = "rows-0.jsonl"
Curve = Mapping[str, Any]


def remember(
    stage: Stage, actor: ModelHandle, settings: MemorySettings, meter: Meter, *, seed: int
) -> dict[str, Any]:
    """A stage's output: the curve of the actor's model. It resumes when it was interrupted.

    Source: ours. Oracle: tests/recipes/test_remembering.py::test_a_model_is_as_forgetful_as_itself
    """
    curve = settings.curve(seed=seed)
    separator = separator_id(actor.tokenizer, curve.separator)
    material = draw_material(
        actor.tokenizer,
        parse_corpus(curve.corpus),
        length=curve.grid()[-1],
        trials=curve.trials,
        separator=separator,
        seed=seed,
    )
    found = measure_logged(
        lambda: open_reader(actor, chunk_rows=curve.chunk_rows),
        material,
        curve,
        trials=range(curve.trials),
        log=stage.path / ROWS,
    )
    meter.add("scored", sum(len(row.get("hits", "")) for row in found["rows"]))
    meter.add("prefilled", found["num_rows"])
    return {"curve": make_curve(found["rows"], curve) | material_facts(material)}


def memory_change(before: Curve, after: Curve, *, seed: int) -> Estimate:
    """Copy accuracy after minus before, mean over lengths, paired over the same texts.

    Not the gap: a model that also predicts unrelated text worse would seem to remember as well.
    Raises IncompleteError where the two share no texts or no length.
    Source: ours. Oracle: tests/recipes/test_remembering.py::test_a_model_is_as_forgetful_as_itself
    """
    found = copy_difference(before, after, seed=seed)
    if found is None:
        rule = "must share texts and lengths with the curve before"
        remedy = "Measure both with the same tokenizer, corpus and seed"
        raise IncompleteError("memory curve", after.get("material"), rule, remedy=remedy)
    return found


def not_more_forgetful(change: Estimate, *, margin: float, unmeasured: Sequence[int] = ()) -> Gate:
    """Copy accuracy did not fall by more than the margin.

    `unmeasured` are lengths that failed on a side: nothing is known of them, so the gate cannot
    pass.
    Source: ours. Oracle: tests/recipes/test_remembering.py::test_a_failed_length_cannot_pass
    """
    found = gate(
        "not more forgetful",
        change,
        margin=margin,
        unit="copy accuracy",
        meaning="Copy accuracy after minus before, mean over distances, paired over texts",
    )
    lengths = ", ".join(map(str, unmeasured))
    return doubted(found, f"Not measured at {lengths} tokens") if unmeasured else found


def unmeasured_lengths(*curves: Curve) -> list[int]:
    """Lengths that one of the curves lacks, or has for some of its texts only."""
    failed = set()
    for curve in curves:
        columns = zip(*curve["trials"]["copy"], strict=True)
        for point, column in zip(curve["points"], columns, strict=True):
            if point["copy"] is None or None in column:
                failed.add(point["length"])
    return sorted(failed)


def memory_chart(before: Curve, after: Curve) -> Chart:
    """Both models' copy and language-model curves."""
    return curve_chart([("before", before), ("after", after)])
