"""The schedule: a prefix is read once for all lengths, the irrelevant one for all trials."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.base.errors import BurnishError, RemoteError
from burnish.recall.geometry import Layout
from burnish.recall.material import Material
from burnish.recall.reader import Reader
from burnish.recall.settings import RecallSettings

Row = dict[str, Any]
Key = tuple[str, int, int]  # side, length, trial
FAILURES = (MemoryError, RuntimeError, IndexError, RemoteError)  # of one length, not of the run


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One prediction: after `length` tokens of the prefix, the separator and a repetition."""

    side: str  # copy or lm
    length: int
    trial: int
    tokens: tuple[int, ...]
    num_scored: int

    @property
    def key(self) -> Key:
        """The key of its row."""
        return self.side, self.length, self.trial


@dataclass(frozen=True, kw_only=True)
class Walk:
    """A prefix that is read once, and the predictions to make on the way, in order of length."""

    prefix: tuple[int, ...]  # begins with the separator
    asks: tuple[Ask, ...]


def plan_walks(
    material: Material, layout: Layout, lengths: Sequence[int], trials: Iterable[int]
) -> list[Walk]:
    """Walks that answer both sides at every length, for the trials given.

    The irrelevant prefix is read once for all trials; each target is read once for all lengths.
    Source: geometry of the paper's `get_order_example`; the sharing is ours, and exact.
    Oracle: tests/recall/test_measure.py::test_shared_schedule_equals_separate_texts
    """
    trials = list(trials)

    def ask(side: str, length: int, trial: int) -> Ask:
        again = material.targets[trial][: layout.repeated(length)]
        tokens = (material.separator, *again)
        num_scored = layout.scored(length)
        return Ask(side=side, length=length, trial=trial, tokens=tokens, num_scored=num_scored)

    apart = tuple(ask("lm", length, trial) for length in lengths for trial in trials)
    walks = [Walk(prefix=(material.separator, *material.irrelevant), asks=apart)]
    for trial in trials:
        own = tuple(ask("copy", length, trial) for length in lengths)
        walks.append(Walk(prefix=(material.separator, *material.targets[trial]), asks=own))
    return walks


def walk(
    reader: Reader, plan: Walk, *, done: Iterable[Key] = (), keep: Callable[[Row], None]
) -> None:
    """Read a prefix and yield one row for every prediction that is not `done`.

    A row holds `hits`, one 0 or 1 a scored token, or, where a length failed, `error`: the next
    length begins anew and is measured all the same.
    Source: ours. Oracle: tests/recall/test_measure.py::test_a_failed_length_is_recorded_there
    """
    done = set(done)
    waiting = [ask for ask in plan.asks if ask.key not in done]
    reader.clear()
    num_read = 0
    for ask in waiting:
        name = {"side": ask.side, "length": ask.length, "trial": ask.trial}
        try:
            reader.extend(plan.prefix[num_read : ask.length + 1])
            num_read = ask.length + 1
            keep(name | _answer(reader, ask))
        except FAILURES as error:
            if isinstance(error, BurnishError) and not isinstance(error, RemoteError):
                raise
            keep(name | {"error": f"{type(error).__name__}: {str(error)[:200]}"})
            reader.clear()
            num_read = 0


def _answer(reader: Reader, ask: Ask) -> Row:
    predicted = reader.predict(ask.tokens, ask.num_scored)
    targets = ask.tokens[-ask.num_scored :]
    hits = [p == t for p, t in zip(predicted.tokens, targets, strict=True)]
    return {
        "hits": "".join("1" if hit else "0" for hit in hits),
        "near_ties": len(predicted.near_ties),
    }


def measure_rows(
    reader: Reader,
    material: Material,
    settings: RecallSettings,
    *,
    trials: Sequence[int],
    keep: Callable[[Row], None],
) -> None:
    """Give `keep` every row."""
    for plan in plan_walks(material, settings.layout(), settings.grid(), trials):
        walk(reader, plan, keep=keep)
