"""`file`: rows of JSONL, JSON or Parquet with `prompt` and `answer`, or in GSM8K's format."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.base.errors import InputError
from burnish.contracts.task import Task
from burnish.data.sources import sources
from burnish.data.sources.gsm8k import gsm8k_task, is_gsm8k_row
from burnish.data.tasks import load_rows, make_task


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
            if "document" in row and "prompt" not in row:
                rule, remedy = "is not read from a plain file", f"Name documents:{self.path}"
                raise InputError("document", str(row["document"])[:40], rule, remedy=remedy)
            return gsm8k_task(row) if is_gsm8k_row(row) else _task(row, group)

        return load_rows(self.path, to_task)


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
