"""The model of a run: `RUN/model`, which shares its files with the stage that made it."""

import os
import shutil
import tempfile
from pathlib import Path

from burnish.base.errors import StorageError

PUBLISHING = ".publishing-"


def publish(run: Path, source: Path | None) -> Path | None:
    """Put the folder `source` at `run/model`, whole or not at all; None leaves no model there.

    Raises StorageError, with the run as it was before.
    Source: ours. Oracle: tests/jobs/test_publish.py::test_a_model_is_there_whole_or_not_at_all
    """
    target = run / "model"
    for left in run.glob(f"{PUBLISHING}*"):  # by a run that was killed just here
        shutil.rmtree(left)
    try:
        with tempfile.TemporaryDirectory(dir=run, prefix=PUBLISHING) as place:
            if source is not None:
                _link_all(source, Path(place) / "new")
            if target.exists():
                target.rename(Path(place) / "old")
            if source is not None:
                (Path(place) / "new").rename(target)
    except OSError as error:
        rule = f"could not be written ({error.strerror or error})"
        remedy = "Free some space, then repeat the command"
        raise StorageError("model folder", str(target), rule, remedy=remedy) from error
    return None if source is None else target


def _link_all(source: Path, target: Path) -> None:
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        own = target / path.relative_to(source)
        own.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, own)
        except OSError:  # another file system, or one without hard links
            shutil.copy2(path, own)


def publish_file(run: Path, stage: str, name: str) -> Path:
    """Put a file that a stage wrote at `run/name`; the run's own copy of it.

    Source: ours. Oracle: tests/jobs/test_publish.py::test_a_file_is_there_whole
    """
    source, target = run / "stages" / stage / name, run / name
    with tempfile.TemporaryDirectory(dir=run, prefix=PUBLISHING) as place:
        shutil.copyfile(source, Path(place) / name)
        os.replace(Path(place) / name, target)
    return target
