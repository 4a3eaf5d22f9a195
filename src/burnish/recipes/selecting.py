"""Which answers are worth learning from."""

from collections import defaultdict
from collections.abc import Sequence

from burnish.contracts.record import Record
from burnish.contracts.task import Verdict
from burnish.recipes.settings import SelectSettings


def select_right(records: Sequence[Record], settings: SelectSettings) -> list[Record]:
    """Right answers that ended by themselves: distinct, few per task, the shortest first.

    The cap keeps easy tasks, which have many right answers, from drowning the hard ones; a text
    that ran into the token limit never taught how to end.
    Source: rejection sampling as in STaR, arXiv 2203.14465, and RFT, arXiv 2308.01825, section 3.3.
    Oracle: tests/recipes/test_selecting.py::test_selection_by_brute_force
    """
    by_task: dict[str, dict[str, Record]] = defaultdict(dict)
    for record in records:
        if record.verdict == Verdict.RIGHT and record.finish == "eos":
            text = " ".join(record.answer.split())
            by_task[record.task_id].setdefault(text, record)
    chosen = []
    for distinct in by_task.values():
        ranked = sorted(distinct.values(), key=lambda record: (record.tokens, record.id))
        chosen += ranked[: settings.max_per_task]
    return sorted(chosen, key=lambda record: record.id)
