"""`hub`: a data set of the Hugging Face hub, for example the paper's `emozilla/pg19-test`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.base.errors import InputError
from burnish.data.corpora import Document, corpora
from burnish.data.corpora.files import Files

PATTERNS = ("*.parquet", "*.jsonl", "*.jsonl.gz", "*.txt")


@corpora.register("hub")
@dataclass(frozen=True, kw_only=True)
class HubDataset:
    """The `column` of every row of a data set, of files whose path holds `split`.

    Source: the paper's corpus is `emozilla/pg19-test`, the default here.
    Oracle: tests/data/test_corpora.py::test_hub_reads_a_snapshot
    """

    name: str = "emozilla/pg19-test"
    column: str = "text"
    split: str = ""

    def documents(self) -> Sequence[Document]:
        """Every row's text. Raises InputError where the data set cannot be fetched or read."""
        folder = _snapshot(self.name)
        paths = [p for pattern in PATTERNS for p in sorted(folder.rglob(pattern))]
        paths = [p for p in paths if self.split in p.relative_to(folder).as_posix()]
        if not paths:
            rule = f"must contain {', '.join(PATTERNS)} with {self.split!r} in the path"
            raise InputError("data set", self.name, rule, remedy="Name another split")
        files = [Files(path=str(path), column=self.column) for path in paths]
        return [document for one in files for document in one.documents()]


def _snapshot(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=list(PATTERNS)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        rule = f"could not be fetched from the hub ({str(error).splitlines()[0]})"
        remedy = "Use a corpus that is here: stdlib, or a file"
        raise InputError("data set", name, rule, remedy=remedy) from error
