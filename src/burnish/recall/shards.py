"""Parts of a curve that any launcher can map over: some trials, one log each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.errors import SettingError
from burnish.base.items import ItemLog, Keep, deal, finish_items
from burnish.models.handle import ModelHandle
from burnish.recall.material import Material
from burnish.recall.measure import Key, plan_walks, walk
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
    """Divide the trials into shards; a shard's log is named by its number."""
    return [
        Shard(
            settings=settings,
            material=material,
            trials=trials,
            log=folder.resolve() / f"rows-{number}.jsonl",
        )
        for number, trials in enumerate(deal(range(settings.trials), settings.shards))
    ]


def run_shard(shard: Shard) -> dict[str, Any]:
    """Measure a shard's trials; return its rows and what they cost."""
    settings = shard.settings

    def reader() -> Reader:
        return open_reader(open_handle(settings), kv=settings.kv, chunk_rows=settings.chunk_rows)

    return measure_logged(reader, shard.material, settings, trials=shard.trials, log=shard.log)


def measure_logged(
    make_reader: Callable[[], Reader],
    material: Material,
    settings: RecallSettings,
    *,
    trials: Sequence[int],
    log: Path,
) -> dict[str, Any]:
    """Measure what `log` does not hold yet, and write every row to it at once.

    A length that failed in an interrupted attempt is tried again; no model is loaded where
    nothing is missing.
    Source: ours. Oracle: tests/recall/test_run.py::test_killed_and_resumed_equals_straight
    """
    done = ItemLog(log, fields=("side", "length", "trial"))
    walks = plan_walks(material, settings.layout(), settings.grid(), trials)
    took: dict[str, Any] = {"reader": "", "num_rows": 0, "peak_logits_bytes": 0}

    def work(missing: list[Key], keep: Keep) -> None:
        reader: Any = make_reader()
        kept: Any = done.done.keys() - missing  # keys of this log are `Key`
        for plan in walks:
            walk(reader, plan, done=kept, keep=keep)
        took.update(spent(reader))

    keys = [ask.key for plan in walks for ask in plan.asks]
    rows = finish_items(done, keys, work, label="recall", unit="prediction")
    return {"rows": rows, **took}


def spent(reader: Reader) -> dict[str, Any]:
    """How the reader worked, and what it cost."""
    peak = getattr(reader, "peak", None)
    return {
        "reader": getattr(reader, "how", type(reader).__name__),
        "num_rows": getattr(reader, "num_rows", 0),
        "peak_logits_bytes": peak.num_bytes if peak else 0,
    }


def open_handle(settings: RecallSettings) -> ModelHandle:
    """A handle of the settings' model; nothing is loaded yet."""
    return ModelHandle(settings.model, precision=settings.precision, device=settings.device)


def open_tokenizer(settings: RecallSettings) -> Any:
    """The tokenizer of the settings' model. Raises SettingError for a server without one."""
    if not settings.tokenizer and open_handle(settings).is_server:
        rule, remedy = "must be given for a server", "Write --set tokenizer=FOLDER"
        raise SettingError("tokenizer", settings.tokenizer, rule, remedy=remedy)
    return ModelHandle(settings.tokenizer or settings.model).tokenizer
