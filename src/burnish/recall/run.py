"""A curve as a run: drawn, measured in shards, tabled, reported; killed, it goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from burnish.base.canonical import content_hash
from burnish.base.progress import say
from burnish.base.runs import Run, open_run
from burnish.base.settings import to_dict
from burnish.base.stages import Stage
from burnish.distrib import launchers
from burnish.kv.policies import kv_policies
from burnish.models.remote import PREFIX
from burnish.recall.corpora import parse_corpus
from burnish.recall.curve import accuracies, make_curve
from burnish.recall.material import Material, draw_material
from burnish.recall.page import make_page
from burnish.recall.separators import separator_id
from burnish.recall.settings import RecallSettings
from burnish.recall.shards import make_shards, open_tokenizer, run_shard
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

    Every prediction is kept as it is made, so the same call goes on after a kill and ends with
    the same numbers. Raises IncompleteError where no length could be measured.
    Source: ours. Oracle: tests/recall/test_run.py::test_killed_and_resumed_equals_straight
    """
    launcher = launchers.parse(settings.launcher)
    kv_policies.parse(settings.kv)
    material = make_material(settings)
    with open_run(
        WHAT,
        settings=to_dict(settings),
        seed=settings.seed,
        root=runs,
        folder=folder,
        fresh=fresh,
        command=command,
    ) as run:
        say(f"run: {run.path}" + (" (resuming)" if run.resumed else ""))

        def make(stage: Stage) -> Mapping[str, Any]:
            shards = make_shards(settings, material, stage.path)
            parts = list(launcher.map(run_shard, shards))
            rows = [row for part in parts for row in part["rows"]]
            accuracies(rows, settings.grid(), settings.trials).check()
            return {
                "rows": rows,
                "reader": next((part["reader"] for part in parts if part["reader"]), ""),
                "num_rows": sum(part["num_rows"] for part in parts),
                "peak_logits_bytes": max(part["peak_logits_bytes"] for part in parts),
            }

        done = run.stage(
            "measure", make,
            settings=to_dict(settings), material=_hash(material), model=model_key(settings.model),
        )  # fmt: skip
        result = make_result(done.output, settings, material, run=run, seconds=done.seconds)
        write_report(make_page(result, run.info), run.path / "report")
        run.save_result(result)
    return result


def make_material(settings: RecallSettings) -> Material:
    """The texts of a measurement; the same settings give the same."""
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


def make_result(
    output: Mapping[str, Any],
    settings: RecallSettings,
    material: Material,
    *,
    run: Run,
    seconds: float,
) -> dict[str, Any]:
    """The curve, what it was measured on, and what it took."""
    return {
        "what": WHAT,
        "run": str(run.path),
        "model": settings.model,
        "kv": settings.kv,
        "corpus": settings.corpus,
        "control": settings.control,
        **make_curve(output["rows"], settings),
        **material_facts(material),
        "cost": {
            "seconds": seconds,
            "reader": output["reader"],
            "num_rows": output["num_rows"],
            "peak_logits_bytes": output["peak_logits_bytes"],
        },
    }


def material_facts(material: Material) -> dict[str, Any]:
    """What a result says of its texts; equal hashes are equal texts."""
    return {
        "material": {
            "hash": _hash(material),
            "separator": material.separator,
            "num_stream_tokens": material.num_stream_tokens,
            "overlapping": material.overlapping,
        }
    }


def model_key(spec: str) -> str:
    """What changes when the files of a model do: names, sizes and times; an address is itself."""
    if spec.startswith(PREFIX):
        return spec
    from burnish.models.load import resolve_folder

    folder = resolve_folder(spec)
    files = [p for p in sorted(folder.iterdir()) if p.suffix in (".json", ".safetensors")]
    stats = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return content_hash([spec, stats])


def _hash(material: Material) -> str:
    return content_hash(asdict(material))
