"""Parts of a curve that any launcher can map over: some trials, one log each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.errors import SettingError
from burnish.base.progress import track
from burnish.base.records import RecordLog
from burnish.models.load import Model, load_model
from burnish.models.remote import PREFIX, Remote
from burnish.recall.material import Material
from burnish.recall.measure import Row, measure_rows
from burnish.recall.reader import Reader
from burnish.recall.readers import open_reader
from burnish.recall.settings import RecallSettings


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Trials that one worker measures; what it has already is in `log`."""

    settings: RecallSettings
    material: Material
    trials: tuple[int, ...]
    log: Path


def make_shards(settings: RecallSettings, material: Material, folder: Path) -> list[Shard]:
    """Deal the trials out; a shard's log is named by its number."""
    num = min(settings.shards, settings.trials)
    return [
        Shard(
            settings=settings,
            material=material,
            trials=tuple(range(settings.trials))[number::num],
            log=folder.resolve() / f"rows-{number}.jsonl",
        )
        for number in range(num)
    ]


def run_shard(shard: Shard) -> dict[str, Any]:
    """Measure a shard's trials; returns all its rows, and what it took."""
    settings = shard.settings

    def reader() -> Reader:
        return open_reader(open_model(settings), kv=settings.kv, chunk_rows=settings.chunk_rows)

    return measure_logged(reader, shard.material, settings, trials=shard.trials, log=shard.log)


def measure_logged(
    make_reader: Callable[[], Reader],
    material: Material,
    settings: RecallSettings,
    *,
    trials: Sequence[int],
    log: Path,
) -> dict[str, Any]:
    """Measure what is not in `log` yet, keeping every row there as it is made.

    A length that failed in an attempt that was cut off is tried again; no model is loaded where
    nothing is missing.
    Source: ours. Oracle: tests/recall/test_run.py::test_killed_and_resumed_equals_straight
    """
    with RecordLog(log) as file:
        kept = [row for row in file.read() if "hits" in row]
        missing = 2 * len(settings.grid()) * len(trials) - len(kept)
        if missing == 0:
            return {"rows": kept, "reader": "", "num_rows": 0, "peak_logits_bytes": 0}
        reader = make_reader()
        with track(missing, "recall", unit="prediction") as bar:

            def keep(row: Row) -> None:
                file.append(row)
                rows.append(row)
                bar.advance(1)

            rows = list(kept)
            measure_rows(reader, material, settings, trials=trials, kept=kept, keep=keep)
    return {"rows": rows, **spent(reader)}


def spent(reader: Reader) -> dict[str, Any]:
    """How a reader of ours worked, and what it took."""
    peak = getattr(reader, "peak", None)
    return {
        "reader": getattr(reader, "how", type(reader).__name__),
        "num_rows": getattr(reader, "num_rows", 0),
        "peak_logits_bytes": peak.num_bytes if peak else 0,
    }


def open_model(settings: RecallSettings) -> Model | Remote:
    """The model of the settings: loaded, or an address."""
    if settings.model.startswith(PREFIX):
        return Remote.parse(settings.model)
    return load_model(settings.model, precision=settings.precision, device=settings.device)


def open_tokenizer(settings: RecallSettings) -> Any:
    """The tokenizer of the settings' model. Raises SettingError for a server without one."""
    from transformers import AutoTokenizer

    from burnish.models.load import resolve_folder

    remote = settings.model.startswith(PREFIX)
    if remote and not settings.tokenizer:
        rule, remedy = "must be given for a server", "Write --set tokenizer=FOLDER"
        raise SettingError("tokenizer", settings.tokenizer, rule, remedy=remedy)
    return AutoTokenizer.from_pretrained(
        resolve_folder(settings.tokenizer or settings.model), local_files_only=True
    )
