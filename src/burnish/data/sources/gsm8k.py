"""`gsm8k`: grade-school problems as `question` and `answer`, where the answer ends in `#### 42`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from burnish.base.errors import InputError
from burnish.contracts.task import Task
from burnish.data.numbers import read_number
from burnish.data.sources import sources
from burnish.data.tasks import load_rows, make_task


@sources.register("gsm8k")
@dataclass(frozen=True, kw_only=True)
class Gsm8kSource:
    """A file in the format of GSM8K; `metadata["worked"]` keeps the worked answer.

    Source: Cobbe et al. 2021 (arXiv 2110.14168), the published data format.
    Oracle: tests/data/test_sources.py::test_every_gsm8k_reference_is_right_in_its_own_solution
    """

    path: str

    @classmethod
    def from_text(cls, text: str) -> "Gsm8kSource":
        """Read `PATH`."""
        return cls(path=text)

    def load(self, seed: int) -> list[Task]:
        """All tasks, in the file's order; the seed changes nothing. Raises: as `FileSource`."""
        return load_rows(self.path, gsm8k_task)


def is_gsm8k_row(row: Mapping[str, Any]) -> bool:
    """Whether a row has GSM8K's keys instead of ours."""
    return "question" in row and "answer" in row and "prompt" not in row


def gsm8k_task(row: Mapping[str, Any]) -> Task:
    """Return the task of one row. Raises: InputError, where it has no `#### number`."""
    question, worked = row.get("question"), row.get("answer")
    if not isinstance(question, str) or not question.strip():
        raise InputError("question", question, "must be a text", remedy="Fill it in")
    _, mark, final = worked.rpartition("####") if isinstance(worked, str) else ("", "", "")
    number = read_number(final) if mark else None
    if number is None or number.value is None:
        remedy = "End the answer in '#### 42', or name the fields 'prompt' and 'answer'"
        raise InputError("answer", worked, "must end in '####' and a number", remedy=remedy)
    metadata = {"worked": worked}
    return make_task(question, number.text, group="gsm8k", checker="number", metadata=metadata)
