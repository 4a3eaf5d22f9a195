"""`files`: a text file, a folder of them, or rows of JSONL or Parquet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.base.errors import InputError, MissingFileError
from burnish.base.files import nearest_paths, read_text
from burnish.base.records import read_records
from burnish.base.runs import files_outside_runs
from burnish.data.corpora import Document, corpora

ROWS = (".jsonl", ".jsonl.gz", ".parquet", ".json")
TEXTS = {".txt", ".md", ".rst", ".py", ".c", ".h", ".cpp", ".rs", ".go", ".java", ".js", ".tex"}


@corpora.register("files")
@dataclass(frozen=True, kw_only=True)
class Files:
    """A file is one text; of a folder, every text file below it; of rows, the `column` of each.

    Source: ours. Oracle: tests/data/test_corpora.py::test_files_folders_and_rows
    """

    path: str
    column: str = "text"

    def documents(self) -> Sequence[Document]:
        """Every text. Raises MissingFileError; InputError, for rows without the column."""
        path = Path(self.path)
        if path.is_file():
            return self._file(path)
        if not path.is_dir():
            remedy = nearest_paths(path)
            raise MissingFileError("corpus", self.path, "does not exist", remedy=remedy)
        return [document for one in text_files(path) for document in self._file(one)]

    def _file(self, path: Path) -> list[Document]:
        if not path.name.endswith(ROWS):
            return [Document(name=path.name, read=lambda: read_text(path))]
        found = []
        for number, row in enumerate(read_records(path), start=1):
            text = row.get(self.column)
            if not isinstance(text, str):
                where, remedy = f"{path}:row {number}", f"Columns: {', '.join(row)}"
                rule = f"must contain text in {self.column!r}"
                raise InputError(where, type(text).__name__, rule, remedy=remedy)
            found.append(Document(name=f"{path.name}:{number}", read=lambda text=text: text))
        return found


def text_files(folder: Path) -> list[Path]:
    """The text files below a folder, sorted. Raises InputError where there is none."""
    inside = [path for path in files_outside_runs(folder) if _is_text(path)]
    if not inside:
        rule, remedy = "must contain text files", f"Known endings: {', '.join(sorted(TEXTS))}"
        raise InputError("corpus", str(folder), rule, remedy=remedy)
    return inside


def _is_text(path: Path) -> bool:
    return path.suffix in TEXTS or path.name.endswith(ROWS)
