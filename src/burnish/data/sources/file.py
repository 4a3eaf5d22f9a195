"""`file`: rows of JSONL, JSON or Parquet with `prompt` and `answer`, or in GSM8K's format."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError, SettingError, UnknownNameError
from burnish.base.records import read_records
from burnish.contracts.task import Task
from burnish.data.sources import sources
from burnish.data.sources.gsm8k import gsm8k_task, is_gsm8k_row
from burnish.data.tasks import distinct_tasks, make_task


@sources.register("file")
@dataclass(frozen=True, kw_only=True)
class FileSource:
    """Tasks in a file, in its order; the seed changes nothing.

    A row has `prompt` and `answer`, and may have `checker` (a spec; `number` where the answer is a
    number, else `exact`), `group` (the file's name without suffix) and `metadata`. Rows with
    `question` and `answer` instead are read as GSM8K's.
    Source: ours.
    """

    path: str

    @classmethod
    def from_text(cls, text: str) -> "FileSource":
        """Read `PATH`."""
        return cls(path=text)

    def load(self, seed: int) -> list[Task]:
        """All tasks. Raises: MissingFileError; InputError, naming `path:line`."""
        group = Path(self.path).name.partition(".")[0]

        def to_task(row: Mapping[str, Any]) -> Task:
            return gsm8k_task(row) if is_gsm8k_row(row) else _task(row, group)

        return load_rows(self.path, to_task)


def load_rows(path: str, to_task: Callable[[Mapping[str, Any]], Task]) -> list[Task]:
    """Make a task of every row; an error names the row's line. Raises: InputError."""
    tasks = []
    for i, row in enumerate(read_records(path)):
        try:
            tasks.append(to_task(row))
        except (InputError, SettingError, UnknownNameError) as error:
            where = f"{_where(path, i)}: {error.name}"
            raise InputError(where, error.value, error.rule, remedy=error.remedy) from error
    return distinct_tasks(tasks)


def _task(row: Mapping[str, Any], group: str) -> Task:
    optional = {"checker": "", "group": group}
    for key, default in optional.items():
        optional[key] = default if row.get(key) is None else row[key]
        if not isinstance(optional[key], str):
            raise InputError(key, row[key], "must be a string", remedy="Write it in quotes")
    metadata = row.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise InputError("metadata", metadata, "must be an object", remedy='Write {"key": value}')
    prompt = row.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        rule, remedy = "must be a text", f"Name the field 'prompt'; the row has {sorted(row)}"
        raise InputError("prompt", prompt, rule, remedy=remedy)
    return make_task(prompt, _answer(row), metadata=metadata, **optional)


def _answer(row: Mapping[str, Any]) -> str:
    answer = row.get("answer")
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        return str(answer)
    if not isinstance(answer, str) or not answer.strip():
        rule, remedy = "must be a text or a number", "Give each row its reference answer"
        raise InputError("answer", answer, rule, remedy=remedy)
    return answer


def _where(path: str, index: int) -> str:
    """`path:line` of a row; rows of JSONL may have blank lines between them."""
    if not path.endswith(".jsonl"):
        return f"{path}:row {index + 1}"
    with Path(path).open("rb") as file:
        lines = [number for number, line in enumerate(file, start=1) if line.strip()]
    return f"{path}:{lines[index]}"
