"""One zip of a run that can be sent to a colleague: the report and its numbers, no weights."""

import zipfile
from pathlib import Path

from burnish.base.errors import InputError, MissingFileError
from burnish.base.records import atomic_write

_REQUIRED = ("result.json", "run.json")
_OPTIONAL = ("events.jsonl",)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first: equal runs give equal bytes


def bundle_run(run_folder: Path, target: Path) -> Path:
    """Zip `report/`, `result.json`, `run.json` and `events.jsonl` under the run's name.

    Returns `target`. The same files give the same bytes. Raises MissingFileError if the run
    has no report, result or settings; InputError if `target` lies inside the report.
    """
    report = run_folder / "report"
    for path in [report / "index.html", *(run_folder / name for name in _REQUIRED)]:
        if not path.is_file():
            remedy = "Let the run finish first: repeat the command to resume it"
            raise MissingFileError("the bundle's file", str(path), "must exist", remedy=remedy)
    if target.resolve().is_relative_to(report.resolve()):
        remedy = "Name a path outside the run folder"
        raise InputError("target", str(target), "must not lie inside the report", remedy=remedy)
    names = [*_REQUIRED, *(name for name in _OPTIONAL if (run_folder / name).is_file())]
    members = sorted(
        [
            *(p for p in report.rglob("*") if p.is_file()),
            *(run_folder / name for name in names),
        ]
    )
    root = run_folder.resolve().name
    with (
        atomic_write(target, mode="wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        for path in members:
            name = f"{root}/{path.relative_to(run_folder).as_posix()}"
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, path.read_bytes())
    return target
